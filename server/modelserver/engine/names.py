"""mapping_config.json in a version's directory: the names under which clients see the model's tensors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from modelserver.errors import ConfigError, LoadFailed
from modelserver.settings.config_file import Shaping
from modelserver.settings.strict_json import read_json
from modelserver.signature import Spec

MAPPING_FILE = "mapping_config.json"


@dataclass(frozen=True)
class Names:
    """Tensor name to alias; what is not listed keeps its names."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)

    def rename(
        self, inputs: Iterable[Spec], outputs: Iterable[Spec]
    ) -> tuple[tuple[Spec, ...], tuple[Spec, ...]]:
        """The tensors as clients see them; LoadFailed when the file names one that is not there."""
        return _renamed(tuple(inputs), self.inputs, "inputs"), _renamed(
            tuple(outputs), self.outputs, "outputs"
        )

    def translate(self, shaping: Shaping) -> Shaping:
        """Settings per tensor may use aliases: the same settings under the model's own names."""
        own = {alias: name for names in (self.inputs, self.outputs) for name, alias in names.items()}
        changed: dict[str, Any] = {
            key: {own.get(name, name): text for name, text in value.items()}
            for key, value in vars(shaping).items()
            if isinstance(value, Mapping)
        }
        return replace(shaping, **changed)


def read_names(path: Path | None) -> Names:
    """Parse the file, if there is one."""
    if path is None:
        return Names()
    try:
        raw = read_json(path)
    except OSError as error:
        raise LoadFailed(f"{MAPPING_FILE} cannot be read: {error.strerror or error}") from error
    except orjson.JSONDecodeError as error:
        raise LoadFailed(f"{MAPPING_FILE} is not valid JSON: {error}") from error
    except ConfigError as error:
        raise LoadFailed(f"{MAPPING_FILE}: {error}") from error
    if (
        not isinstance(raw, dict)
        or raw.keys() - {"inputs", "outputs"}
        or not all(map(_are_names, raw.values()))
    ):
        raise LoadFailed(
            f'{MAPPING_FILE}: {{"inputs": {{"tensor": "alias"}}, "outputs": {{...}}}} is expected'
        )
    return Names(raw.get("inputs", {}), raw.get("outputs", {}))


def _are_names(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(alias, str) and alias for alias in value.values())


def _renamed(specs: tuple[Spec, ...], names: Mapping[str, str], side: str) -> tuple[Spec, ...]:
    for name in names:
        if not any(name in spec.aliases for spec in specs):
            known = ", ".join(spec.name for spec in specs)
            raise LoadFailed(f"{MAPPING_FILE}: {side}: the model has no {name}; it has {known}")
    for spec in specs:
        if len(given := sorted(names.keys() & spec.aliases)) > 1:
            raise LoadFailed(f"{MAPPING_FILE}: {side}: {' and '.join(given)} are one tensor")
    renamed = tuple(_with_alias(spec, names) for spec in specs)
    seen = [spec.name for spec in renamed]
    if twice := {name for name in seen if seen.count(name) > 1}:
        blamed = f"{MAPPING_FILE}: {side}" if names else f"the model's {side}"
        raise LoadFailed(f"{blamed}: {', '.join(sorted(twice))} would name two tensors")
    return renamed


def _with_alias(spec: Spec, names: Mapping[str, str]) -> Spec:
    alias = next((alias for name, alias in names.items() if name in spec.aliases), None)
    return spec if alias is None else replace(spec, name=alias, aliases=frozenset({alias}))
