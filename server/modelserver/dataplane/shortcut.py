"""The short way for requests that differ from an earlier one in their data only.

What was looked up and checked for that one holds for them too, until any model is loaded or retired.
For raw tensors to models that run on the loop, which have one shape only.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from modelserver.dataplane.meters import Meter
from modelserver.engine import LoadedModel, Passage
from modelserver.models.catalogue import Catalogue
from modelserver.telemetry import request_log
from modelserver.tensors import Response

Encode = Callable[[Response], bytes]


@dataclass(frozen=True, slots=True)
class RawInput:
    """What becomes one input of the model."""

    place: int
    """Among the request's tensors."""
    size: int
    """In bytes."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def like(cls, place: int, array: NDArray[Any]) -> Self:
        """As this one was made of the tensor at that place."""
        return cls(place, array.nbytes, array.shape, array.dtype)


@dataclass(frozen=True, slots=True)
class Shortcut:
    """Infers without a step that waits, so what holds at its start holds to its end."""

    catalogue: Catalogue
    changes: int
    """The catalogue's when this was made: later the request may be another version's."""
    asked: tuple[str, int | None]
    """Model and version as the request names them."""
    loaded: LoadedModel
    meter: Meter
    inputs: tuple[RawInput, ...]
    respond: Callable[[Encode, list[NDArray[Any]]], bytes]

    def infer(self, raw: list[memoryview], encode: Encode) -> bytes | None:
        """The answer; None where the way is closed, or where the data is not as long as it has to be."""
        if self.changes != self.catalogue.changes or len(raw) != len(self.inputs):
            return None
        started, arrays = time.perf_counter(), []
        for one in self.inputs:
            data = raw[one.place]
            if len(data) != one.size:
                return None
            arrays.append(np.ndarray(one.shape, one.dtype, data))
        request_log.note(*self.asked)
        passage, prepared = Passage(), time.perf_counter()
        try:
            answer = self.loaded.infer_now(arrays, partial(self.respond, encode), passage)
        except BaseException:
            self.meter.failed(started)
            raise
        self.meter.succeeded(started, prepared, passage)
        return answer
