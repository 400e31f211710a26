"""The command line: python -m devcluster up | down | status | load | env | prepare | release | binaries."""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence

from devcluster import cluster as clusters
from devcluster import engine as engines
from devcluster import plain, state
from devcluster.errors import DevclusterError
from devcluster.host.progress import duration


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="python -m devcluster", description="A Kubernetes cluster on this machine."
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default=state.DEFAULT_NAME, help="which cluster (default: %(default)s)")

    up = commands.add_parser("up", parents=[named], help="start a cluster")
    up.add_argument(
        "--nodes", type=int, default=1, help="1 or 2 nodes; with kwok the number of simulated ones"
    )
    up.add_argument("--no-node", action="store_true", help="only a control plane, as plain processes")
    up.add_argument(
        "--with", dest="extras", action="append", default=[], choices=plain.EXTRAS, help="add to --no-node"
    )
    up.add_argument(
        "--cpu-policy", default="static", choices=["static", "none"], help="the kubelet's CPU manager"
    )
    up.set_defaults(run=_up)

    down = commands.add_parser("down", parents=[named], help="remove a cluster and all it left")
    down.add_argument(
        "--all", action="store_true", help="remove every cluster, and stop the engine if we started it"
    )
    down.set_defaults(run=_down)

    status = commands.add_parser("status", parents=[named], help="say what runs")
    status.set_defaults(run=_status)

    load = commands.add_parser("load", parents=[named], help="bring images of the engine into the nodes")
    load.add_argument("images", nargs="+", metavar="IMAGE")
    load.set_defaults(run=_load)

    env = commands.add_parser(
        "env", parents=[named], help='print exports: eval "$(python -m devcluster env)"'
    )
    env.set_defaults(run=_env)

    prepare = commands.add_parser(
        "prepare", help="build all that a cluster with a node needs, and start none"
    )
    prepare.set_defaults(run=_prepare)

    release = commands.add_parser(
        "release", help="stop the docker daemon if we started it and it runs nothing"
    )
    release.set_defaults(run=_release)

    binaries = commands.add_parser("binaries", help="build the Go programs and print their directory")
    binaries.set_defaults(run=_binaries)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except DevclusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted; the next `up` or `down` cleans what is left.", file=sys.stderr)
        return 130
    return 0


def _up(chosen: argparse.Namespace) -> None:
    begun = time.monotonic()
    cluster = clusters.up(
        chosen.name,
        nodes=chosen.nodes,
        no_node=chosen.no_node,
        extras=chosen.extras,
        cpu_policy=chosen.cpu_policy,
    )
    print(f'Cluster "{cluster.name}" is up after {duration(time.monotonic() - begun)}.')
    print(f'To use it by hand: eval "$(python -m devcluster env --name {cluster.name})"')


def _down(chosen: argparse.Namespace) -> None:
    if chosen.all:
        clusters.down_all()
        print("Every cluster is removed.")
    else:
        clusters.down(chosen.name)
        print(f'Cluster "{chosen.name}" is removed.')


def _status(chosen: argparse.Namespace) -> None:
    cluster = state.get(chosen.name)
    answering = cluster.is_answering()
    condition = "answering" if answering else "NOT answering"
    print(f'Cluster "{cluster.name}": {condition}, options: {cluster.wish.options()}')
    print(f"kubeconfig: {cluster.kubeconfig}")
    if answering:
        print(cluster.kubectl("get", "nodes", "-o", "wide"), end="")
    else:
        raise DevclusterError(f"Start it again: python -m devcluster up --name {cluster.name}")


def _load(chosen: argparse.Namespace) -> None:
    clusters.load(chosen.name, *chosen.images)


def _env(chosen: argparse.Namespace) -> None:
    cluster = state.get(chosen.name)
    for variable, value in cluster.environment().items():
        if variable == "PATH":
            print(f"export PATH={shlex.quote(str(cluster.binaries))}:$PATH")
        else:
            print(f"export {variable}={shlex.quote(value)}")


def _prepare(_: argparse.Namespace) -> None:
    engine, image = clusters.prepare(clusters.new_progress())
    print(f"Ready: node image {image.name} in the engine of {engine.client}.")


def _release(_: argparse.Namespace) -> None:
    if engines.stop():
        print("The docker daemon that was started here is stopped.")


def _binaries(_: argparse.Namespace) -> None:
    print(clusters.binaries())


if __name__ == "__main__":
    sys.exit(main())
