"""Model files on disk: which versions exist, and what they contain now.

Everything above sees only `Storage`, so that object stores can join as another implementation.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelserver.engine.names import MAPPING_FILE
from modelserver.errors import LoadFailed

MODEL_SUFFIXES = (".xml", ".onnx", ".pdmodel", ".pb", ".tflite")
SAVED_MODEL = "saved_model.pb"
_VERSION = re.compile(r"[0-9]{1,18}")
LOG = logging.getLogger(__name__)

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, size, modification time and inode of every file: equal means the same content."""


@dataclass(frozen=True)
class VersionFiles:
    """One version as it lies on disk."""

    number: int
    model: Path
    fingerprint: Fingerprint
    mapping: Path | None = None
    """Its mapping_config.json, where it has one."""

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

    def __init__(self) -> None:
        self._ignored: dict[str, tuple[str, ...]] = {}

    def scan(self, base: str) -> dict[int, VersionFiles]:
        """Look at the file system now."""
        path = Path(base)
        try:
            if path.is_file():
                return _present(_single(path))
            found, ignored = _scan_directory(path)
        except OSError as error:
            raise LoadFailed(f"Model path {base} cannot be read: {error.strerror or error}") from error
        self._tell(base, ignored)
        return found

    def _tell(self, base: str, ignored: tuple[str, ...]) -> None:
        """Polling looks every second; a person wants to read it once."""
        for message in ignored:
            if message not in self._ignored.get(base, ()):
                LOG.warning("%s (in %s)", message, base)
        self._ignored[base] = ignored


def _scan_directory(path: Path) -> tuple[dict[int, VersionFiles], tuple[str, ...]]:
    """The versions, and what is there besides and plays no part."""
    children = sorted(child for child in path.iterdir() if not child.name.startswith("."))
    directories = {int(child.name): child for child in children if _is_version(child)}
    if not directories and (version := _look_into(1, path)) is not None:
        return {1: version}, ()
    ignored = [_why_not(child) for child in children if child not in directories.values()]
    found = {}
    for number, directory in directories.items():
        version = _look_into(number, directory)
        if version is None:
            ignored.append(f"No model file found in version directory: {directory}")
        else:
            found[number] = version
    return found, tuple(ignored)


def _is_version(path: Path) -> bool:
    return bool(_VERSION.fullmatch(path.name)) and int(path.name) > 0 and path.is_dir()


def _why_not(path: Path) -> str:
    if re.fullmatch(r"-?[0-9]+", path.name) and int(path.name) <= 0:
        return f"Expected version directory name to be a number greater than 0. Got: {path.name}"
    if not path.is_dir():
        return f"Expected version directory but found a file. Got: {path.name}"
    return f"Expected version directory name to be in number format. Got: {path.name}"


def _single(path: Path) -> VersionFiles | None:
    """One model file; Paddle's may be named by its weights."""
    model = path.with_suffix(".pdmodel") if path.suffix == ".pdiparams" else path
    return VersionFiles(1, model, _fingerprint(_siblings(model))) if model.is_file() else None


def _look_into(number: int, directory: Path) -> VersionFiles | None:
    """The version in this directory; None while there is nothing that could be a model."""
    files = sorted(path for path in directory.iterdir() if path.is_file())
    models = [path for suffix in MODEL_SUFFIXES for path in files if path.suffix == suffix]
    if not models:
        return None
    mapping = directory / MAPPING_FILE
    names = mapping if mapping in files else None
    if models[0].name != SAVED_MODEL:
        return VersionFiles(number, models[0], _fingerprint(files), names)
    parts = [file for place in ("variables", "assets") for file in (directory / place).glob("*")]
    return VersionFiles(
        number, directory, _fingerprint([*files, *(part for part in parts if part.is_file())]), names
    )


def _present(version: VersionFiles | None) -> dict[int, VersionFiles]:
    return {} if version is None else {version.number: version}


def _siblings(path: Path) -> list[Path]:
    """A single model file and the weights that belong to it."""
    weights = [path.with_suffix(suffix) for suffix in (".bin", ".pdiparams")]
    return [path, *(sibling for sibling in weights if sibling.is_file())]


def _fingerprint(files: list[Path]) -> Fingerprint:
    stats = ((str(path), path.stat()) for path in sorted(files))
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats)
