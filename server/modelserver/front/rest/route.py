"""One row of the HTTP table."""

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from modelserver.front.rest.infer import Inference

Handler = Callable[..., Coroutine[Any, Any, Any]]
"""A path operation function of FastAPI."""


@dataclass(frozen=True)
class Schema:
    """What the OpenAPI document says of a route; body and answer are names of its schemas."""

    summary: str
    answer: str
    body: str | None = None


@dataclass(frozen=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    """As FastAPI writes it; what stands in brackets may be left out."""
    handler: Handler | Inference
    schema: Schema | None = None
    """None leaves it out of the OpenAPI document."""
    slash: bool = True
    """Whether a slash at its end changes nothing."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Without and with what stands in brackets."""
        short, whole = re.sub(r"\[.*\]", "", self.path), re.sub(r"[\[\]]", "", self.path)
        return (whole,) if whole == short else (short, whole)

    @property
    def pattern(self) -> re.Pattern[str]:
        """What all its paths match, with the parts by name, still percent-encoded."""
        parts = {"[": "(?:", "]": ")?"}
        text = "".join(
            f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else parts.get(part) or re.escape(part)
            for part in re.split(r"({\w+}|\[|\])", self.path)
        )
        return re.compile(text + "/?" if self.slash else text)
