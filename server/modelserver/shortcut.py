"""The short way for requests that differ from an earlier one in their data only.

What was looked up and checked for that one holds for them too, until any model is loaded or retired.
For raw tensors to small models that run on the loop.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from modelserver import journey
from modelserver.engine import LoadedModel, Passage
from modelserver.meters import Meter
from modelserver.registry import Registry
from modelserver.tensors import Response

Encode = Callable[[Response], bytes]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """Infers without a step that waits, so what holds at its start holds to its end."""

    registry: Registry
    changes: int
    """The registry's when this was made: later the request may be another version's."""
    asked: tuple[str, int | None]
    """Model and version as the request names them."""
    loaded: LoadedModel
    meter: Meter
    sizes: list[int]
    """Of the request's tensors, in bytes."""
    places: list[int]
    """Of the model's inputs among the request's tensors."""
    respond: Callable[[Encode, list[NDArray[Any]]], bytes]

    def infer(self, raw: list[memoryview], encode: Encode) -> bytes | None:
        """The answer; None where the way is closed, or where the data is not as long as it has to be."""
        resident = self.loaded.resident
        if self.changes != self.registry.changes or resident is None:
            return None
        if [len(data) for data in raw] != self.sizes:
            return None
        started = time.perf_counter()
        journey.note(*self.asked)
        try:
            outputs = resident.infer([raw[place] for place in self.places])
            inferred = time.perf_counter() - started
            answer = self.respond(encode, outputs)
        except BaseException:
            self.meter.failed(started)
            raise
        self.meter.succeeded(started, started, Passage(inferred=inferred))
        return answer
