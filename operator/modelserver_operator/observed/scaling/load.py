"""The load of an object's pods, from `load` in their GET /status. Pure.

KEDA gets the sum over the pods, and the share of each pod is compared with the target (AverageValue): 4 pods
at 1.5 requests per stream with target 0.75 become 6 / 0.75 = 8.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from modelserver_operator.observed.report import Several, is_too_much

Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""What a pod's image answers is not trusted: no figure of it may become an endless number of replicas."""


class ModelLoad(BaseModel):
    """One model in one server."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True)

    in_flight: Amount
    queued: Amount
    streams: Annotated[int, Field(ge=0)] | None
    inline: bool = False

    @property
    def unanswered(self) -> float:
        """Requests that run and requests that wait."""
        return self.in_flight + self.queued


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    load: Several[ModelLoad]


@dataclass(frozen=True)
class Load:
    """Of one pod, or of all together."""

    requests_per_stream: float
    """Of the model for which it is highest."""
    concurrency: float
    """Unanswered requests of all models."""


NOTHING = Load(0.0, 0.0)


def read_load(document: bytes) -> Load | None:
    """From a server's /status; None when it reports none: an older server, or no server at all."""
    if is_too_much(document):
        return None
    try:
        return load_of(_Document.model_validate_json(document).load)
    except ValidationError:
        return None


def load_of(models: Iterable[ModelLoad]) -> Load:
    """One server's load. Models that run inline share one stream, the server's event loop."""
    models = tuple(models)
    on_loop = sum(model.unanswered for model in models if model.inline)
    alone = (model.unanswered / max(1, model.streams or 1) for model in models if not model.inline)
    return Load(max(on_loop, *alone, 0.0), sum(model.unanswered for model in models))


def summed(loads: Iterable[Load]) -> Load:
    """The load of all pods."""
    loads = tuple(loads)
    return Load(sum(one.requests_per_stream for one in loads), sum(one.concurrency for one in loads))
