"""A lock by name between processes on this machine; a killed holder frees it."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from devcluster.host import paths


def is_free(name: str) -> bool:
    """Whether nobody holds the lock now."""
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
    """Hold the lock `name`; with `remove` its file goes away afterwards."""
    paths.locks().mkdir(parents=True, exist_ok=True)
    file = paths.locks() / f"{name}.lock"
    while True:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another devcluster command ({name}) to end.", file=sys.stderr, flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The holder before us may have removed the file: then we hold a lock nobody else will meet.
        if file.exists() and os.fstat(descriptor).st_ino == file.stat().st_ino:
            break
        os.close(descriptor)
    try:
        yield
    finally:
        if remove:
            file.unlink(missing_ok=True)
        os.close(descriptor)
