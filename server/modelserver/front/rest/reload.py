"""OVMS's configuration API over REST: the state of all models, and the order to look at everything now."""

import json

from fastapi import FastAPI
from fastapi.responses import Response

from modelserver.dataplane.control import Control
from modelserver.dataplane.plane import DataPlane
from modelserver.front.documents.tfs import statuses
from modelserver.front.http.asgi import JSON


def add_reload_routes(app: FastAPI, plane: DataPlane, control: Control) -> None:
    """/v1/config and /v1/config/reload, which answer the same document."""

    def told(status: int) -> Response:
        """The state of everything, laid out as OVMS does."""
        parts = []
        for name in plane.catalogue.models:
            states = {"model_version_status": statuses(plane.catalogue.states(name, None))}
            parts.append(f"{json.dumps(name)} : \n{json.dumps(states, indent=1)}")
        body = "{\n" + ",\n".join(parts) + "\n}" if parts else "{}"
        return Response(body, status, media_type=JSON)

    @app.get("/v1/config")
    @app.get("/v1/config/", include_in_schema=False)
    async def configuration() -> Response:
        return told(200)

    @app.post("/v1/config/reload")
    @app.post("/v1/config/reload/", include_in_schema=False)
    async def reload() -> Response:
        return told(201 if await control.reload() else 200)
