"""Pages of other origins: Starlette's CORS rules in front of every route, asked only when a browser calls."""

from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from modelserver.front.http.asgi import Receive, Scope, Send
from modelserver.front.http.errors import refusal
from modelserver.settings.limits import Cors


class CorsApp:
    """Requests without an Origin header pass untouched; they pay one look at their headers."""

    def __init__(self, app: Any, cors: Cors) -> None:
        self._app = app
        self._guarded = _Rules(
            app,
            allow_origins=cors.allowed_origins,
            allow_methods=cors.allowed_methods,
            allow_headers=cors.allowed_headers,
            allow_credentials=cors.allow_credentials,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        is_from_page = any(name == b"origin" for name, _ in scope.get("headers", ()))
        app: Any = self._guarded if is_from_page else self._app
        await app(scope, receive, send)


class _Rules(CORSMiddleware):
    """Starlette's, with errors in this server's one shape."""

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code == 200:
            return answer
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        refused = refusal(answer.status_code, bytes(answer.body).decode(), *kept.items())
        return Response(refused.body, refused.status, dict(refused.headers))
