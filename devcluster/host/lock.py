"""Named locks between processes on this machine; they are released when the holder is killed."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from devcluster.host import paths
from devcluster.host.progress import note


def is_free(name: str) -> bool:
    """Whether no process holds the lock now."""
    file = paths.locks() / f"{name}.lock"
    if not file.exists():
        return True
    with file.open("rb") as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextmanager
def lock(name: str, *, remove: bool = False) -> Iterator[None]:
    """Hold the lock `name`; with `remove` its file is deleted afterwards."""
    paths.locks().mkdir(parents=True, exist_ok=True)
    file = paths.locks() / f"{name}.lock"
    while True:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"Waiting for another devcluster command that uses {name}.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The previous holder may have removed the file; then our lock is on a file that others do not see.
        if file.exists() and os.fstat(descriptor).st_ino == file.stat().st_ino:
            break
        os.close(descriptor)
    try:
        yield
    finally:
        if remove:
            file.unlink(missing_ok=True)
        os.close(descriptor)
