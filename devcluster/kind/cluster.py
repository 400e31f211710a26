"""A cluster of kind: created, filled with images, and removed to the last trace."""

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
from devcluster.kind import config as kind_config
from devcluster.state import Cluster

_LABEL = "io.x-k8s.kind.cluster"
_NETWORK = "kind"
_SETTLE_SECONDS = 4


def create(cluster: Cluster, engine: Engine, image: NodeImage) -> None:
    processors = os.cpu_count() or 1
    for name, text in kind_config.files(cluster.wish, processors).items():
        file = cluster.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    wanted = kind_config.configuration(
        cluster.name, cluster.wish, cluster.directory, cluster.node_ports, processors
    )
    configuration = cluster.directory / "kind.json"
    configuration.write_text(json.dumps(wanted, indent=2))
    cpus = (
        {f"{cluster.name}-worker": kind_config.cpus_of_worker(processors)} if cluster.wish.nodes == 2 else {}
    )
    runner = Runner(cluster.owner, engine.for_kind(cpus), cluster.directory / "kind.log")
    arguments: list[str | Path] = ["--name", cluster.name, "--image", image.name, "--config", configuration]
    arguments += ["--kubeconfig", cluster.kubeconfig, "--wait", "180s"]
    try:
        runner.run([cluster.binaries / "kind", "create", "cluster", *arguments], timeout=420)
    except CommandFailed as failure:
        if "address already in use" in failure.output or "port is already allocated" in failure.output:
            taken = f"Another program took a port of cluster {cluster.name} while it started. Run `up` again:"
            raise PortTaken(f"{taken} other ports are chosen then.\n{failure}") from failure
        raise


def add_services(cluster: Cluster, engine: Engine, image: NodeImage) -> None:
    """What a cluster has beyond kind's own: metrics-server; it becomes ready by itself."""
    if cluster.wish.nodes == 2:
        # kind keeps pods off the first node of several; here both are to run them.
        taint = "node-role.kubernetes.io/control-plane:NoSchedule-"
        cluster.kubectl("taint", "nodes", f"{cluster.name}-control-plane", taint)
    if not image.is_ours:
        _load_metrics_server(cluster, engine)
    cluster.kubectl("apply", "-f", str(upstream.metrics_server(cluster.binaries)))


def load(cluster: Cluster, engine: Engine, images: tuple[str, ...]) -> None:
    runner = Runner(cluster.owner, engine.for_kind())
    runner.run(
        [cluster.binaries / "kind", "load", "docker-image", "--name", cluster.name, *images], timeout=600
    )


def is_running(cluster: Cluster) -> bool:
    """Whether the containers of all nodes run."""
    engine = engines.ensure()
    running = engine.run("ps", "--quiet", "--filter", f"label={_LABEL}={cluster.name}").split()
    return len(running) == cluster.wish.nodes


def remove(name: str, *, was_killed: bool = False) -> None:
    """Remove what an engine holds of a cluster; without an engine there is nothing that runs."""
    engine = engines.find()
    if engine is None:
        return
    _remove_nodes(engine, name, _SETTLE_SECONDS if was_killed else 0)
    if not engine.run("ps", "--all", "--quiet", "--filter", f"label={_LABEL}"):
        networks = engine.run("network", "ls", "--format", "{{.Name}}").split()
        if _NETWORK in networks:
            engine.run("network", "rm", _NETWORK)


def _remove_nodes(engine: Engine, name: str, quiet: float) -> None:
    """Remove the nodes, until none was there for so long.

    Docker goes on creating a container whose client was killed, and one that is removed meanwhile comes
    back when that is done.
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
