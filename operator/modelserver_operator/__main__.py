"""The command line: `modelserver-operator run | render FILE | plan FILE | crd`."""

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from modelserver_operator import __version__
from modelserver_operator.api import API_VERSION, GROUP, KIND, ModelServer, parse
from modelserver_operator.api.crd import crd
from modelserver_operator.desired import Images, render
from modelserver_operator.desired.node_group import PROVIDERS
from modelserver_operator.errors import Invalid, OperatorError
from modelserver_operator.settings import DEFAULT_IMAGE, add_images, add_options, from_arguments, images

_DEEPEST = 30_000
"""The API server takes objects of 10,000 levels, and one of them is in everybody's list: Python's own limit
of 1000 would stop the operator for all. The parser of JSON needs less than 400 bytes of stack for a level."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; errors are one line on stderr."""
    _open_closed_streams()
    sys.setrecursionlimit(_DEEPEST)
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.command(arguments)
    except OperatorError as error:
        sys.stderr.write(f"modelserver-operator: {error}\n")
        return 1
    except BrokenPipeError:
        # `render FILE | head`: the reader has closed the pipe, so the exit must not flush into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _open_closed_streams() -> None:
    """/dev/null for each of the descriptors 0 to 2 that the parent has closed.

    The next files and sockets would take these numbers, and what is printed would go there.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="modelserver-operator", description="Serve OpenVINO models on Kubernetes.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("run", _run, "run the operator until SIGTERM or SIGINT"),
        (
            "render",
            _render,
            "print the manifests the operator would create for the ModelServers in FILE; needs no cluster",
        ),
        (
            "plan",
            _plan,
            "show what applying the ModelServers in FILE would change in the cluster; writes nothing",
        ),
        ("crd", _crd, "print the CustomResourceDefinition"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        if name in {"render", "plan"}:
            sub.add_argument("file", metavar="FILE", help="YAML file; - for standard input")
        if name == "plan":
            _add_node_group(sub)
        if name == "run":
            add_options(sub)
        elif name != "crd":
            add_images(sub, cpu=DEFAULT_IMAGE if name == "render" else "")
    return parser


def _add_node_group(parser: argparse.ArgumentParser) -> None:
    text = "also print what a group of nodes needs there, to be scaled up from zero nodes"
    parser.add_argument("--node-group", choices=PROVIDERS, default="", help=text)


class _Parser(argparse.ArgumentParser):
    """A wrong command line ends with 1: `plan` ends with 2 when something would change."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")


def _run(arguments: argparse.Namespace) -> int:
    gc.disable()  # what importing makes stays: looking through it again and again costs a tenth of the start
    from modelserver_operator.controller.run import run  # noqa: PLC0415 - kopf and the client cost half a second

    gc.enable()
    return run(from_arguments(arguments))


def _render(arguments: argparse.Namespace) -> int:
    for server in _read(arguments.file):
        for desired in render(server, images(arguments)).children:
            sys.stdout.write(f"---\n{to_yaml(desired.manifest)}")
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    """0: nothing would change; 2: something would."""
    from modelserver_operator.clients.context import default_namespace  # noqa: PLC0415 - needs the client

    servers = _read(arguments.file, default_namespace())
    return 2 if asyncio.run(_preview(servers, arguments)) else 0


async def _preview(servers: list[ModelServer], arguments: argparse.Namespace) -> bool:
    """Print what would change, one object after the other; whether something would."""
    from modelserver_operator.clients.kubernetes import connect  # noqa: PLC0415 - needs the client
    from modelserver_operator.dryrun import preview, running_images  # noqa: PLC0415 - needs the client

    cluster = await connect()
    changes = False
    try:
        for server in servers:
            given = images(arguments) if arguments.cpu_image else None
            chosen = given or await running_images(cluster, server.namespace)
            if chosen is None and not server.spec.image:
                raise Invalid(
                    "the operator's Deployment was not found, so its image for the servers is unknown: give "
                    "--cpu-image (and --gpu-image, --npu-image) as the operator has it"
                )
            found = await preview(cluster, server, chosen or Images("", "", ""), arguments.node_group)
            sys.stdout.write(f"{found.text()}\n")
            changes = changes or bool(found.lines)
    finally:
        await cluster.close()
    return changes


def _crd(_arguments: argparse.Namespace) -> int:
    sys.stdout.write("# Generated by `make generate` from operator/modelserver_operator/api; do not edit.\n")
    sys.stdout.write(to_yaml(crd()))
    return 0


def _read(name: str, namespace: str = "default") -> list[ModelServer]:
    """The ModelServers of a file, those without a namespace in this one; other documents are ignored."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        documents = [item for item in yaml.load_all(text, _Loader) if isinstance(item, dict)]
    except OSError as error:
        raise Invalid(f"cannot read {name}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise Invalid(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None
    ours = [item for item in documents if item.get("kind") == KIND and _is_ours(item, name)]
    servers = [parse(item, namespace) for item in ours]
    if not servers:
        raise Invalid(f"{name} contains no {KIND}")
    return servers


def _is_ours(document: dict[str, Any], name: str) -> bool:
    """Whether a document of our kind is of our group; raises Invalid for a version that does not exist."""
    version = document.get("apiVersion")
    if version is None or (str(version).startswith(f"{GROUP}/") and version != API_VERSION):
        raise Invalid(f"{name}: apiVersion of a {KIND} must be {API_VERSION}, not {version}")
    return bool(version == API_VERSION)


class _Loader(yaml.SafeLoader):
    """As kubectl reads YAML: a key that stands twice is an error, 2.0 is 2, and a date is a text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]} is set twice", node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        number = self.construct_yaml_float(node)
        return int(number) if number.is_integer() else number

    def construct_text(self, node: yaml.ScalarNode) -> str:
        return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_text)


class _Dumper(yaml.SafeDumper):
    """No anchors, and texts of several lines as blocks: as a person would write it."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def to_yaml(document: Any) -> str:
    """Keys in the order they were written."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110)


if __name__ == "__main__":
    sys.exit(main())
