"""OVMS's configuration API over REST: the state of all models, and the order to look at everything now."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from modelserver.control import Control
from modelserver.dataplane import DataPlane
from modelserver.front.tfs_rest import statuses


def add_reload_routes(app: FastAPI, plane: DataPlane, control: Control) -> None:
    """/v1/config and /v1/config/reload, which answer the same document."""

    def document() -> dict[str, Any]:
        return {
            name: {"model_version_status": statuses(plane.registry.states(name, None))}
            for name in plane.registry.models
        }

    @app.get("/v1/config")
    @app.get("/v1/config/", include_in_schema=False)
    async def configuration() -> dict[str, Any]:
        return document()

    @app.post("/v1/config/reload")
    @app.post("/v1/config/reload/", include_in_schema=False)
    async def reload() -> JSONResponse:
        has_changed = await control.reload()
        return JSONResponse(document(), 201 if has_changed else 200)
