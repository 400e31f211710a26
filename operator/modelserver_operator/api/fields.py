"""Field types of the API: each with its Python check and its part of the CRD's schema."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([numkMGTPE]|[KMGTPE]i)?")

_DEVICE = r"(CPU|GPU|NPU)(\.[0-9]{1,2})?"
DEVICE_PATTERN = (
    rf"^({_DEVICE}|AUTO|AUTO:-?{_DEVICE}(,-?{_DEVICE})*|HETERO:{_DEVICE}(,{_DEVICE})*"
    rf"|MULTI:{_DEVICE}(\([0-9]{{1,4}}\))?(,{_DEVICE}(\([0-9]{{1,4}}\))?)*|BATCH:{_DEVICE}(\([0-9]{{1,4}}\))?)$"
)


EXACT = 2**53 - 1
"""The greatest number that everybody reads alike: many JSON tools keep numbers as doubles (RFC 8259, 6.), and
so does the API server the `maximum` in a schema: it takes 2^53 + 1 for 2^53."""


def quantity(value: str | int) -> Decimal:
    """The value of a Kubernetes quantity; raises ValueError."""
    match = _QUANTITY.fullmatch(str(value))
    if not match:
        raise ValueError(f"{value!r} is not a quantity such as 2, 500m or 8Gi")
    number, suffix = Decimal(match[1]), match[2] or ""
    return number * (
        Decimal(1024) ** _BINARY[suffix] if suffix in _BINARY else Decimal(10) ** _SUFFIXES[suffix]
    )


def _checked_quantity(value: str | int) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("a quantity such as 2, 500m or 8Gi is expected")  # noqa: TRY004 - pydantic wants it
    if quantity(value) < 0:
        raise ValueError("a quantity must not be negative")
    return str(value)


def int_or_string(pattern: str, length: int, minimum: int = 0, maximum: int = 2**31 - 1) -> WithJsonSchema:
    """The structural schema of a Kubernetes int-or-string, bounded."""
    return WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": minimum,
            "maximum": maximum,
            "maxLength": length,
            "pattern": pattern,
        }
    )


def preserved(kind: str = "object", **bounds: int) -> WithJsonSchema:
    """A part of a Pod that the API server checks when the Deployment is applied."""
    return WithJsonSchema({"type": kind, "x-kubernetes-preserve-unknown-fields": True, **bounds})


def preserved_list(limit: int) -> WithJsonSchema:
    """A list of such parts."""
    return WithJsonSchema(
        {
            "type": "array",
            "maxItems": limit,
            "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        }
    )


class Record(BaseModel):
    """Frozen, camelCase in documents, unknown fields are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        use_attribute_docstrings=True,
    )


Quantity = Annotated[str, BeforeValidator(_checked_quantity), int_or_string(QUANTITY_PATTERN, 24, 0, EXACT)]
Quantities = Annotated[
    dict[Annotated[str, StringConstraints(max_length=120)], Quantity], Field(max_length=16)
]

Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]
Key = Annotated[str, StringConstraints(min_length=1, max_length=317)]
Labels = Annotated[dict[Key, Annotated[str, StringConstraints(max_length=63)]], Field(max_length=64)]
Annotations = Annotated[dict[Key, Annotated[str, StringConstraints(max_length=4096)]], Field(max_length=64)]

Device = Annotated[str, StringConstraints(max_length=100, pattern=DEVICE_PATTERN)]
Hint = Literal["LATENCY", "THROUGHPUT", "CUMULATIVE_THROUGHPUT"]


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a whole number, AUTO or NUMA is expected")  # noqa: TRY004 - pydantic wants it
    return value


Streams = Annotated[
    Annotated[int, Field(ge=1, le=4096)] | Literal["AUTO", "NUMA"],
    BeforeValidator(_not_bool),
    int_or_string("^(AUTO|NUMA)$", 4, 1, 4096),
]
Share = Annotated[
    Annotated[int, Field(ge=0, le=1000)] | Annotated[str, StringConstraints(pattern=r"^(100|[0-9]{1,2})%$")],
    int_or_string("^(100|[0-9]{1,2})%$", 4, 0, 1000),
]
ChannelArgument = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^,=]+$")],
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    int_or_string("^[^,=]+$", 120, -(2**31)),
]
Count = Annotated[int, Field(ge=1, le=65535)]
Port = Annotated[int, Field(ge=1024, le=65535)]

# OpenVINO properties that a rule names: CEL sees only declared ones. All others are allowed.
TYPED_KEYS = ("PERFORMANCE_HINT", "NUM_STREAMS", "PERFORMANCE_HINT_NUM_REQUESTS")
LEGACY_STREAM_KEYS = (
    "CPU_THROUGHPUT_STREAMS",
    "GPU_THROUGHPUT_STREAMS",
    "KEY_CPU_THROUGHPUT_STREAMS",
    "KEY_GPU_THROUGHPUT_STREAMS",
)
BANNED_KEYS = ("ENABLE_CPU_RESERVATION",)


_NAMED_KEYS = {
    **dict.fromkeys(TYPED_KEYS, "Not allowed: use the fields hint, streams and expectedClients."),
    **dict.fromkeys(
        LEGACY_STREAM_KEYS, "Translated to streams. Cannot be combined with hint, streams or expectedClients."
    ),
    **dict.fromkeys(BANNED_KEYS, "Not allowed: it makes every later model fail to load."),
}


def _plain_properties(value: Mapping[str, Any]) -> dict[str, Any]:
    for key, item in value.items():
        if not isinstance(item, str | int | float | bool):
            raise ValueError(f"{key}: a string, a number or a boolean is expected")  # noqa: TRY004 - pydantic wants it
    return dict(value)


PluginConfig = Annotated[
    dict[str, Any],
    Field(max_length=64),
    AfterValidator(_plain_properties),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 64,
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {
                key: {"x-kubernetes-int-or-string": True, "maxLength": 64, "description": text}
                for key, text in sorted(_NAMED_KEYS.items())
            },
        }
    ),
]
