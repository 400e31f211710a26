"""Model files on disk: which versions exist, which of them a policy selects, what they contain now.

Everything above sees only `Storage`, so that object stores can join as another implementation.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelserver.errors import ConfigError, LoadFailed

MODEL_SUFFIXES = (".xml", ".onnx", ".pdmodel", ".pb", ".tflite")
_VERSION = re.compile(r"[0-9]+")

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, size, modification time and inode of every file: equal means the same content."""


@dataclass(frozen=True)
class Policy:
    """Which of the versions found are wanted: the newest `latest`, exactly `versions`, or all."""

    latest: int = 1
    versions: frozenset[int] = frozenset()
    everything: bool = False

    def select(self, available: Collection[int]) -> set[int]:
        """The wanted ones among those available."""
        if self.everything:
            return set(available)
        if self.versions:
            return set(available) & self.versions
        return set(sorted(available)[-self.latest :])


def parse_policy(raw: object) -> Policy:
    """OVMS's `{"latest": {"num_versions": 1}}`, `{"specific": {"versions": [1]}}`, `{"all": {}}`."""
    if raw is None:
        return Policy()
    if not isinstance(raw, Mapping) or len(raw) != 1:
        raise ConfigError(f"Model version policy is in wrong format: {raw}")
    match raw:
        case {"latest": {"num_versions": int(count)}} if count >= 1:
            return Policy(latest=count)
        case {"specific": {"versions": [*numbers]}} if numbers and _are_versions(numbers):
            return Policy(versions=frozenset(numbers))
        case {"all": {}}:
            return Policy(everything=True)
        case {"latest": _} | {"specific": _} | {"all": _}:
            raise ConfigError(f"Model version policy is in wrong format: {raw}")
    raise ConfigError(f"Model version policy contains unsupported key: {raw}")


def _are_versions(numbers: list[object]) -> bool:
    return all(isinstance(n, int) and n > 0 for n in numbers)


@dataclass(frozen=True)
class VersionFiles:
    """One version as it lies on disk."""

    number: int
    model: Path
    fingerprint: Fingerprint

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(size for _, size, _, _ in self.fingerprint)


class Storage(Protocol):
    """Where versions come from."""

    def scan(self, base: str) -> dict[int, VersionFiles]:
        """Every version found under `base`; raises LoadFailed when `base` itself cannot be read."""


class LocalStorage:
    """Version directories, one unversioned directory, or a single model file (both are version 1)."""

    def scan(self, base: str) -> dict[int, VersionFiles]:
        """Look at the file system now."""
        path = Path(base)
        try:
            if path.is_file():
                return _present(VersionFiles(1, path, _fingerprint(_siblings(path))))
            return self._scan_directory(path)
        except OSError as error:
            raise LoadFailed(f"Model path {base} cannot be read: {error.strerror or error}") from error

    def _scan_directory(self, path: Path) -> dict[int, VersionFiles]:
        children = list(path.iterdir())
        versions = {int(child.name): child for child in children if _is_version(child)}
        if not versions:
            return _present(_look_into(1, path))
        found: dict[int, VersionFiles] = {}
        for number, directory in versions.items():
            found |= _present(_look_into(number, directory))
        return found


def _is_version(path: Path) -> bool:
    return bool(_VERSION.fullmatch(path.name)) and int(path.name) > 0 and path.is_dir()


def _look_into(number: int, directory: Path) -> VersionFiles | None:
    """The version in this directory; None while there is nothing that could be a model."""
    files = [path for path in directory.iterdir() if path.is_file()]
    for suffix in MODEL_SUFFIXES:
        for path in sorted(files):
            if path.suffix == suffix:
                if path.name == "saved_model.pb":
                    variables = [file for file in (directory / "variables").glob("*") if file.is_file()]
                    return VersionFiles(number, directory, _fingerprint([*files, *variables]))
                return VersionFiles(number, path, _fingerprint(files))
    return None


def _present(version: VersionFiles | None) -> dict[int, VersionFiles]:
    return {} if version is None else {version.number: version}


def _siblings(path: Path) -> list[Path]:
    """A single model file and the weights that belong to it."""
    weights = [path.with_suffix(suffix) for suffix in (".bin", ".pdiparams")]
    return [path, *(sibling for sibling in weights if sibling.is_file())]


def _fingerprint(files: list[Path]) -> Fingerprint:
    stats = ((str(path), path.stat()) for path in sorted(files))
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats)
