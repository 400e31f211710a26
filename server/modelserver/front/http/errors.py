"""From an error to the answer its caller reads: one way for every route, and for what is not a request."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.exceptions import HTTPException

from modelserver.errors import ServerError

LOG = logging.getLogger(__name__)
CLOSE = ("connection", "close")
_ADVICE = {413: (CLOSE,), 429: (("retry-after", "1"),)}
"""Headers that belong to a status, whichever route answers it."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """One whole answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


def refusal(status: int, message: str, *headers: tuple[str, str]) -> ErrorAnswer:
    """The one shape of every error."""
    body = orjson.dumps({"error": message})
    content = (("content-type", "application/json"), ("content-length", str(len(body))))
    return ErrorAnswer(status, (*content, *_ADVICE.get(status, ()), *headers), body)


def method_not_allowed(*allowed: str) -> HTTPException:
    """To be raised where a path answers other methods only."""
    return HTTPException(405, headers={"allow": ", ".join(allowed)})


def error_answer(error: BaseException, scope: Mapping[str, Any]) -> ErrorAnswer:
    """The answer to the request of this scope; unexpected errors go to the log."""
    if isinstance(error, ServerError):
        return refusal(error.http, str(error))
    if isinstance(error, HTTPException):
        return _http_answer(error, scope)
    if isinstance(error, asyncio.CancelledError):
        # Only the stopping server cancels a request: its time to finish is over.
        return refusal(503, "The server is stopping", CLOSE)
    LOG.error("unexpected error in a REST request", exc_info=error)
    return refusal(500, "Internal error; the server's log tells more")


def _http_answer(error: HTTPException, scope: Mapping[str, Any]) -> ErrorAnswer:
    """No such path, or no such method: by OPTIONS the path's methods are just what is wanted."""
    path = unquote(scope["raw_path"].decode("latin-1"))
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 405:
        allowed = headers["allow"]
        if scope["method"] == "OPTIONS":
            return ErrorAnswer(204, (("allow", _every_method(allowed)),))
        return refusal(405, f"{path} answers {allowed} only", *headers.items())
    message = f"There is nothing at {path}" if error.status_code == 404 else error.detail
    return refusal(error.status_code, message, *headers.items())


def _every_method(allowed: str) -> str:
    """HEAD is where GET is, and OPTIONS everywhere."""
    methods = {*allowed.split(", "), "OPTIONS"}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
