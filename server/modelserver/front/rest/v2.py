"""KServe v2 over REST, with Triton's statistics and model configurations."""

from starlette.responses import JSONResponse, Response

from modelserver import __version__
from modelserver.dataplane.backend import EXTENSIONS
from modelserver.errors import NotReady
from modelserver.front.documents.triton import configuration, statistics
from modelserver.front.documents.v2 import metadata
from modelserver.front.rest.inputs import Asked, Plane
from modelserver.telemetry.labels import Interface, Method
from modelserver.tensors import Call


async def server_metadata() -> Response:
    """Name, version and extensions."""
    return JSONResponse(
        {"name": "OpenVINO ModelServer", "version": __version__, "extensions": list(EXTENSIONS)}
    )


async def model_metadata(plane: Plane, asked: Asked) -> Response:
    """Inputs, outputs and versions."""
    return JSONResponse(metadata(*plane.metadata(Call(Interface.REST, *asked, method=Method.MODEL_METADATA))))


async def model_ready(plane: Plane, asked: Asked) -> Response:
    """200 while the model answers."""
    if not plane.is_model_ready(Call(Interface.REST, *asked, method=Method.MODEL_READY)):
        raise NotReady("Model with requested version is not loaded yet")
    return JSONResponse({"name": asked.model, "ready": True})


async def all_statistics(plane: Plane) -> Response:
    """Counts and times of every served version."""
    return JSONResponse(statistics(plane.statistics("", None)))


async def model_statistics(plane: Plane, asked: Asked) -> Response:
    """Counts and times of a model."""
    return JSONResponse(statistics(plane.statistics(*asked)))


async def model_configuration(plane: Plane, asked: Asked) -> Response:
    """As Triton writes it."""
    return JSONResponse(configuration(plane.description(*asked)))
