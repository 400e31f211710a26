"""What to serve and how: parsed once from the command line or config.json, frozen afterwards."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson

from modelserver.errors import ConfigError
from modelserver.settings import notation, unsupported
from modelserver.settings.limits import parse_limits
from modelserver.settings.monitoring import METRICS_KEYS, Monitoring, parse_monitoring
from modelserver.settings.policy import Policy, parse_policy
from modelserver.settings.strict_json import SWITCH, Known, parse_json, read_json, without_unknown
from modelserver.settings.texts import require_name, require_visible, shown
from modelserver.tuning.wish import Wish

_TOP_KEYS = {"revision", "server", "model_config_list", "monitoring", SWITCH}
_SERVER_KEYS = ("file_system_poll_wait_seconds", "queue_size", "request_timeout_seconds", "max_request_bytes")


@dataclass(frozen=True)
class Shaping:
    """How the served inputs differ from the model file's; each as OVMS writes it."""

    batch_size: str | None = None
    shape: str | Mapping[str, str] | None = None
    layout: str | Mapping[str, str] | None = None
    precision: str | Mapping[str, str] | None = None
    color_format: str | Mapping[str, str] | None = None
    mean: str | Mapping[str, str] | None = None
    scale: str | Mapping[str, str] | None = None

    def check(self) -> None:
        """Raises ConfigError for a text that no model could follow."""
        for option, value in vars(self).items():
            if value is not None:
                notation.check(option, value)


@dataclass(frozen=True)
class ModelSettings:
    """One model."""

    name: str
    base_path: str
    policy: Policy = field(default_factory=Policy)
    shaping: Shaping = field(default_factory=Shaping)
    wish: Wish = field(default_factory=Wish)


@dataclass(frozen=True)
class Configuration:
    """Everything that can change while the server runs."""

    models: tuple[ModelSettings, ...]
    revision: str | None = None
    poll_seconds: float | None = None
    """None: as the command line says."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Fields of Limits that win over the command line's."""
    monitoring: Monitoring | None = None
    """Read once, at start; None: as the command line says."""
    ignored: tuple[str, ...] = ()
    """Paths of keys that this server does not know; only where the file says `"unknownKeys": "warn"`."""


def read_configuration(path: Path) -> Configuration:
    """Parse config.json; a ConfigError names the file, the place and the fault."""
    try:
        return parse_configuration(read_json(path), path.parent)
    except OSError as error:
        raise ConfigError(f"Config file {path} cannot be read: {error.strerror or error}") from error
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"Config file {path} is not valid JSON: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"Config file {path}: {error}") from error


def parse_configuration(raw: Any, directory: Path) -> Configuration:
    """Relative model paths are relative to `directory`."""
    if not isinstance(raw, dict) or not isinstance(raw.get("model_config_list"), list):
        raise ConfigError("model_config_list is missing; it lists the models")
    raw, ignored = without_unknown(raw, _KNOWN)
    _refuse_unknown_top_keys(raw)
    models = []
    for index, entry in enumerate(raw["model_config_list"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict) or len(entry) > 1:
            raise ConfigError(f"model_config_list[{index}]: an object with the only key config is expected")
        models.append(_parse_entry(entry["config"], index, directory))
    names = [model.name for model in models]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"model names are used twice: {', '.join(sorted(twice))}")
    revision, server = raw.get("revision"), _server(raw)
    return Configuration(
        tuple(models),
        None if revision is None else str(revision),
        _poll_seconds(server),
        parse_limits(server),
        parse_monitoring(raw.get("monitoring")),
        ignored,
    )


def _refuse_unknown_top_keys(raw: Mapping[str, Any]) -> None:
    for key in raw.keys() - _TOP_KEYS:
        if key not in unsupported.TOP_KEYS:
            raise ConfigError(f"unknown key {key}")
        if raw[key]:
            raise ConfigError(
                f"{key}: {unsupported.TOP_KEYS[key]} are not supported by this server; remove it"
            )


def _server(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    server = {} if raw.get("server") is None else raw["server"]
    if not isinstance(server, dict):
        raise ConfigError("server: an object is expected")
    if unknown := sorted(server.keys() - set(_SERVER_KEYS)):
        raise ConfigError(f"server: unknown key {', '.join(unknown)}; known are {', '.join(_SERVER_KEYS)}")
    return server


def _poll_seconds(server: Mapping[str, Any]) -> float | None:
    value = server.get("file_system_poll_wait_seconds")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(
            "server.file_system_poll_wait_seconds is a whole number of seconds, 0 turns polling off"
        )
    return float(value)


def _parse_entry(raw: Mapping[str, Any], index: int, directory: Path) -> ModelSettings:
    try:
        return parse_model(raw, directory)
    except ConfigError as error:
        raise ConfigError(
            f"model_config_list[{index}] ({shown(raw.get('name', 'without name'))}): {error}"
        ) from error


_SHAPING_KEYS = tuple(item.name for item in fields(Shaping))
_TUNING_KEYS = ("hint", "streams", "expected_clients", "nireq")
_IGNORED_KEYS = {"allow_cache"}
_MODEL_KEYS = {"name", "base_path", "target_device", "model_version_policy", "plugin_config"}
_MODEL_KEYS |= {*_SHAPING_KEYS, *_TUNING_KEYS, *_IGNORED_KEYS}
_KNOWN = Known(
    top=_TOP_KEYS | unsupported.TOP_KEYS.keys(),
    server=_SERVER_KEYS,
    monitoring=("metrics",),
    metrics=METRICS_KEYS,
    model=_MODEL_KEYS | unsupported.MODEL_KEYS.keys(),
)


def parse_model(raw: Mapping[str, Any], directory: Path) -> ModelSettings:
    """One `config` object, or the same keys gathered from the command line."""
    _refuse_unknown_model_keys(raw)
    if raw.get("allow_cache") not in (None, True, False, "true", "false"):
        raise ConfigError(f"allow_cache must be true or false, not {raw['allow_cache']!r}")
    name, base = _text(raw, "name"), _text(raw, "base_path")
    _refuse_control_characters(raw)
    require_name("name", name)
    return ModelSettings(
        name=name,
        base_path=_local_path(base, directory),
        policy=parse_policy(_json_or_value(raw.get("model_version_policy"), "model_version_policy")),
        shaping=_parse_shaping(raw),
        wish=_parse_wish(raw),
    )


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if value in (None, ""):
        raise ConfigError(f"{key} is missing")
    if not isinstance(value, str):
        raise ConfigError(f"{key} must be a text, not {value!r}")
    return value


def _refuse_unknown_model_keys(raw: Mapping[str, Any]) -> None:
    for key in raw.keys() - _MODEL_KEYS:
        if key not in unsupported.MODEL_KEYS:
            raise ConfigError(f"unknown key {key}")
        if raw[key]:
            raise ConfigError(
                f"{key}: {unsupported.MODEL_KEYS[key]} are not supported by this server; remove it"
            )


def _refuse_control_characters(raw: Mapping[str, Any]) -> None:
    for key, value in raw.items():
        if isinstance(value, str):
            require_visible(key, value)


def _local_path(base: str, directory: Path) -> str:
    if re.match(r"[a-z0-9]+://", base):
        scheme, _, rest = base.partition("://")
        if scheme != "file":
            raise ConfigError(
                f"base_path {base}: {scheme}:// storage is not supported yet; mount the files instead"
            )
        base = rest
    if "\0" in base:
        raise ConfigError(f"base_path {base!r} must not contain a NUL byte")
    path = directory / base
    if ".." in path.parts:
        raise ConfigError(f"base_path {base} must not contain ..")
    return str(path)


def _parse_shaping(raw: Mapping[str, Any]) -> Shaping:
    given: dict[str, Any] = {
        key: str(raw[key]) if key == "batch_size" else _text_or_map(raw[key], key)
        for key in _SHAPING_KEYS
        if raw.get(key) is not None
    }
    if given.get("batch_size") == "0":  # OVMS's word for the model's own
        del given["batch_size"]
    return Shaping(**given)


def _parse_wish(raw: Mapping[str, Any]) -> Wish:
    plugin_config = _json_or_value(raw.get("plugin_config"), "plugin_config")
    if not isinstance(plugin_config, dict | None):
        raise ConfigError("plugin_config must be a JSON object of OpenVINO properties")
    hint = raw.get("hint")
    return Wish(
        device=str(raw.get("target_device") or "CPU"),
        hint=None if hint is None else str(hint).upper(),
        streams=_streams(raw.get("streams")),
        expected_clients=_count(raw.get("expected_clients"), "expected_clients"),
        nireq=_count(raw.get("nireq"), "nireq") if raw.get("nireq") not in (0, "0") else None,
        plugin_config=plugin_config or {},
    )


def _streams(value: Any) -> int | str | None:
    if value is None or str(value).upper() in ("AUTO", "NUMA"):
        return None if value is None else str(value).upper()
    return _count(value, "streams")


def _count(value: Any, name: str) -> int | None:
    if value is None:
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise ConfigError(f"{name} must be a whole number of at least 1, not {value!r}")
    return int(text)


def _json_or_value(value: Any, name: str) -> Any:
    """OVMS writes objects as JSON text on the command line and often in the file too."""
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{name} is not valid JSON: {error}; got {value!r}") from error
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def _text_or_map(value: Any, name: str) -> str | dict[str, str]:
    """`(1,3)` and `auto` stay text; a JSON object names one value per tensor."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _json_or_value(value, name)
    if isinstance(value, dict):
        return {str(key): str(item) for key, item in value.items()}
    return str(value)
