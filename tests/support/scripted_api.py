"""An API server on loopback that answers each write of a status as a test wants it."""

import json
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from modelserver_operator.clients.kubernetes import Cluster
from tests.support.loopback import answering

GARBLED = 0
"""Among the answers: 200 with what is no JSON, as something between may send it."""


@dataclass
class ScriptedApi:
    """One ModelServer, whose status is written with PATCH."""

    body: dict[str, Any]
    answers: list[int] = field(default_factory=list)
    """HTTP statuses of the next writes; after them, every write succeeds."""
    writes: int = 0
    reads: int = 0
    """Requests for the schema of the CRD, which it does not have."""

    async def write(self, request: web.Request) -> web.Response:
        """PATCH …/status."""
        self.writes += 1
        code = self.answers.pop(0) if self.answers else 200
        if code == GARBLED:
            return web.Response(text="<html>", content_type="application/json")
        if code != 200:
            return web.json_response({"message": "not now"}, status=code)
        metadata = self.body["metadata"]
        version = str(int(metadata["resourceVersion"]) + 1)
        status = json.loads(await request.text())["status"]
        self.body = {**self.body, "metadata": {**metadata, "resourceVersion": version}, "status": status}
        return web.json_response(self.body)

    async def schemas(self, _: web.Request) -> web.Response:
        """GET /openapi/v3/…"""
        self.reads += 1
        return web.json_response({"components": {}})

    def condition(self, kind: str) -> dict[str, Any]:
        """A condition of the stored object; empty when it has none of this type."""
        found = self.body.get("status", {}).get("conditions", [])
        return next((item for item in found if item["type"] == kind), {})

    def serve(self) -> AbstractAsyncContextManager[Cluster]:
        """A connection to it."""
        return answering(
            [web.patch("/{path:.*}/status", self.write), web.get("/openapi/{path:.*}", self.schemas)]
        )
