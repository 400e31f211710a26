"""The device files of GPUs and NPUs, and whether this process may use them.

OpenVINO only leaves out a device whose file it cannot open; the group that would be needed says why.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_PATTERNS = ("dri/renderD*", "accel/accel*")


@dataclass(frozen=True)
class DeviceFile:
    """One file below /dev."""

    path: str
    group: int
    is_usable: bool
    """Whether this process can open it for reading and writing."""

    def document(self) -> dict[str, object]:
        """Its part of GET /status."""
        return {"path": self.path, "group": self.group, "usable": self.is_usable}


def device_files(root: Path = Path("/dev")) -> tuple[DeviceFile, ...]:
    """Render nodes and accelerators, in the order of their names."""
    found = []
    for path in sorted(path for pattern in _PATTERNS for path in root.glob(pattern)):
        with contextlib.suppress(OSError):  # taken away meanwhile
            found.append(DeviceFile(str(path), path.stat().st_gid, _opens(path)))
    return tuple(found)


def _opens(path: Path) -> bool:
    """Whether it can be opened: the device cgroup refuses what the file's mode would allow.

    Opening a render node or an accelerator only makes a context that closing ends.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError:
        return False
    return True
