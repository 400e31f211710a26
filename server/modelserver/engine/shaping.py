"""Batch, shape, layout, colours and normalisation, built into the model before it is compiled."""

from collections.abc import Mapping
from typing import Any

import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

from modelserver.engine.reading import name_of, names_of
from modelserver.errors import LoadFailed
from modelserver.settings import notation
from modelserver.settings.config_file import Shaping


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
        known = {name for port in ports for name in names_of(port)}
        if unknown := sorted(value.keys() - known):
            names = ", ".join(name_of(port) for port in ports)
            raise LoadFailed(f"{setting}: the model has no {', '.join(unknown)}; it has {names}")


def layouts(model: ov.Model, shaping: Shaping) -> dict[str, str]:
    """The layout that clients see, per tensor name; empty where nobody told."""
    known = {}
    for port in (*model.inputs, *model.outputs):
        name = name_of(port)
        layout = _for_tensor(shaping.layout, port, is_input=port in model.inputs)
        stated = port.get_node().get_layout()
        known[name] = (
            "".join(notation.layout(layout)[0])
            if layout
            else ("" if stated.empty else str(stated).strip("[]").replace(",", ""))
        )
    return known


def _for_tensor(value: str | Mapping[str, str] | None, port: ov.Output, *, is_input: bool) -> str | None:
    """The setting for one tensor: a bare value is meant for every input."""
    if value is None or isinstance(value, str):
        return value if is_input else None
    names = names_of(port)
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
            shapes[port] = _shape(text, shape)
        elif shaping.shape is None and shaping.batch_size is not None and len(shape):
            shape[_batch_index(port, shaping)] = ov.Dimension(*notation.batch_size(shaping.batch_size))
            shapes[port] = shape
    if shapes:
        model.reshape(shapes)


def _batch_index(port: ov.Output, shaping: Shaping) -> int:
    _, source = notation.layout(_for_tensor(shaping.layout, port, is_input=True) or "")
    names = [name for name in source if name != "..."]
    return names.index("N") if "N" in names else 0


def _shape(text: str, current: ov.PartialShape) -> ov.PartialShape:
    wanted = notation.shape(text)
    sizes = [notation.FREE] * len(current) if wanted is None else wanted
    return ov.PartialShape([ov.Dimension(*size) for size in sizes])


def _preprocess(model: ov.Model, shaping: Shaping) -> ov.Model:
    builder = PrePostProcessor(model)
    for index, port in enumerate(model.inputs):
        _preprocess_input(builder.input(index), port, shaping)
    for index, port in enumerate(model.outputs):
        if text := _for_tensor(shaping.layout, port, is_input=False):
            _set_layouts(builder.output(index), text)
    return builder.build()


def _set_layouts(info: Any, text: str) -> None:
    """Of what the client sees, and of the model file's tensor."""
    target, source = notation.layout(text)
    info.tensor().set_layout(_layout(target))
    info.model().set_layout(_layout(source))


def _layout(names: notation.Layout) -> ov.Layout:
    return ov.Layout(f"[{','.join(names)}]" if names else "")


def _preprocess_input(info: Any, port: ov.Output, shaping: Shaping) -> None:
    tensor, steps = info.tensor(), info.preprocess()
    if text := _for_tensor(shaping.layout, port, is_input=True):
        _set_layouts(info, text)
    if text := _for_tensor(shaping.precision, port, is_input=True):
        target, source = notation.precision(text)
        tensor.set_element_type(getattr(ov.Type, target))
        steps.convert_element_type(getattr(ov.Type, source) if source else port.get_element_type())
    if text := _for_tensor(shaping.color_format, port, is_input=True):
        target, source = notation.color_format(text)
        tensor.set_color_format(_COLOURS[target])
        steps.convert_color(_COLOURS[source])
    if text := _for_tensor(shaping.mean, port, is_input=True):
        steps.mean(_one_or_many(notation.mean(text)))
    if text := _for_tensor(shaping.scale, port, is_input=True):
        steps.scale(_one_or_many(notation.scale(text)))


_COLOURS = {
    "RGB": ColorFormat.RGB,
    "BGR": ColorFormat.BGR,
    "GRAY": ColorFormat.GRAY,
    "NV12": ColorFormat.NV12_SINGLE_PLANE,
    "NV12_2": ColorFormat.NV12_TWO_PLANES,
    "I420": ColorFormat.I420_SINGLE_PLANE,
    "I420_3": ColorFormat.I420_THREE_PLANES,
}


def _one_or_many(values: list[float]) -> float | list[float]:
    """One number is for all channels, however many there are."""
    return values[0] if len(values) == 1 else values
