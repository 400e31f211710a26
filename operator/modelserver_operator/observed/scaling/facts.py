"""All that is known of what scales one object."""

from dataclasses import dataclass

from modelserver_operator.observed.scaling.foreign import Foreign
from modelserver_operator.observed.scaling.report import HpaReport, ScaledObjectReport


@dataclass(frozen=True)
class Scaling:
    """At one moment."""

    hpa: HpaReport | None = None
    """Ours, or the one that KEDA made for us."""
    scaled_object: ScaledObjectReport | None = None
    foreign: tuple[Foreign, ...] = ()
    missing: frozenset[str] = frozenset()
    """Optional kinds that the API server does not serve."""
    is_changing: bool = False
    """Whether a scaler of our own of another kind goes, before the wanted one can come."""
    unread: tuple[str, ...] = ()
    """What could not be read, and why."""
