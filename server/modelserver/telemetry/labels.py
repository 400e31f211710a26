"""The labels of every series: who asked (interface, API, method), and for which model and version."""

from dataclasses import dataclass
from enum import StrEnum

Labels = tuple[tuple[str, str], ...]


class Interface(StrEnum):
    """How a request came."""

    REST = "REST"
    GRPC = "gRPC"


class API(StrEnum):
    """The protocol that a request speaks."""

    KSERVE = "KServe"
    TFS = "TensorFlowServing"


class Method(StrEnum):
    """What a request asks for, by its API's name for it."""

    MODEL_INFER = "ModelInfer"
    MODEL_METADATA = "ModelMetadata"
    MODEL_READY = "ModelReady"
    PREDICT = "Predict"
    GET_MODEL_METADATA = "GetModelMetadata"
    GET_MODEL_STATUS = "GetModelStatus"


@dataclass(frozen=True)
class Operation:
    """One method of one API."""

    api: API
    method: Method
    is_inference: bool = False
    has_version: bool = True
    """Whether each version has series of its own."""


OPERATIONS = (
    Operation(API.KSERVE, Method.MODEL_INFER, is_inference=True),
    Operation(API.KSERVE, Method.MODEL_METADATA),
    Operation(API.KSERVE, Method.MODEL_READY, has_version=False),
    Operation(API.TFS, Method.PREDICT, is_inference=True),
    Operation(API.TFS, Method.GET_MODEL_METADATA),
    Operation(API.TFS, Method.GET_MODEL_STATUS, has_version=False),
)


@dataclass(frozen=True)
class VersionLabels:
    """Every set of labels that names one version of a model; in the order of OVMS."""

    name: str
    number: int

    @property
    def alone(self) -> Labels:
        """Of series that count all requests together."""
        return (("name", self.name), ("version", str(self.number)))

    def interface(self, interface: Interface) -> Labels:
        """Of series by interface."""
        return (("interface", interface), *self.alone)

    def operation(self, api: API, interface: Interface, method: Method) -> Labels:
        """Of series by method."""
        return (("api", api), ("interface", interface), ("method", method), *self.alone)


def model_operation(api: API, interface: Interface, method: Method, name: str) -> Labels:
    """Of methods that are counted per model, not per version."""
    return (("api", api), ("interface", interface), ("method", method), ("name", name))


def of_interface(interface: Interface) -> Labels:
    """Of series that know no model."""
    return (("interface", interface),)


def of_response(code: int | str, interface: Interface) -> Labels:
    """Of answers."""
    return (("code", str(code)), ("interface", interface))


def of_server(version: str) -> Labels:
    """Of the server itself."""
    return (("version", version),)
