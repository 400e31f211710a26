"""An NRI plugin on a node, which runs annotated pods on the CPUs that their annotation lists."""

from collections.abc import Iterator
from contextlib import contextmanager

from devcluster import engine as engines
from devcluster.build import programs
from devcluster.host.progress import Progress
from tests.support.waiting import until

ANNOTATION = "test.modelserver.dev/cpus"
_PROGRAM, _LOG, _PID = "/usr/local/bin/pin", "/run/pin.log", "/run/pin.pid"


@contextmanager
def pinning(node: str) -> Iterator[None]:
    """The plugin is registered with the node's runtime meanwhile."""
    run = engines.ensure().run
    run("cp", programs.build_separately(programs.PIN, Progress()) / "pin", f"{node}:{_PROGRAM}")
    start = f"echo $$ > {_PID}; exec {_PROGRAM} > {_LOG} 2>&1"
    run("exec", "--detach", node, "sh", "-c", start)
    try:
        ready = ("exec", node, "sh", "-c", f"cat {_LOG} || true")
        until("the plugin is registered", lambda: "ready" in run(*ready), timeout=30)
        yield
    finally:
        # It leaves the runtime when its connection ends; a second one would contradict it until then.
        end = f"pid=$(cat {_PID}); kill $pid; while kill -0 $pid 2> /dev/null; do sleep 0.1; done"
        run("exec", node, "timeout", "20", "sh", "-c", end)
