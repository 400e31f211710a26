"""The short way for requests that differ from an earlier one in their data only (docs/decisions/0007).

What was found and checked for that one holds for them too, until any model is loaded or retired.
For raw tensors to models that run on the event loop, which have one shape only.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from modelserver.dataplane.meters import Meter
from modelserver.engine import Lease, LoadedModel
from modelserver.errors import InferenceFailed
from modelserver.models.model import Version
from modelserver.signature import Output
from modelserver.telemetry import request_log
from modelserver.tensors import Call, Response, Tensor


@dataclass(frozen=True, slots=True)
class RawInput:
    """What becomes one input of the model."""

    number: int
    """Among the request's tensors."""
    size: int
    """In bytes."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def like(cls, number: int, array: NDArray[Any]) -> Self:
        """As this one was made of the tensor of that number."""
        return cls(number, array.nbytes, array.shape, array.dtype)


@dataclass(slots=True)
class Shortcut:
    """Infers without a step that waits, so what holds at its start holds to its end.

    `run`, encode the response, `finish`: nothing may be awaited in between.
    """

    call: Call
    """Model and version as the requests name them."""
    version: Version
    loaded: LoadedModel
    meter: Meter
    inputs: tuple[RawInput, ...]
    """In the model's order."""
    outputs: Sequence[Output]
    _lease: Lease = field(init=False)
    _started: float = field(init=False)
    _prepared: float = field(init=False)

    def run(self, raw: list[memoryview]) -> Response | None:
        """The response, over the engine's memory; None where the long way has to be taken.

        That is, where the data are not as long as they have to be, and after a failure, judged there.
        """
        started, arrays = time.perf_counter(), []
        if len(raw) != len(self.inputs):
            return None
        for one in self.inputs:
            data = raw[one.number]
            if len(data) != one.size:
                return None
            arrays.append(np.ndarray(one.shape, one.dtype, data))
        request_log.note(self.call.model, self.call.version)
        self._started, self._prepared = started, time.perf_counter()
        try:
            self._lease = lease = self.loaded.infer_now(arrays)
        except InferenceFailed:
            return None
        outputs = lease.outputs
        tensors = [Tensor(name, datatype, outputs[place]) for place, name, datatype in self.outputs]
        return Response(self.version.model, self.version.number, tensors)

    def finish(self) -> None:
        """The response is encoded."""
        self._lease.leave()
        self.meter.succeeded(self._started, self._prepared, self._lease)
