"""OVMS's configuration API over REST: the state of all models, and the order to look at everything now."""

import json

from starlette.responses import Response

from modelserver.dataplane.plane import DataPlane
from modelserver.front.documents.tfs import statuses
from modelserver.front.http.asgi import JSON
from modelserver.front.rest.inputs import Management, Plane


async def configuration(plane: Plane) -> Response:
    """The state of all models and versions."""
    return _states(plane, 200)


async def reload(plane: Plane, control: Management) -> Response:
    """The same, after a look at config.json and all files; 201 where anything was to be done."""
    return _states(plane, 201 if await control.reload() else 200)


def _states(plane: DataPlane, status: int) -> Response:
    """Laid out as OVMS does."""
    parts = []
    for name, versions in plane.all_states().items():
        states = {"model_version_status": statuses(versions)}
        parts.append(f"{json.dumps(name)} : \n{json.dumps(states, indent=1)}")
    body = "{\n" + ",\n".join(parts) + "\n}" if parts else "{}"
    return Response(body, status, media_type=JSON)
