"""The local cluster under demo and tests: kind with a node, or a bare control plane."""

from devcluster.cluster import binaries, down, load, up
from devcluster.state import Cluster

__all__ = ["Cluster", "binaries", "down", "load", "up"]
