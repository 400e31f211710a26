"""What the logs show about the request that is being answered: its id, and the model it is for."""

import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field


def new_id() -> str:
    """For callers that send none."""
    return uuid.uuid4().hex


@dataclass(slots=True)
class RequestInfo:
    """One request on its way through the server; each part of the server fills in what it knows."""

    request_id: str = field(default_factory=new_id)
    model: str = ""
    version: int | None = None


CURRENT: ContextVar[RequestInfo | None] = ContextVar("request", default=None)
"""None for most requests: only those with an id of their own or with an access log are followed."""


def note(model: str, version: int | None) -> None:
    """Whom the request is for."""
    if (request := CURRENT.get()) is not None:
        request.model, request.version = model, version
