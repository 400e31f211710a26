"""What stands behind the fronts: the one thing the composition root hands to them."""

from dataclasses import dataclass

from modelserver.control import Control
from modelserver.dataplane import DataPlane
from modelserver.front.status import Health
from modelserver.limits import LiveLimits
from modelserver.metrics import Metrics

EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
"""Of the KServe v2 protocol, by the names it gives them."""


@dataclass(frozen=True)
class Backend:
    """Everything a front may ask."""

    plane: DataPlane
    health: Health
    limits: LiveLimits
    control: Control
    metrics: Metrics
