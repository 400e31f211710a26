"""Batch, shape, layout, colours and normalisation, built into the model before it is compiled.

`target:source` reads as in OVMS: what the client sends, then what the model file wants.
"""

import re
from collections.abc import Mapping

import numpy as np
import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

from modelserver.config import Shaping
from modelserver.engine.elements import element_type
from modelserver.errors import LoadFailed

_RANGE = re.compile(r"(-1|[1-9][0-9]{0,17})(?::([1-9][0-9]{0,17}))?")


def shape_model(model: ov.Model, shaping: Shaping) -> ov.Model:
    """The model as it is to be served."""
    _refuse_unknown_tensors(model, shaping)
    _reshape(model, shaping)
    if any((shaping.layout, shaping.precision, shaping.color_format, shaping.mean, shaping.scale)):
        return _preprocess(model, shaping)
    return model


def _refuse_unknown_tensors(model: ov.Model, shaping: Shaping) -> None:
    """A setting for a tensor that is not there would be lost without a word."""
    for setting, value in vars(shaping).items():
        if isinstance(value, str) or value is None:
            continue
        ports = [*model.inputs, *(model.outputs if setting == "layout" else ())]
        known = {name for port in ports for name in port.get_names() | {_name(port)}}
        if unknown := sorted(value.keys() - known):
            names = ", ".join(_name(port) for port in ports)
            raise LoadFailed(f"{setting}: the model has no {', '.join(unknown)}; it has {names}")


def layouts(model: ov.Model, shaping: Shaping) -> dict[str, str]:
    """The layout that clients see, per tensor name; empty where nobody told."""
    known = {}
    for port in (*model.inputs, *model.outputs):
        name = _name(port)
        told = _for_tensor(shaping.layout, port, is_input=port in model.inputs)
        stated = port.get_node().get_layout()
        known[name] = (
            told.partition(":")[0]
            if told
            else ("" if stated.empty else str(stated).strip("[]").replace(",", ""))
        )
    return known


def _name(port: ov.Output) -> str:
    return port.get_any_name() if port.get_names() else port.get_node().get_friendly_name()  # type: ignore[no-any-return]


def _for_tensor(value: str | Mapping[str, str] | None, port: ov.Output, *, is_input: bool) -> str | None:
    """The setting for one tensor: a bare value is meant for every input."""
    if value is None or isinstance(value, str):
        return value if is_input else None
    names = port.get_names() | {_name(port)}
    return next((text for key, text in value.items() if key in names), None)


def _reshape(model: ov.Model, shaping: Shaping) -> None:
    """Shape wins over batch size, as in OVMS."""
    if shaping.shape is None and shaping.batch_size is None:
        return
    shapes = {}
    for port in model.inputs:
        text = _for_tensor(shaping.shape, port, is_input=True)
        shape = port.get_partial_shape()
        if text is not None:
            shapes[port] = _parse_shape(text, shape)
        elif shaping.shape is None and shaping.batch_size is not None and len(shape):
            shape[_batch_index(port, shaping)] = _parse_dimension(shaping.batch_size)
            shapes[port] = shape
    if shapes:
        model.reshape(shapes)


def _batch_index(port: ov.Output, shaping: Shaping) -> int:
    text = _for_tensor(shaping.layout, port, is_input=True) or ""
    return max(0, text.rpartition(":")[2].replace("...", "").find("N"))


def _parse_shape(text: str, current: ov.PartialShape) -> ov.PartialShape:
    if text.strip().lower() == "auto":
        return ov.PartialShape([-1] * len(current))
    parts = text.strip().strip("()[]").split(",")
    if not parts[-1].strip():  # (10,) and ()
        parts.pop()
    return ov.PartialShape([_parse_dimension(part) for part in parts])


def _parse_dimension(text: str) -> ov.Dimension:
    if text.strip().lower() == "auto":
        return ov.Dimension(-1)
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise LoadFailed(f"{text!r} is no dimension: use a number above 0, -1, or a range such as 100:200")
    low, high = match.groups()
    return ov.Dimension(int(low)) if high is None else ov.Dimension(int(low), int(high))


def _preprocess(model: ov.Model, shaping: Shaping) -> ov.Model:
    builder = PrePostProcessor(model)
    for index, port in enumerate(model.inputs):
        _preprocess_input(builder.input(index), port, shaping)
    for index, port in enumerate(model.outputs):
        if text := _for_tensor(shaping.layout, port, is_input=False):
            target, _, source = text.partition(":")
            output = builder.output(index)
            output.model().set_layout(ov.Layout(source or target))
            output.tensor().set_layout(ov.Layout(target))
    return builder.build()


def _preprocess_input(info: object, port: ov.Output, shaping: Shaping) -> None:
    tensor, steps = info.tensor(), info.preprocess()  # type: ignore[attr-defined]
    if layout := _for_tensor(shaping.layout, port, is_input=True):
        target, _, source = layout.partition(":")
        tensor.set_layout(ov.Layout(target))
        info.model().set_layout(ov.Layout(source or target))  # type: ignore[attr-defined]
    if precision := _for_tensor(shaping.precision, port, is_input=True):
        target, _, source = precision.partition(":")
        tensor.set_element_type(element_type(target))
        steps.convert_element_type(element_type(source) if source else port.get_element_type())
    if colours := _for_tensor(shaping.color_format, port, is_input=True):
        target, _, source = colours.partition(":")
        tensor.set_color_format(_colour(target))
        steps.convert_color(_colour(source or target))
    if mean := _for_tensor(shaping.mean, port, is_input=True):
        steps.mean(_numbers(mean, "mean"))
    if scale := _for_tensor(shaping.scale, port, is_input=True):
        divisors = _numbers(scale, "scale")
        if not np.all(divisors):
            raise LoadFailed(f"scale {scale!r}: values are divided by it, so it cannot be 0")
        steps.scale(divisors)


_COLOURS = {
    "RGB": ColorFormat.RGB,
    "BGR": ColorFormat.BGR,
    "GRAY": ColorFormat.GRAY,
    "NV12": ColorFormat.NV12_SINGLE_PLANE,
    "NV12_2": ColorFormat.NV12_TWO_PLANES,
    "I420": ColorFormat.I420_SINGLE_PLANE,
    "I420_3": ColorFormat.I420_THREE_PLANES,
}


def _colour(name: str) -> ColorFormat:
    try:
        return _COLOURS[name.strip().upper()]
    except KeyError:
        raise LoadFailed(f"unknown color_format {name!r}: use one of {', '.join(_COLOURS)}") from None


def _numbers(text: str, name: str) -> float | list[float]:
    try:
        values = [float(part) for part in text.strip().strip("()[]").split(",")]
    except ValueError:
        raise LoadFailed(f"{name} {text!r}: numbers are expected, e.g. (123.675,116.28,103.53)") from None
    return values[0] if len(values) == 1 else values
