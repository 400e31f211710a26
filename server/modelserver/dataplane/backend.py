"""What stands behind the fronts: the one thing the composition root hands to them."""

from dataclasses import dataclass

from modelserver.admission import LiveLimits
from modelserver.dataplane.control import Control
from modelserver.dataplane.plane import DataPlane
from modelserver.dataplane.status import Health
from modelserver.telemetry.metrics import Metrics
from modelserver.threads import Threads

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
    threads: Threads
