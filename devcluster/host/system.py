"""The Debian packages that the cluster needs on this machine, and what this machine allows."""

import os
import shutil
from pathlib import Path

from devcluster.errors import RequirementMissing
from devcluster.host import paths
from devcluster.host.process import Runner
from devcluster.host.progress import note

# Program: the Debian package that contains it.
PACKAGES = {
    "cc": "gcc",
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "runc": "runc",
    "tar": "tar",
}
# The packages inside the node image are listed in node/Dockerfile.
_CAP_SYS_RESOURCE = 24
_ADMINISTRATION = "/usr/local/sbin:/usr/sbin:/sbin"


def find(program: str) -> str | None:
    """The path of a program on PATH or in a directory for administration programs."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{_ADMINISTRATION}")


def require_root(purpose: str) -> None:
    if os.geteuid() != 0:
        raise RequirementMissing(
            f"{purpose} needs root. Run this command with sudo, or start a docker engine that this user"
            f" has access to."
        )


def ensure(*programs: str) -> None:
    """Install the packages of programs that are missing, and print which."""
    absent = sorted({PACKAGES[program] for program in programs if not find(program)})
    if not absent:
        return
    if not shutil.which("apt-get"):
        raise RequirementMissing(
            f"These packages are missing: {', '.join(absent)}. This command can install them on Debian only."
            f" Install your system's equivalents; with a docker engine running, few of them are needed."
        )
    require_root(f"Installing {', '.join(absent)}")
    note(f"Installing system packages: {', '.join(absent)}")
    apt = Runner("apt", {"DEBIAN_FRONTEND": "noninteractive"}, paths.logs() / "apt.log")
    apt.run(["apt-get", "update"], timeout=300)
    apt.run(["apt-get", "install", "--yes", "--no-install-recommends", *absent], timeout=900)


def may_raise_limits(status: str | None = None) -> bool:
    """Whether CAP_SYS_RESOURCE is in the bounding set of a status as in /proc/self/status."""
    text = Path("/proc/self/status").read_text() if status is None else status
    bounds = next(line for line in text.splitlines() if line.startswith("CapBnd:"))
    return bool(int(bounds.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
