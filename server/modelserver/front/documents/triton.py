"""Triton's extensions, for both fronts: statistics, model configurations, refusals of its repository API."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from modelserver.dataplane.meters import Statistics
from modelserver.dataplane.plane import Described
from modelserver.errors import InvalidRequest
from modelserver.signature import Spec


def statistics(versions: Iterable[Statistics]) -> dict[str, Any]:
    """Counts and times of versions."""
    return {"model_stats": [asdict(version) for version in versions]}


def configuration(version: Described) -> dict[str, Any]:
    """What of Triton's model configuration is true here."""
    return {
        "name": version.model,
        "platform": "openvino",
        "backend": "openvino",
        "max_batch_size": 0,  # shapes are shown whole, with their batch dimension
        "input": [_described(spec) for spec in version.signature.inputs],
        "output": [_described(spec) for spec in version.signature.outputs],
    }


def _described(spec: Spec) -> dict[str, Any]:
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": list(spec.shape)}


def refuse_overrides(parameters: Collection[str]) -> None:
    """Other parameters may be sent and change nothing; these would have to change what is loaded."""
    if refused := [name for name in parameters if name == "config" or name.startswith("file:")]:
        raise InvalidRequest(
            f"Parameter {refused[0]} is not supported: models are loaded from their directories, with the"
            " settings of config.json or the command line; change them there"
        )


def refuse_repository(name: str) -> None:
    """There is one repository, and it has no name."""
    if name:
        raise InvalidRequest(f"repository_name {name!r} is not supported: leave it empty")
