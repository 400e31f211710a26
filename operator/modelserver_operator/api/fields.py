"""Field types of the API: each with its Python check and its part of the CRD's schema."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_NUMBER = r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)"
_SUFFIX = r"([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?"
_QUANTITY = re.compile(_NUMBER + _SUFFIX)
_EXACT = Context(prec=160)
_SMALLEST = Decimal("1e-9")
_LARGEST_BINARY = Decimal(2**63 - 1)

_DEVICE = r"(CPU|GPU|NPU)(\.[0-9]{1,2})?"
DEVICE_PATTERN = (
    rf"^({_DEVICE}|AUTO|AUTO:-?{_DEVICE}(,-?{_DEVICE})*|HETERO:{_DEVICE}(,{_DEVICE})*"
    rf"|MULTI:{_DEVICE}(\([0-9]{{1,4}}\))?(,{_DEVICE}(\([0-9]{{1,4}}\))?)*|BATCH:{_DEVICE}(\([0-9]{{1,4}}\))?)$"
)


EXACT = 2**53 - 1
"""The greatest number that everybody reads alike: many JSON tools keep numbers as doubles (RFC 8259, 6.), and
so does the API server the `maximum` in a schema: it takes 2^53 + 1 for 2^53."""


def quantity(value: str | int) -> Decimal:
    """The value of a Kubernetes quantity, rounded and capped as Kubernetes does; raises ValueError."""
    match = _QUANTITY.fullmatch(str(value))
    if not match:
        raise ValueError(f"{value!r} is not a quantity such as 2, 500m, 8Gi or 1e9")
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        amount = _EXACT.multiply(number, Decimal(1024 ** _BINARY[suffix]))
        return min(_LARGEST_BINARY, amount.quantize(_SMALLEST, ROUND_CEILING, _EXACT))
    power = _SUFFIXES[suffix] if suffix in _SUFFIXES else int(suffix[1:])
    return number.scaleb(power, _EXACT).quantize(_SMALLEST, ROUND_CEILING, _EXACT)


@dataclass(frozen=True)
class IntOrText:
    """A Kubernetes int-or-string, bounded: the check in Python and the structural schema."""

    pattern: str
    length: int
    minimum: int
    maximum: int
    expected: str
    """What the message says is expected."""

    def check(self, value: object) -> int | str:
        """The value itself; raises ValueError."""
        if isinstance(value, str):
            is_right = len(value) <= self.length and re.fullmatch(self.pattern, value) is not None
        elif isinstance(value, int) and not isinstance(value, bool):
            is_right = self.minimum <= value <= self.maximum
        else:
            is_right = False
        if not is_right:
            hint = "; put it in quotes" if isinstance(value, float) else ""
            raise ValueError(f"{value!r} is not allowed; expected is {self.expected}{hint}")
        return value  # type: ignore[return-value]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """For pydantic: the check comes before all others."""
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """For the CRD."""
        return {
            "x-kubernetes-int-or-string": True,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "maxLength": self.length,
            "pattern": self.pattern,
        }


def keys_match(pattern: str, length: int, what: str) -> dict[str, Any]:
    """The rule for a map's keys, which a schema cannot check; the type of the keys checks it in Python."""
    return {
        "x-kubernetes-validations": [
            {
                "rule": f"self.all(key, size(key) <= {length} && key.matches(r'{pattern}'))",
                "message": f"a key is not {what}",
            }
        ]
    }


def map_keys(*names: str) -> dict[str, Any]:
    """A list whose items are known by these fields; `unique` is the check in Python."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(names)}


def unique(*names: str) -> AfterValidator:
    """No two items have the same values in these fields of the documents."""

    def check(items: list[Any]) -> list[Any]:
        seen = set()
        for item in items:
            key = tuple(item.model_dump(include=set(names)).values())
            if key in seen:
                raise ValueError(f"{', '.join(map(str, key))} is used twice")
            seen.add(key)
        return items

    return AfterValidator(check)


def _without_nulls(value: Any) -> Any:
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


DROP_NULLS = BeforeValidator(_without_nulls)
"""For maps: the API server drops entries that are null before it checks anything."""


class Record(BaseModel):
    """Frozen, camelCase in documents, unknown fields are errors, fields that are null count as absent."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict) or None not in value.values():
            return value
        names = {field.alias for field in cls.model_fields.values()}
        return {k: v for k, v in value.items() if v is not None or k not in names}


Quantity = Annotated[
    str,
    BeforeValidator(str),
    IntOrText(f"^{_NUMBER}{_SUFFIX}$", 24, 0, EXACT, "a quantity such as 2, 500m, 8Gi or 1e9"),
]
_RESOURCE = r"^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
Quantities = Annotated[
    dict[Annotated[str, StringConstraints(max_length=120, pattern=_RESOURCE)], Quantity],
    Field(
        max_length=16, json_schema_extra=keys_match(_RESOURCE, 120, "the name of a resource, such as memory")
    ),
    DROP_NULLS,
]

Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]
_QUALIFIED = (
    r"^([A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
_KEYS = keys_match(_QUALIFIED, 317, "a valid label or annotation key, such as team or example.com/team")
Key = Annotated[str, StringConstraints(max_length=317, pattern=_QUALIFIED)]
LabelValue = Annotated[
    str, StringConstraints(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")
]
Labels = Annotated[dict[Key, LabelValue], Field(max_length=64, json_schema_extra=_KEYS), DROP_NULLS]
Annotations = Annotated[
    dict[Key, Annotated[str, StringConstraints(max_length=4096)]],
    Field(max_length=64, json_schema_extra=_KEYS),
    DROP_NULLS,
]

Device = Annotated[str, StringConstraints(max_length=100, pattern=DEVICE_PATTERN)]
Hint = Literal["LATENCY", "THROUGHPUT", "CUMULATIVE_THROUGHPUT"]
Streams = Annotated[
    int | str, IntOrText("^(AUTO|NUMA)$", 4, 1, 4096, "a whole number from 1 to 4096, AUTO or NUMA")
]
Share = Annotated[
    int | str,
    IntOrText("^(100|[0-9]{1,2})%$", 4, 0, 1000, "a whole number from 0 to 1000, or a share such as 25%"),
]
ChannelArgument = Annotated[
    str,
    BeforeValidator(str),
    IntOrText("^[^,=]+$", 120, -(2**31), 2**31 - 1, "a number, or a text without , and ="),
]
_CHANNEL_KEY = r"^[A-Za-z0-9._-]+$"
ChannelArguments = Annotated[
    dict[Annotated[str, StringConstraints(max_length=120, pattern=_CHANNEL_KEY)], ChannelArgument],
    Field(
        max_length=32,
        json_schema_extra=keys_match(
            _CHANNEL_KEY, 120, "a gRPC argument, such as grpc.max_connection_age_ms"
        ),
    ),
    DROP_NULLS,
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
_NAMED_VALUE = IntOrText(
    "^(?s:.*)$", 64, -(2**31), 2**31 - 1, "a whole number or a text of at most 64 characters"
)


def _plain_properties(value: Mapping[str, Any]) -> dict[str, Any]:
    for key, item in value.items():
        if not isinstance(item, str | int | float | bool):
            raise ValueError(f"{key}: a string, a number or a boolean is expected")  # noqa: TRY004 - pydantic wants it
        if key in _NAMED_KEYS:
            _NAMED_VALUE.check(item)
    return dict(value)


PluginConfig = Annotated[
    dict[str, Any],
    Field(max_length=64),
    DROP_NULLS,
    AfterValidator(_plain_properties),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 64,
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {
                key: {
                    "x-kubernetes-int-or-string": True,
                    "maxLength": _NAMED_VALUE.length,
                    "minimum": _NAMED_VALUE.minimum,
                    "maximum": _NAMED_VALUE.maximum,
                    "description": text,
                }
                for key, text in sorted(_NAMED_KEYS.items())
            },
        }
    ),
]
