"""What the cluster's version says about its kubelets, which no right is needed for."""

import logging

from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError

_SKEW = 3
"""A kubelet may be this many minor versions older than the API server."""
_LIFTS_QUOTA = 33
_logger = logging.getLogger(__name__)


async def lift_quota(cluster: Cluster) -> bool:
    """Whether every kubelet lifts the CFS quota of a container with exclusive CPUs, as they do since 1.33.

    False also where that cannot be read: then a quota speaks neither for nor against anything.
    """
    try:
        return await cluster.minor_version() - _SKEW >= _LIFTS_QUOTA
    except ApiError as error:
        _logger.warning("the version of the cluster cannot be read: %s", error)
        return False
