"""TensorFlow Serving over REST: Predict on the hot route; status and metadata beside it."""

import json
from typing import Any

from starlette.responses import Response

from modelserver.errors import InvalidRequest, Unsupported
from modelserver.front.documents.tfs import LABELS, signature, statuses
from modelserver.front.http.asgi import JSON
from modelserver.front.rest.inputs import AskedOfTfs, Plane
from modelserver.telemetry.labels import API, Interface, Method
from modelserver.tensors import Call


async def refuse_label() -> Response:
    """Predict, status or metadata by a label."""
    raise InvalidRequest(LABELS)


async def refuse_method() -> Response:
    """The methods that take tf.Example records."""
    raise Unsupported("classify and regress are not offered, they need tf.Example records: use predict")


async def model_status(plane: Plane, asked: AskedOfTfs) -> Response:
    """The state of one version, or of all."""
    call = Call(Interface.REST, *asked, api=API.TFS, method=Method.GET_MODEL_STATUS)
    return _laid_out({"model_version_status": statuses(plane.states(call))})


async def model_metadata(plane: Plane, asked: AskedOfTfs) -> Response:
    """Inputs and outputs."""
    call = Call(Interface.REST, *asked, api=API.TFS, method=Method.GET_MODEL_METADATA)
    return _laid_out(signature(plane.metadata(call)[0]))


def _laid_out(document: dict[str, Any]) -> Response:
    """As TensorFlow Serving prints it."""
    return Response(json.dumps(document, indent=1) + "\n", media_type=JSON)
