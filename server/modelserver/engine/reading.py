"""From model files to a network that can be served: without state, each tensor once, each with a name."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import openvino as ov

from modelserver.errors import LoadFailed

_MADE_UP = re.compile(r"(Parameter|Result)_\d+")
"""OpenVINO's names for tensors without one: the number counts the nodes that the converting process made."""
_BY_PLACE = re.compile(r"(in|out)_\d+_*")


def read(core: ov.Core, path: Path) -> ov.Model:
    """The network of these files; raises LoadFailed where it cannot be served, RuntimeError from OpenVINO."""
    network = core.read_model(path)
    if not network.outputs:  # an empty file passes for a model with some readers
        raise LoadFailed(f"{path.name}: the file describes a model without outputs")
    _refuse_state(network, path.name)
    _name_and_drop(network)
    return network


def names_of(port: ov.Output) -> frozenset[str]:
    """All names of a tensor that requests and settings may use."""
    return frozenset(port.get_names() or {port.get_node().get_friendly_name()})


def name_of(port: ov.Output) -> str:
    """The one that clients see."""
    names = names_of(port)
    return min(filter(_BY_PLACE.fullmatch, names), default=min(names))


def has_fixed_sizes(network: ov.Model) -> bool:
    """Whether every tensor inside has one shape, whatever the data: then no inference fails over a size."""
    return all(
        all(output.get_partial_shape().is_static for output in node.outputs())
        and all(map(has_fixed_sizes, _bodies(node)))
        for node in network.get_ops()
    )


def _bodies(node: Any) -> list[ov.Model]:
    """The networks inside a branch or a loop."""
    if hasattr(node, "get_then_body"):
        return [node.get_then_body(), node.get_else_body()]
    return [node.get_function()] if hasattr(node, "get_function") else []


def _refuse_state(network: ov.Model, file: str) -> None:
    """Requests know no session, so one caller would compute on with what another one left."""
    if states := sorted(variable.info.variable_id for variable in network.get_variables()):
        raise LoadFailed(
            f"{file}: stateful models are not supported, and this one keeps {', '.join(states)} from one"
            " request to the next. Export it with its state as inputs and outputs"
        )


def _name_and_drop(network: ov.Model) -> None:
    """Names by place, as OVMS gives them, and no output that is another one again.

    Outputs are looked at before inputs get names: an input that is handed through shares them.
    """
    results = network.get_results()
    unnamed, repeated = [], []
    known: dict[ov.Output, list[frozenset[str]]] = {}
    for place, result in enumerate(results):
        names = _own_names(result.output(0))
        before = known.setdefault(result.input_value(0), [])
        if any(names & other or names == other for other in before):
            repeated.append(result)
        elif not names:
            unnamed.append((place, result.output(0)))
        before.append(names)
    taken = {name for port in (*network.inputs, *network.outputs) for name in _own_names(port)}
    _give_names("in", ((at, port) for at, port in enumerate(network.inputs) if not _own_names(port)), taken)
    _give_names("out", unnamed, taken)
    for result in repeated:
        network.remove_result(result)


def _own_names(port: ov.Output) -> frozenset[str]:
    return frozenset(name for name in port.get_names() if not _MADE_UP.fullmatch(name))


def _give_names(side: str, ports: Iterable[tuple[int, ov.Output]], taken: set[str]) -> None:
    """A name by place, and the one so far as another where it is nobody else's."""
    for place, port in ports:
        name = f"{side}_{place}"
        while name in taken:
            name += "_"
        others = {*port.get_names(), port.get_node().get_friendly_name()} - taken
        port.get_tensor().set_names({name} | others)
        taken |= {name} | others
