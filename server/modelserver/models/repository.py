"""Model files on disk: which versions exist, and what they contain now.

Everything above sees only `Storage`, so that object stores can join as another implementation.
"""

import errno
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

from modelserver.engine.names import MAPPING_FILE
from modelserver.errors import LoadFailed
from modelserver.models.layout import SAVED_MODEL, is_hidden, model_files, parts_of
from modelserver.settings.policy import MAX_VERSION

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
LOG = logging.getLogger(__name__)

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, size, modification time and inode of every file: equal means the same content.

Not the time of the last change of status: another pod that mounts the volume may set the files' group.
"""


@dataclass(frozen=True)
class VersionFiles:
    """One version as it lies on disk."""

    number: int
    model: Path
    fingerprint: Fingerprint
    mapping: Path | None = None
    """Its mapping_config.json, where it has one."""
    fault: str | None = None
    """Why its files cannot be looked at; then it cannot be loaded, and others can."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(size for _, size, _, _ in self.fingerprint)

    @property
    def modified(self) -> int:
        """When one of its files was last written: nanoseconds since 1970, by the file system's clock."""
        return max((modified for _, _, modified, _ in self.fingerprint), default=0)


class Storage(Protocol):
    """Where versions come from."""

    def scan(self, base: str) -> dict[int, VersionFiles]:
        """Every version found under `base`; raises LoadFailed when `base` itself cannot be read."""


class LocalStorage:
    """Version directories, one unversioned directory, or a single model file (both are version 1)."""

    def __init__(self) -> None:
        self._noted: dict[str, tuple[str, ...]] = {}

    def scan(self, base: str) -> dict[int, VersionFiles]:
        """Look at the file system now."""
        path = Path(base)
        try:
            found, notes = ([_single(path)], []) if path.is_file() else _scan_directory(path)
        except OSError as error:
            raise LoadFailed(f"Model path {base} cannot be read: {error.strerror or error}") from error
        except ValueError as error:  # a NUL byte
            raise LoadFailed(f"Model path {base!r} cannot be read: {error}") from error
        self._tell(base, tuple(notes))
        return {version.number: version for version in found if version is not None}

    def _tell(self, base: str, notes: tuple[str, ...]) -> None:
        """Polling looks every second; a person wants to read it once."""
        for message in notes:
            if message not in self._noted.get(base, ()):
                LOG.warning("%s (in %s)", message, base)
        self._noted[base] = notes


def _scan_directory(path: Path) -> tuple[list[VersionFiles | None], list[str]]:
    """The versions, and notes for the log: what plays no part, and which of several models was chosen."""
    children = sorted(child for child in path.iterdir() if not is_hidden(child.name))
    # The shortest name of a number comes last: 7 wins over 007.
    longest_first = sorted(children, key=lambda child: -len(child.name))
    directories = {int(child.name): child for child in longest_first if _is_version(child)}
    if not directories:
        version, note = _look_into(1, path)
        if version is not None:
            return [version], note
    notes = [_why_not(child) for child in children if child not in directories.values()]
    found = [_look_into(number, directory) for number, directory in directories.items()]
    return [version for version, _ in found], notes + [text for _, note in found for text in note]


def _is_version(path: Path) -> bool:
    is_number = bool(re.fullmatch(r"[0-9]+", path.name))
    return is_number and 0 < int(path.name) <= MAX_VERSION and _is_directory(path)


def _is_directory(path: Path) -> bool:
    """Also where a link leads to what cannot be looked at: reading it will say why."""
    try:
        return path.is_dir()
    except OSError:
        return True


def _why_not(path: Path) -> str:
    is_number = bool(re.fullmatch(r"-?[0-9]+", path.name))
    if is_number and int(path.name) <= 0:
        return f"Expected version directory name to be a number greater than 0. Got: {path.name}"
    if not _is_directory(path):
        return f"Expected version directory but found a file. Got: {path.name}"
    if not is_number:
        return f"Expected version directory name to be in number format. Got: {path.name}"
    if int(path.name) > MAX_VERSION:
        return f"Expected version directory name to be a number up to {MAX_VERSION}. Got: {path.name}"
    return f"Version directory {path.name} is ignored: another one has the same number"


def _single(path: Path) -> VersionFiles | None:
    """One model file; Paddle's may be named by its weights."""
    model = path.with_suffix(".pdmodel") if path.suffix == ".pdiparams" else path
    return VersionFiles(1, model, _fingerprint(parts_of(model))) if model.is_file() else None


def _look_into(number: int, directory: Path) -> tuple[VersionFiles | None, list[str]]:
    """The version in this directory, and notes for the log; None where nothing could be a model."""
    try:
        return _version_in(number, directory)
    except OSError as error:
        fault = f"{error.filename or directory} cannot be read: {error.strerror or error}"
        return VersionFiles(number, directory, (), fault=fault), []


def _version_in(number: int, directory: Path) -> tuple[VersionFiles | None, list[str]]:
    with os.scandir(directory) as entries:
        files = [entry.name for entry in entries if _is_file(entry)]
    models = model_files(files)
    if not models:
        return None, [f"No model file found in version directory: {directory}"]
    chosen, *others = models
    notes = [f"Several model files in {directory}: {chosen} is used, not {', '.join(others)}"] * bool(others)
    mapping = directory / MAPPING_FILE if MAPPING_FILE in files else None
    parts = parts_of(directory / chosen)
    fingerprint = _fingerprint(parts if mapping is None else [*parts, mapping])
    model = directory if chosen == SAVED_MODEL else directory / chosen
    return VersionFiles(number, model, fingerprint, mapping), notes


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Also where that cannot be found out: it does not matter unless the model is read from it."""
    try:
        return entry.is_file()
    except OSError:
        return True


def _fingerprint(files: Iterable[Path]) -> Fingerprint:
    """Of those that are there."""
    stats = ((str(path), _stat(path)) for path in sorted(files))
    return tuple(
        (name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats if stat is not None
    )


def _stat(path: Path) -> os.stat_result | None:
    """Of a regular file; None where there is none. What cannot be found out is an OSError, never a None."""
    try:
        stat = path.stat()
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    return stat if S_ISREG(stat.st_mode) else None
