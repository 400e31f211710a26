"""An inference of the server's own in every stream of a model, to see whether it can still answer."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import openvino as ov

from modelserver.engine.elements import share
from modelserver.signature import Spec
from modelserver.tensors import NUMPY

Shapes = tuple[tuple[int, ...], ...]
"""One for each input."""
ROUNDS = 8
"""How often the streams are asked before those that had no turn are left out: others keep them busy."""


def zeros(spec: Spec, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """Data for one input; empty texts for BYTES."""
    if spec.datatype == "BYTES":
        return np.full(tuple(shape), b"", dtype=object)
    return np.zeros(tuple(shape), NUMPY[spec.datatype])


def smallest(spec: Spec) -> tuple[int, ...]:
    """The smallest shape that the model declares, without empty dimensions where they are free."""
    return tuple(max(low, 1) if low != high else low for low, high in spec.dims)


class Probe:
    """Infer requests of its own, so that those of callers are left alone."""

    def __init__(self, compiled: ov.CompiledModel, inputs: Sequence[Spec], streams: int) -> None:
        self._inputs = inputs
        self._threads: set[int] = set()
        """That called back: every stream has its own."""
        self._requests: list[Any] = []
        for _ in range(streams):
            request = compiled.create_infer_request()
            request.set_callback(self._called_back, None)
            # The wrapper's own methods would copy the results.
            self._requests.append(super(ov.InferRequest, request))

    def ask(self, shapes: Shapes) -> None:
        """Infer with zeros of these shapes until every stream has answered; blocks. Raises RuntimeError."""
        tensors = [
            share(zeros(spec, shape), spec.datatype) for spec, shape in zip(self._inputs, shapes, strict=True)
        ]
        for request in self._requests:
            for index, tensor in enumerate(tensors):
                request.set_input_tensor(index, tensor)
        self._threads.clear()
        for _ in range(ROUNDS):
            self._ask_all()
            if len(self._threads) >= len(self._requests):
                return

    def _ask_all(self) -> None:
        """All have ended when it returns, or raises the first error."""
        for request in self._requests:
            request.start_async({}, None)
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


def probe(compiled: ov.CompiledModel, inputs: Sequence[Spec], streams: int, proven: Sequence[Shapes]) -> None:
    """Raises RuntimeError, with OpenVINO's reason, when the newest of the `proven` shapes fails; blocks.

    OpenVINO may keep a primitive that it could not make for wrong shapes, and then fails the shapes that it
    had before; others bring it back. So where an older pair of shapes is known, it is tried before giving up.
    """
    asked = Probe(compiled, inputs, streams)
    try:
        asked.ask(proven[0])
    except RuntimeError:
        if len(proven) == 1:
            raise
        with suppress(RuntimeError):
            asked.ask(proven[1])
        asked.ask(proven[0])
