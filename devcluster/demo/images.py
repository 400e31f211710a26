"""Build the project's two images, with the engine that is there.

An image's tag holds a hash of everything that goes into it, so that an image that exists is
never built again and a cluster never runs a stale one.
"""

import hashlib
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devcluster import rootfs
from devcluster.engine import Engine

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = {
    "server": ("Dockerfile.server", "server/modelserver"),
    "operator": ("Dockerfile.operator", "operator/modelserver_operator"),
}
COMMON = ("pyproject.toml", "constraints.txt", ".dockerignore")


@dataclass(frozen=True)
class Image:
    """A built image; `size` in bytes."""

    repository: str
    tag: str
    size: int

    @property
    def name(self) -> str:
        """`repository:tag`."""
        return f"{self.repository}:{self.tag}"
