"""Property names of old OpenVINO releases under their present names: files still carry the old ones.

Only the part of the tuning that renames; OpenVINO itself refuses the old names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelserver.errors import ConfigError

_RENAMED = {
    "CPU_THROUGHPUT_STREAMS": "NUM_STREAMS",
    "GPU_THROUGHPUT_STREAMS": "NUM_STREAMS",
    "CPU_THREADS_NUM": "INFERENCE_NUM_THREADS",
}
_STREAM_VALUES = {
    "CPU_THROUGHPUT_AUTO": "AUTO",
    "GPU_THROUGHPUT_AUTO": "AUTO",
    "CPU_THROUGHPUT_NUMA": "NUMA",
}
_BINDING: Mapping[str, Mapping[str, Any]] = {
    "YES": {"ENABLE_CPU_PINNING": True},
    "NUMA": {"ENABLE_CPU_PINNING": True},
    "HYBRID_AWARE": {"ENABLE_CPU_PINNING": True, "SCHEDULING_CORE_TYPE": "ANY_CORE"},
    "NO": {"ENABLE_CPU_PINNING": False},
}
LEGACY_NAMES = frozenset({*_RENAMED, *_STREAM_VALUES, "CPU_BIND_THREAD"})


@dataclass(frozen=True)
class Translation:
    """Settings under their present names."""

    properties: Mapping[str, Any]
    written: Mapping[str, str]
    """Each present name's key as the user wrote it, e.g. CPU_THROUGHPUT_STREAMS for NUM_STREAMS."""

    def key(self, name: str) -> str:
        """The key that the user wrote for this present name; the name itself where there is none."""
        return self.written.get(name, name)

    def explain(self, message: str) -> str:
        """The message with the keys that the user wrote for the present names in it."""
        keys = [
            f"{key} in plugin_config"
            for name, key in self.written.items()
            if key != name and re.search(rf"\b{re.escape(name)}\b", message)
        ]
        return f"{message} (given as {', '.join(keys)})" if keys else message


def translation(config: Mapping[str, Any]) -> Translation:
    """The same settings under present names; two that say different things are refused."""
    properties: dict[str, Any] = {}
    written: dict[str, str] = {}
    for key, value in config.items():
        for name, present in _translate_one(key, value).items():
            if name in properties and properties[name] != present:
                raise ConfigError(
                    f"plugin_config: {written[name]} and {key} both set {name}, to different values: keep one"
                )
            properties[name] = present
            written.setdefault(name, key)
    return Translation(properties, written)


def translate(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The translated settings alone."""
    return translation(config).properties


def _translate_one(written: str, value: Any) -> Mapping[str, Any]:
    key = written.removeprefix("KEY_")
    if key in _STREAM_VALUES:
        return {"NUM_STREAMS": _STREAM_VALUES[key]}
    if key == "CPU_BIND_THREAD":
        return _translate_binding(written, value)
    name = _RENAMED.get(key, key)
    if name == "NUM_STREAMS":
        return {name: _translate_streams(written, value)}
    return {name: value}


def _translate_binding(written: str, value: Any) -> Mapping[str, Any]:
    try:
        return _BINDING[str(value).upper().removeprefix("KEY_")]
    except KeyError:
        known = ", ".join(_BINDING)
        raise ConfigError(f"plugin_config: {written} is one of {known}, not {value!r}") from None


def _translate_streams(written: str, value: Any) -> int | str:
    text = str(value).upper().removeprefix("KEY_")
    text = _STREAM_VALUES.get(text, text)
    if text in ("AUTO", "NUMA"):
        return text
    if text == "-1":
        return "AUTO"
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise ConfigError(
            f"plugin_config: {written} is a whole number of at least 1, AUTO or NUMA, not {value!r}"
        )
    return int(text)
