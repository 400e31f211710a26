"""The system packages the cluster needs, in this one place, and how they get there."""

import os
import shutil
from pathlib import Path

from devcluster.errors import RequirementMissing
from devcluster.host import paths
from devcluster.host.process import Runner

# Program: the Debian package that brings it.
PACKAGES = {
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "runc": "runc",
    "tar": "tar",
}
# What the node image needs inside stands in node/Dockerfile.
_CAP_SYS_RESOURCE = 24
_ADMINISTRATION = "/usr/local/sbin:/usr/sbin:/sbin"


def find(program: str) -> str | None:
    """A program on PATH or among the administrator's."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{_ADMINISTRATION}")


def require_root(purpose: str) -> None:
    if os.geteuid() != 0:
        raise RequirementMissing(
            f"{purpose} needs root. Run this command with sudo, or use a docker engine that already runs"
            f" and that this user may reach."
        )


def ensure(*programs: str) -> None:
    """Install the packages of programs that are not there; says so."""
    absent = sorted({PACKAGES[program] for program in programs if not find(program)})
    if not absent:
        return
    if not shutil.which("apt-get"):
        raise RequirementMissing(
            f"These packages are missing: {', '.join(absent)}. This command can install them on Debian"
            f" only; install what your system calls them (a running docker engine is enough for most)."
        )
    require_root(f"Installing {', '.join(absent)}")
    print(f"Installing system packages: {', '.join(absent)}", flush=True)
    apt = Runner("apt", {"DEBIAN_FRONTEND": "noninteractive"}, paths.logs() / "apt.log")
    apt.run(["apt-get", "update"], timeout=300)
    apt.run(["apt-get", "install", "--yes", "--no-install-recommends", *absent], timeout=900)


def may_raise_limits(status: str | None = None) -> bool:
    """Whether CAP_SYS_RESOURCE is within this machine's bounds (a status as in /proc/self/status)."""
    text = Path("/proc/self/status").read_text() if status is None else status
    bounds = next(line for line in text.splitlines() if line.startswith("CapBnd:"))
    return bool(int(bounds.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
