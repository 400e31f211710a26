"""OVMS's notation for how a model is shaped: the texts of its options as plain values.

`target:source` reads as in OVMS: what the client sends, then what the model file wants. Here is all that
a text alone can be wrong in, so that settings are judged when they are read; whether a model has such
inputs and dimensions shows when it is loaded.
"""

import re
from collections.abc import Callable, Mapping

from modelserver.errors import ConfigError

Range = tuple[int, int]
"""The least and the greatest size of a dimension; -1 is open."""
Layout = tuple[str, ...]
"""The names of the dimensions; `?` is any one, `...` any number of them. Empty: nothing is said."""

FREE: Range = (-1, -1)
DATATYPES = {
    "boolean": "BOOL",
    "u8": "UINT8",
    "u16": "UINT16",
    "u32": "UINT32",
    "u64": "UINT64",
    "i8": "INT8",
    "i16": "INT16",
    "i32": "INT32",
    "i64": "INT64",
    "f16": "FP16",
    "bf16": "BF16",
    "f32": "FP32",
    "f64": "FP64",
    "string": "BYTES",
}
"""OpenVINO's names of the element types, and the protocol's."""
_PRECISIONS = {
    **{datatype.lower(): name for name, datatype in DATATYPES.items()},
    **{name: name for name in DATATYPES},
    **{f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
    "float": "f32",
    "double": "f64",
}
_COLOURS = ("RGB", "BGR", "GRAY", "NV12", "NV12_2", "I420", "I420_3")
_RANGE = re.compile(r"(-1|[1-9][0-9]{0,17})(?::([1-9][0-9]{0,17}))?")
_LETTER = re.compile(r"\.\.\.|[A-Za-z0-9?]")
_NAME = re.compile(r"\.\.\.|\?|_*[A-Za-z0-9][A-Za-z0-9_]*")
_LETTER_OF = {
    "BATCH": "N", "CHANNEL": "C", "CHANNELS": "C", "DEPTH": "D", "HEIGHT": "H", "WIDTH": "W",
}  # fmt: skip


def check(option: str, value: str | Mapping[str, str]) -> None:
    """Raise ConfigError, naming the option, for a text that no model could be served with."""
    for text in (value,) if isinstance(value, str) else value.values():
        if text or option in ("batch_size", "shape"):  # the others are not set by an empty text
            _PARSERS[option](text)


def batch_size(text: str) -> Range:
    """A number, a range, or `auto`."""
    return _dimension(text, "batch_size")


def shape(text: str) -> tuple[Range, ...] | None:
    """`(1,3,224,224)`, with ranges, -1 or `auto` for dimensions; None for `auto`: all of them are free."""
    if _is_auto(text):
        return None
    parts = text.strip().strip("()[]").split(",")
    if not parts[-1].strip():  # (10,) and ()
        parts.pop()
    return tuple(_dimension(part, "shape") for part in parts)


def layout(text: str) -> tuple[Layout, Layout]:
    """Target and source: `NHWC:NCHW`, also `N...` and `[N,height,width]`. One alone is both."""
    target, _, source = text.partition(":")
    return _layout(target), _layout(source or target)


def precision(text: str) -> tuple[str, str | None]:
    """Target and source by OpenVINO's names; without a source it is the model's own."""
    target, _, source = text.partition(":")
    return _precision(target), _precision(source) if source else None


def color_format(text: str) -> tuple[str, str]:
    """Target and source. One alone is both."""
    target, _, source = text.partition(":")
    return _colour(target), _colour(source or target)


def mean(text: str) -> list[float]:
    """One number, or one for each channel."""
    return _numbers(text, "mean")


def scale(text: str) -> list[float]:
    """One number, or one for each channel."""
    divisors = _numbers(text, "scale")
    if not all(divisors):
        raise ConfigError(f"scale {text!r}: values are divided by it, so it cannot be 0")
    return divisors


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "batch_size": batch_size,
    "shape": shape,
    "layout": layout,
    "precision": precision,
    "color_format": color_format,
    "mean": mean,
    "scale": scale,
}


def _is_auto(text: str) -> bool:
    return text.strip().lower() == "auto"


def _dimension(text: str, option: str) -> Range:
    if _is_auto(text):
        return FREE
    match = _RANGE.fullmatch(text.strip())
    size = (int(match[1]), int(match[2] or match[1])) if match else None
    if size is None or size[0] > size[1]:
        raise ConfigError(
            f"{option}: {text!r} is not a dimension: use a number above 0, -1, or a range such as 100:200"
        )
    return size


def _layout(text: str) -> Layout:
    """OpenVINO's grammar: a letter for each dimension, or names between brackets."""
    plain = text.strip()
    if plain.startswith("[") and plain.endswith("]"):
        names = [name.strip() for name in plain[1:-1].split(",")]
        is_read = all(map(_NAME.fullmatch, names))
    else:
        names = _LETTER.findall(plain)
        is_read = "".join(names) == plain
    names = [_LETTER_OF.get(name.upper(), name.upper()) for name in names]
    named = [name for name in names if name != "?"]
    if not is_read or len(set(named)) < len(named):
        raise ConfigError(
            f"layout {text!r} cannot be read: use one letter for each dimension, such as NHWC, or names"
            " between brackets, such as [N,height,width], each of them once"
        )
    return tuple(names)


def _precision(name: str) -> str:
    try:
        return _PRECISIONS[name.strip().lower()]
    except KeyError:
        known = ", ".join(sorted(_PRECISIONS))
        raise ConfigError(f"unknown precision {name!r}: use one of {known}") from None


def _colour(name: str) -> str:
    if (found := name.strip().upper()) not in _COLOURS:
        raise ConfigError(f"unknown color_format {name!r}: use one of {', '.join(_COLOURS)}")
    return found


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.strip().strip("()[]").split(",")]
    except ValueError:
        raise ConfigError(f"{option} {text!r}: numbers are expected, e.g. (123.675,116.28,103.53)") from None
