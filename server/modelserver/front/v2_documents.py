"""Metadata as KServe and OVMS write them, statistics and model configurations as Triton does.

gRPC makes its messages of the latter two.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from modelserver.meters import Statistics
from modelserver.served import Version
from modelserver.tensors import Spec


def metadata(version: Version, served: Iterable[int]) -> dict[str, Any]:
    """Inputs, outputs and versions; `rt_info` besides where the file has what OVMS tells of it."""
    loaded = version.serving
    told = {
        "name": version.model,
        "versions": [str(number) for number in served],
        "platform": "OpenVINO",
        "inputs": [_tensor(spec) for spec in loaded.inputs],
        "outputs": [_tensor(spec) for spec in loaded.outputs],
    }
    return told | ({"rt_info": {"model_info": loaded.info}} if loaded.info else {})


def _tensor(spec: Spec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def statistics(versions: Iterable[Statistics]) -> dict[str, Any]:
    """Counts and times of versions."""
    return {"model_stats": [asdict(version) for version in versions]}


def configuration(version: Version) -> dict[str, Any]:
    """What of Triton's model configuration is true here."""
    loaded = version.serving
    return {
        "name": version.model,
        "platform": "openvino",
        "backend": "openvino",
        "max_batch_size": 0,  # shapes are told whole, with their batch dimension
        "input": [_described(spec) for spec in loaded.inputs],
        "output": [_described(spec) for spec in loaded.outputs],
    }


def _described(spec: Spec) -> dict[str, Any]:
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": list(spec.shape)}
