"""Metadata as KServe and OVMS write them."""

from collections.abc import Iterable
from typing import Any

from modelserver.dataplane.plane import Described
from modelserver.signature import Spec


def metadata(version: Described, served: Iterable[int]) -> dict[str, Any]:
    """Inputs, outputs and versions; and `rt_info` where the file has the part of it that OVMS shows."""
    document = {
        "name": version.model,
        "versions": [str(number) for number in served],
        "platform": "OpenVINO",
        "inputs": [_tensor(spec) for spec in version.signature.inputs],
        "outputs": [_tensor(spec) for spec in version.signature.outputs],
    }
    return document | ({"rt_info": {"model_info": version.info}} if version.info else {})


def _tensor(spec: Spec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
