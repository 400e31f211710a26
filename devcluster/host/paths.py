"""Where the local cluster keeps its files: a cache, with entries named by a hash of their sources."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from devcluster.errors import RequirementMissing

SOURCES = Path(__file__).resolve().parent.parent


def cache() -> Path:
    """The directory for everything that is kept between runs; MODELSERVER_CACHE changes it."""
    if chosen := os.environ.get("MODELSERVER_CACHE"):
        return Path(chosen).resolve()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "openvino-modelserver"


def clusters() -> Path:
    return cache() / "clusters"


def locks() -> Path:
    return cache() / "locks"


def logs() -> Path:
    directory = cache() / "logs"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def remove_unused(directory: Path, in_use: Path, days: float = 7) -> None:
    """Mark an entry of a directory as used now, and remove entries that were not used for a week."""
    os.utime(in_use)
    for entry in directory.iterdir():
        if entry != in_use and time.time() - entry.stat().st_mtime > days * 86400:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def fingerprint(files: Iterable[Path], *texts: str, root: Path = SOURCES) -> str:
    """A short hash of files (names below `root`, and contents) and texts, the same on every machine."""
    digest = hashlib.sha256()
    for file in sorted(files):
        name = str(file.relative_to(root)) if file.is_relative_to(root) else file.name
        digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    for text in texts:
        digest.update(f"\0{text}".encode())
    return digest.hexdigest()[:16]


def require_space(gigabytes: int, what: str) -> None:
    """Fail before a long build rather than in the middle of it."""
    root = cache()
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free / 1e9
    if free < gigabytes:
        raise RequirementMissing(
            f"Building {what} needs about {gigabytes} GB of disk space, but {root} has only {free:.1f} GB.\n"
            f"Free some space there, or set MODELSERVER_CACHE to a directory on a larger disk."
        )
