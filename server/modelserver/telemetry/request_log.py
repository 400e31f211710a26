"""What the logs tell about the request that is being answered: its id, and the model it is for."""

import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field


def new_id() -> str:
    """For callers that send none."""
    return uuid.uuid4().hex


@dataclass(slots=True)
class Journey:
    """One request on its way through the server; filled by whoever knows."""

    request_id: str = field(default_factory=new_id)
    model: str = ""
    version: int | None = None


CURRENT: ContextVar[Journey | None] = ContextVar("journey", default=None)
"""None for most requests: only those with an id of their own or with an access log are followed."""


def note(model: str, version: int | None) -> None:
    """Whom the request is for."""
    if (journey := CURRENT.get()) is not None:
        journey.model, journey.version = model, version
