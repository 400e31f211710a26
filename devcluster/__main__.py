"""The command line: python -m devcluster up | down | status | load | env | prepare | release | binaries."""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence

from devcluster import cluster as clusters
from devcluster import engine as engines
from devcluster import plain, state
from devcluster.build import base_image, keda, programs, prometheus
from devcluster.errors import DevclusterError
from devcluster.host.progress import Progress, duration

_FOR_LONG_TESTS = (
    "also KEDA, Karpenter, Prometheus, every version of Kubernetes, and the base of the GPU image"
)


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="python -m devcluster", description="A Kubernetes cluster on this machine."
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default=state.DEFAULT_NAME, help="which cluster (default: %(default)s)")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        parents = [] if run in (_prepare, _release, _binaries) else [named]
        added: argparse.ArgumentParser = commands.add_parser(name, parents=parents, help=text)
        added.set_defaults(run=run)
        return added

    _add_options_of_up(command("up", _up, "start a cluster"))
    down = command("down", _down, "remove a cluster and everything it left")
    down.add_argument(
        "--all", action="store_true", help="every cluster; also stop the engine if we started it"
    )
    command("status", _status, "show whether a cluster runs")
    load = command("load", _load, "copy images of the engine to the nodes")
    load.add_argument("images", nargs="+", metavar="IMAGE")
    command("env", _env, 'print exports for a shell: eval "$(python -m devcluster env)"')
    prepare = command(
        "prepare", _prepare, "build everything that a cluster with a node needs, without starting one"
    )
    prepare.add_argument("--for-long-tests", action="store_true", help=_FOR_LONG_TESTS)
    command("release", _release, "stop the docker daemon if we started it and no container runs")
    command("binaries", _binaries, "build the Go programs and print their directory")
    return root


def _add_options_of_up(up: argparse.ArgumentParser) -> None:
    up.add_argument(
        "--nodes", type=int, default=1, help="1 or 2 nodes; with kwok, the number of simulated nodes"
    )
    up.add_argument(
        "--narrowed",
        action="store_true",
        help="confine the second node to one CPU although its kubelet counts all; only with --nodes 2",
    )
    up.add_argument("--no-node", action="store_true", help="only a control plane, as plain processes")
    up.add_argument(
        "--with",
        dest="extras",
        action="append",
        default=[],
        choices=plain.EXTRAS,
        help="also start this component; only with --no-node",
    )
    up.add_argument(
        "--cpu-policy",
        default="static",
        choices=["static", "none"],
        help="the kubelet's CPU manager policy (default: %(default)s)",
    )
    up.add_argument(
        "--kubernetes",
        default="",
        metavar="MINOR",
        help=f"another version than {programs.kubernetes_version()}: {', '.join(programs.VERSIONS)}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except DevclusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted. The next `up` or `down` removes what was left behind.", file=sys.stderr)
        return 130
    return 0


def _up(chosen: argparse.Namespace) -> None:
    begun = time.monotonic()
    extras = tuple(sorted(set(chosen.extras)))
    options = state.Options(
        chosen.nodes, chosen.no_node, extras, chosen.cpu_policy, chosen.kubernetes, chosen.narrowed
    )
    cluster = clusters.start(chosen.name, options, Progress())
    print(f'Cluster "{cluster.name}" is up after {duration(time.monotonic() - begun)}.')
    print(f'To use it in this shell: eval "$(python -m devcluster env --name {cluster.name})"')


def _down(chosen: argparse.Namespace) -> None:
    if chosen.all:
        clusters.down_all()
        print("Removed every cluster.")
    else:
        clusters.down(chosen.name)
        print(f'Removed cluster "{chosen.name}".')


def _status(chosen: argparse.Namespace) -> None:
    cluster = state.get(chosen.name)
    answering = cluster.is_answering()
    condition = "running" if answering else "NOT answering"
    print(f'Cluster "{cluster.name}": {condition}, options: {cluster.options.as_flags()}')
    print(f"kubeconfig: {cluster.kubeconfig}")
    if not answering:
        raise DevclusterError(f"Start it again: python -m devcluster up --name {cluster.name}")
    print(cluster.kubectl("get", "nodes", "-o", "wide"), end="")


def _load(chosen: argparse.Namespace) -> None:
    clusters.load(chosen.name, *chosen.images)


def _env(chosen: argparse.Namespace) -> None:
    cluster = state.get(chosen.name)
    for variable, value in cluster.environment().items():
        if variable == "PATH":
            print(f"export PATH={shlex.quote(str(cluster.binaries))}:$PATH")
        else:
            print(f"export {variable}={shlex.quote(value)}")


def _prepare(options: argparse.Namespace) -> None:
    progress = Progress()
    engine, image = clusters.prepare(progress)
    if options.for_long_tests:
        keda.images(engine, progress)
        prometheus.image(engine)
        programs.build_separately(programs.KARPENTER, progress)
        programs.build_separately(programs.PIN, progress)
        base_image.ensure(engine, progress, base_image.ACCELERATOR)
        for minor in programs.VERSIONS:
            clusters.prepare(progress, minor)
    print(f"Ready: node image {image.name} in the engine of {engine.client}.")


def _release(_: argparse.Namespace) -> None:
    if engines.stop():
        print("Stopped the docker daemon that devcluster had started.")


def _binaries(_: argparse.Namespace) -> None:
    print(clusters.binaries())


if __name__ == "__main__":
    sys.exit(main())
