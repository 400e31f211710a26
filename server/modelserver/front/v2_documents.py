"""Statistics and model configurations as Triton writes them; gRPC makes its messages of the same."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from modelserver.meters import Statistics
from modelserver.served import Version
from modelserver.tensors import Spec


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
