"""An inference of the server's own in every stream of a model, to see whether it can still answer."""

import threading
import weakref
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from modelserver.engine.elements import share
from modelserver.engine.pool import Callback, release_callbacks
from modelserver.signature import Spec
from modelserver.tensors import NUMPY

Example = tuple[NDArray[Any], ...]
"""One array for each input."""
MAX_EXAMPLE_BYTES = 1 << 20
EXAMPLE_SECONDS = 1.0
"""How often a request is remembered."""
ROUNDS = 8
"""How often the streams are asked before those that had no turn are left out: others keep them busy."""


def zeros(spec: Spec, shape: Sequence[int]) -> NDArray[Any]:
    """Data for one input; empty texts for BYTES."""
    if spec.datatype == "BYTES":
        return np.full(tuple(shape), b"", dtype=object)
    return np.zeros(tuple(shape), NUMPY[spec.datatype])


def smallest(spec: Spec) -> tuple[int, ...]:
    """The smallest shape that the model declares, without empty dimensions where they are free."""
    return tuple(max(low, 1) if low != high else low for low, high in spec.dims)


def example(inputs: Sequence[Spec], arrays: Sequence[NDArray[Any]]) -> Example:
    """What to infer again later: the data, since zeros may be wrong for a model; zeros for big ones."""
    is_small = sum(array.nbytes for array in arrays) <= MAX_EXAMPLE_BYTES
    return tuple(
        array.copy() if is_small and spec.datatype != "BYTES" else zeros(spec, array.shape)
        for spec, array in zip(inputs, arrays, strict=True)
    )


class Examples:
    """Requests that were right, to be asked again after a failure; of models with free sizes only.

    For a model of fixed sizes, zeros are right: it has been loaded with them.
    """

    def __init__(self, inputs: Sequence[Spec]) -> None:
        self._inputs = inputs
        is_free = any(spec.fixed is None for spec in inputs)
        self.known: list[Example] = []
        """The last one, and one of other shapes."""
        self.due = float("-inf") if is_free else float("inf")
        """When the next one is worth remembering, on the clock of time.perf_counter."""
        if not is_free:
            self.known.append(tuple(zeros(spec, smallest(spec)) for spec in inputs))

    def remember(self, arrays: Sequence[NDArray[Any]], now: float) -> None:
        """These were right."""
        if now >= self.due:
            self.due = now + EXAMPLE_SECONDS
            new = example(self._inputs, arrays)
            self.known = [new, *[one for one in self.known if _shapes(one) != _shapes(new)][:1]]

    def has(self, arrays: Sequence[NDArray[Any]]) -> bool:
        """Whether one of these shapes is known."""
        return any(_shapes(one) == _shapes(arrays) for one in self.known)


def _shapes(one: Sequence[NDArray[Any]]) -> list[tuple[int, ...]]:
    return [array.shape for array in one]


class Probe:
    """Infer requests of its own, so that those of callers are left alone."""

    def __init__(self, compiled: ov.CompiledModel, inputs: Sequence[Spec], streams: int) -> None:
        self._inputs = inputs
        self._threads: set[int] = set()
        """That called back: every stream has its own."""
        callback = self._called_back
        self._callback: Callback = weakref.ref(callback)
        self._requests = [compiled.create_infer_request() for _ in range(streams)]
        for request in self._requests:
            request.set_callback(callback, None)

    def ask(self, arrays: Example) -> None:
        """Infer with these until every stream has answered; blocks. Raises RuntimeError."""
        tensors = [share(array, spec.datatype) for spec, array in zip(self._inputs, arrays, strict=True)]
        for request in self._requests:
            for index, tensor in enumerate(tensors):
                request.set_input_tensor(index, tensor)
        self._threads.clear()
        for _ in range(ROUNDS):
            self._ask_all()
            if len(self._threads) >= len(self._requests):
                return

    def close(self) -> None:
        """All have ended: nothing of it is left in OpenVINO."""
        release_callbacks((request, self._callback) for request in self._requests)

    def _ask_all(self) -> None:
        """All have ended when it returns, or raises the first error."""
        for request in self._requests:
            # The wrapper's own method would copy the results.
            plain: Any = super(ov.InferRequest, request)
            plain.start_async({}, None)
        errors = []
        for request in self._requests:
            try:
                request.wait()
            except RuntimeError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _called_back(self, _userdata: object) -> None:
        """In the stream's thread, on success only."""
        self._threads.add(threading.get_ident())


def probe(
    compiled: ov.CompiledModel, inputs: Sequence[Spec], streams: int, examples: Sequence[Example]
) -> None:
    """Raises RuntimeError, with OpenVINO's reason, when the newest of the `examples` fails; blocks.

    OpenVINO may keep a primitive that it could not make for wrong shapes, and then fails the shapes that it
    had before; others bring it back. So where an older example of other shapes is known, it is tried before
    giving up.
    """
    with closing(Probe(compiled, inputs, streams)) as asked:
        try:
            asked.ask(examples[0])
        except RuntimeError:
            if len(examples) == 1:
                raise
            with suppress(RuntimeError):
                asked.ask(examples[1])
            asked.ask(examples[0])
