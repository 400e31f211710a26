"""Create a cluster with kind, load images into it, and remove everything of it."""

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from devcluster import engine as engines
from devcluster.build import node_steps, upstream
from devcluster.build.node_image import NodeImage
from devcluster.engine import Engine
from devcluster.errors import CommandFailed, PortTaken
from devcluster.host.process import Runner
from devcluster.host.waiting import wait_until
from devcluster.kind import config
from devcluster.state import Cluster

_LABEL = "io.x-k8s.kind.cluster"
_NETWORK = "kind"
_SETTLE_SECONDS = 4


def create(cluster: Cluster, engine: Engine, image: NodeImage) -> None:
    processors = os.cpu_count() or 1
    configuration = _write_configuration(cluster, processors)
    worker = {f"{cluster.name}-worker": config.cpus_of_worker(processors)}
    cpus = worker if cluster.options.nodes == 2 and not cluster.options.narrowed else {}
    runner = Runner(cluster.owner, engine.for_kind(cpus), cluster.directory / "kind.log")
    arguments: list[str | Path] = ["--name", cluster.name, "--image", image.name, "--config", configuration]
    arguments += ["--kubeconfig", cluster.kubeconfig, "--wait", "180s"]
    try:
        runner.run([cluster.binaries / "kind", "create", "cluster", *arguments], timeout=420)
    except CommandFailed as failure:
        if "address already in use" in failure.output or "port is already allocated" in failure.output:
            taken = f"Another program took a port of cluster {cluster.name} while it started."
            raise PortTaken(f"{taken} Run `up` again; it will choose other ports.\n{failure}") from failure
        raise


def _write_configuration(cluster: Cluster, processors: int) -> Path:
    for name, text in config.files(cluster.options, processors).items():
        file = cluster.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    document = config.configuration(
        cluster.name, cluster.options, cluster.directory, cluster.node_ports, processors
    )
    target = cluster.directory / "kind.json"
    target.write_text(json.dumps(document, indent=2))
    return target


def add_services(cluster: Cluster, engine: Engine, image: NodeImage) -> None:
    """Add what kind does not install: metrics-server. Nothing waits until it is ready."""
    if cluster.options.nodes == 2:
        # With several nodes kind keeps pods off the first one; here both run them.
        taint = "node-role.kubernetes.io/control-plane:NoSchedule-"
        cluster.kubectl("taint", "nodes", f"{cluster.name}-control-plane", taint)
    if cluster.options.narrowed:
        _narrow(cluster, engine)
    if not image.is_ours:
        _load_metrics_server(cluster, engine)
    cluster.kubectl("apply", "-f", str(upstream.metrics_server(cluster.binaries)))


_NARROW = """
set -eu
version1=/sys/fs/cgroup/cpuset
[ -d "$version1" ] || version1=
top=$(find "${version1:-/sys/fs/cgroup}" -type d -name '*kubepods.slice' -print -quit)
held=0
while [ "$held" -lt 50 ]; do
    if [ "$(cat "$top/cpuset.cpus")" = 0 ]; then
        held=$((held + 1))
    elif [ -n "$version1" ]; then
        held=0
        find "$top" -depth -name cpuset.cpus -exec sh -c 'echo 0 > "$1"' _ {} ';' 2> /dev/null || true
    else
        held=0
        echo 0 > "$top/cpuset.cpus"
    fi
    sleep 0.1
done
"""
"""Version 1 takes no set that lacks a CPU of a group below it, so these come first. A kubelet that has just
begun may write its own set once more, and a pod that starts may bring one: it counts when held for 5 s."""


def _narrow(cluster: Cluster, engine: Engine) -> None:
    """Confine the pods of the second node to one CPU, once its kubelet has given them all that it counts."""
    node = f"{cluster.name}-worker"
    wait_until(lambda: cluster.kubernetes().succeeds("get", "node", node), 60)
    cluster.kubectl("wait", f"node/{node}", "--for=condition=Ready", "--timeout=90s", timeout=100)
    engine.run("exec", node, "timeout", "60", "sh", "-c", _NARROW)


def load(cluster: Cluster, engine: Engine, images: tuple[str, ...]) -> None:
    runner = Runner(cluster.owner, engine.for_kind())
    runner.run(
        [cluster.binaries / "kind", "load", "docker-image", "--name", cluster.name, *images], timeout=600
    )


def is_running(cluster: Cluster) -> bool:
    """Whether the containers of all nodes are running."""
    engine = engines.ensure()
    running = engine.run("ps", "--quiet", "--filter", f"label={_LABEL}={cluster.name}").split()
    return len(running) == cluster.options.nodes


def remove(name: str, *, was_killed: bool = False) -> None:
    """Remove the containers and the network of a cluster; without an engine there are none."""
    engine = engines.find()
    if engine is None:
        return
    _remove_nodes(engine, name, _SETTLE_SECONDS if was_killed else 0)
    if not engine.run("ps", "--all", "--quiet", "--filter", f"label={_LABEL}"):
        networks = engine.run("network", "ls", "--format", "{{.Name}}").split()
        if _NETWORK in networks:
            engine.run("network", "rm", _NETWORK)


def _remove_nodes(engine: Engine, name: str, quiet: float) -> None:
    """Remove the nodes, until there has been none for `quiet` seconds.

    Docker finishes creating a container after its client was killed, and one that was removed
    in the meantime comes back then.
    """
    gone_since = time.monotonic()
    while True:
        nodes = engine.run("ps", "--all", "--quiet", "--filter", f"label={_LABEL}={name}").split()
        if nodes:
            engine.run("rm", "--force", "--volumes", *nodes)
            gone_since = time.monotonic()
        elif time.monotonic() - gone_since >= quiet:
            return
        else:
            time.sleep(0.2)


def _load_metrics_server(cluster: Cluster, engine: Engine) -> None:
    image = upstream.metrics_server_image()
    if not engine.has(image):
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "programs").mkdir()
            program = "metrics-server"
            shutil.copy(cluster.binaries / program, Path(directory) / "programs" / program)
            node_steps.build_component(engine, Path(directory), program, image)
    load(cluster, engine, (image,))
