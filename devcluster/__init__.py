"""The local cluster under demo and tests: kind with a node, or a bare control plane."""

from devcluster.cluster import base_image, binaries, down, load, up
from devcluster.state import Cluster

__all__ = ["Cluster", "base_image", "binaries", "down", "load", "up"]
