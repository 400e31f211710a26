"""What scales an object and protects its replicas: scaler, disruption budget, capacity buffer."""

from dataclasses import dataclass
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer
from modelserver_operator.desired.scaling.budget import disruption_budget
from modelserver_operator.desired.scaling.buffer import capacity_buffer
from modelserver_operator.desired.scaling.horizontal import horizontal_autoscaler
from modelserver_operator.desired.scaling.scaled_object import scaled_object
from modelserver_operator.desired.scaling.wish import scaler_kind

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Surroundings:
    """What the cluster decides about these children."""

    scale_url: str = "http://modelserver-operator.modelserver-system.svc:8090"
    """Where KEDA reaches the operator."""
    key: str = "KEY"
    """What a question for this object's load must contain."""
    api_versions: tuple[tuple[str, str], ...] = tuple(
        (kind, f"{place.group}/{place.version}") for kind, place in naming.OPTIONAL.items()
    )
    """Of the optional kinds that the API server serves."""
    waits: bool = False
    """Whether no scaler may be there now: another one is, or is on its way out."""
    budget: str = ""
    """A disruption budget of others over the object's pods: with two no pod could be evicted any more."""

    def api_version(self, kind: str) -> str:
        """Of an optional kind; empty where the API server does not serve it."""
        return dict(self.api_versions).get(kind, "")


EXAMPLE = Surroundings()
"""Of manifests that are only shown: a cluster that has everything."""


def scaling(server: ModelServer, around: Surroundings) -> tuple[Manifest | None, ...]:
    """None for each child that the object does not need, or that cannot be there."""
    budget = None if around.budget else disruption_budget(server)
    return (budget, _scaler(server, around), _buffer(server, around))


def _scaler(server: ModelServer, around: Surroundings) -> Manifest | None:
    if around.waits or server.spec.autoscaling is None:
        return None
    if scaler_kind(server.spec) == naming.HPA:
        return horizontal_autoscaler(server)
    version = around.api_version(naming.SCALED_OBJECT)
    url = f"{around.scale_url}/scale/{server.namespace}/{server.name}?key={around.key}"
    return scaled_object(server, version, url) if version else None


def _buffer(server: ModelServer, around: Surroundings) -> Manifest | None:
    version = around.api_version(naming.CAPACITY_BUFFER)
    return capacity_buffer(server, version) if version else None


__all__ = ["EXAMPLE", "Surroundings", "scaling"]
