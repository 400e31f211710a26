"""TensorFlow Serving's documents, for both fronts: the states of versions, and signatures."""

from collections.abc import Iterable
from typing import Any

from modelserver.codec.tfs_types import DATATYPES, SIGNATURE
from modelserver.dataplane.plane import Described, VersionState
from modelserver.signature import Spec

LABELS = "Version labels are not supported: name the version, /versions/N, or none for the newest"


def statuses(versions: Iterable[VersionState]) -> list[dict[str, Any]]:
    """The state of each version, as TensorFlow Serving writes it."""
    return [
        {
            "version": str(version.number),
            "state": version.state,
            "status": {
                "error_code": "UNKNOWN" if version.error else "OK",
                "error_message": version.error or "OK",
            },
        }
        for version in versions
    ]


def signature(version: Described) -> dict[str, Any]:
    """Inputs and outputs of a version, as TensorFlow Serving's metadata describe them."""
    document = {
        "inputs": {spec.name: _described(spec) for spec in version.signature.inputs},
        "outputs": {spec.name: _described(spec) for spec in version.signature.outputs},
        "methodName": "",
    }
    return {
        "modelSpec": {"name": version.model, "signatureName": "", "version": str(version.number)},
        "metadata": {
            "signature_def": {
                "@type": "type.googleapis.com/tensorflow.serving.SignatureDefMap",
                "signatureDef": {SIGNATURE: document},
            }
        },
    }


def _described(spec: Spec) -> dict[str, Any]:
    return {
        "dtype": DATATYPES[spec.datatype][0],
        "tensorShape": {
            "dim": [{"size": str(size), "name": ""} for size in spec.shape],
            "unknownRank": False,
        },
        "name": spec.name,
    }
