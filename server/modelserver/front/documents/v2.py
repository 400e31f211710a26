"""Metadata as KServe and OVMS write them, statistics and model configurations as Triton does.

gRPC makes its messages of the latter two.
"""

from collections.abc import Iterable
from typing import Any

from modelserver.models.model import Version
from modelserver.signature import Spec


def metadata(version: Version, served: Iterable[int]) -> dict[str, Any]:
    """Inputs, outputs and versions; `rt_info` besides where the file has what OVMS tells of it."""
    loaded = version.serving
    document = {
        "name": version.model,
        "versions": [str(number) for number in served],
        "platform": "OpenVINO",
        "inputs": [_tensor(spec) for spec in loaded.signature.inputs],
        "outputs": [_tensor(spec) for spec in loaded.signature.outputs],
    }
    return document | ({"rt_info": {"model_info": loaded.info}} if loaded.info else {})


def _tensor(spec: Spec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
