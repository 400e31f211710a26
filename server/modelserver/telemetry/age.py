"""How long this process has been running, by the kernel's clock where it tells: since before Python began."""

import os
import time
from pathlib import Path

_START = 19
"""The place of the start time in /proc/self/stat, counted after the program's name (proc_pid_stat(5))."""


_IMPORTED = time.clock_gettime(time.CLOCK_BOOTTIME)


def process_age() -> float:
    """In seconds, to a hundredth of one."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - _started())


def _started() -> float:
    try:
        # The name may contain spaces and brackets.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return int(fields[_START]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return _IMPORTED
