"""Which methods a path has: refusing the others, and telling them to whoever asks by OPTIONS."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException

from modelserver.front.http.asgi import Scope, Send

EVERY = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
"""For routes that look at the path themselves: one that leads nowhere has no methods to tell."""


def require(method: str, scope: Mapping[str, Any]) -> None:
    """Refuse every other method."""
    if scope["method"] != method:
        raise HTTPException(405, headers={"Allow": method})


def listing(scope: Scope, send: Send) -> Send:
    """Where OPTIONS is asked, its refusal with `Allow` becomes the answer: these are the path's methods."""
    if scope["method"] != "OPTIONS":
        return send
    is_listed = False

    async def listed(message: dict[str, Any]) -> None:
        nonlocal is_listed
        if message.get("status") == 405:
            is_listed = True
            message = {**message, "status": 204, "headers": [(b"allow", _allowed(message))]}
        elif is_listed:
            message = {**message, "body": b""}
        await send(message)

    return listed


def _allowed(refusal: Mapping[str, Any]) -> bytes:
    """HEAD is where GET is, and OPTIONS everywhere."""
    told = next(value for name, value in refusal["headers"] if name.lower() == b"allow")
    methods = {name.strip() for name in told.decode().split(",")} | {"OPTIONS"}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set()))).encode()
