"""A compiled model and its inferences on the infer requests of its pool.

One request's way: `enter` the model (counted, so that a retiring model waits for it) → a free infer request,
or a place in the queue → inputs bound in place → OpenVINO → outputs read where they lie, until it `leave`s.

OpenVINO calls back from its own threads, on success only; failures are found by looking at the
requests in flight from time to time. Everything else here runs on the event loop.
"""

import asyncio
import ctypes
import logging
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import openvino as ov
from numpy.typing import NDArray

from modelserver.admission import LiveLimits
from modelserver.engine import strings
from modelserver.engine.elements import reason, share, view
from modelserver.engine.pool import Gone, Lease, Pool, SharedLease, Slot, release_callbacks
from modelserver.engine.probing import Examples, probe
from modelserver.errors import InferenceFailed
from modelserver.signature import Signature

FAILURE_CHECK_SECONDS = 0.05
DRAIN_CHECK_SECONDS = 0.02
logger = logging.getLogger(__name__)
_KEPT: list[ov.CompiledModel | None] = []
"""Models that cannot be dropped without stopping the process."""


@dataclass(frozen=True)
class Effect:
    """What is in effect, read back from the device."""

    execution_devices: tuple[str, ...]
    streams: int | None
    nireq: int
    threads: int | None
    hint: str | None
    pinning: bool


@dataclass(frozen=True)
class Description:
    """What clients see of a model."""

    signature: Signature
    info: Mapping[str, Any]
    """What its file says about the model."""


class LoadedModel:
    """One version of a model, ready to infer."""

    def __init__(
        self,
        compiled: ov.CompiledModel,
        description: Description,
        effect: Effect,
        limits: LiveLimits,
        *,
        inline: bool = False,
    ) -> None:
        self._description = description
        signature = self.signature = description.signature
        self.info = description.info
        for spec in (*signature.inputs, *signature.outputs):
            if spec.datatype == "BYTES":
                strings.operations(len(spec.dims))  # compiled now, not with the first request
        self.effect = effect
        self._reads_plainly = {"BF16", "BYTES"}.isdisjoint(spec.datatype for spec in signature.outputs)
        self.inline = inline
        """Runs on the loop, one request at a time: cheaper than leaving it."""
        self.first_seconds: float | None = None
        """How long its first inference took; None while there was none."""
        self.in_flight = 0
        self._compiled: ov.CompiledModel | None = compiled
        self._slots = [self._make_slot(compiled.create_infer_request()) for _ in range(effect.nireq)]
        self._limits = limits
        self._examples = Examples(signature.inputs)
        self._pool = Pool(self._slots, self._queue_limit)
        self._shared = SharedLease(self._slots[0])
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: asyncio.TimerHandle | None = None

    def look_again(self) -> None:
        """Read where it runs while that is in parentheses: AUTO has only begun there, and may move."""
        if self._compiled is None or not any(name.startswith("(") for name in self.effect.execution_devices):
            return
        found = tuple(self._compiled.get_property("EXECUTION_DEVICES"))
        if found != self.effect.execution_devices:
            self.effect = replace(self.effect, execution_devices=found)

    @property
    def active(self) -> int:
        """Infer requests in use."""
        return len(self._pool.lent)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._pool.waiting

    def inlined(self, compiled: ov.CompiledModel) -> "LoadedModel":
        """The same model, compiled for the event loop; its first inference was that of this one."""
        inlined = LoadedModel(compiled, self._description, self.effect, self._limits, inline=True)
        inlined.first_seconds = self.first_seconds
        return inlined

    def _queue_limit(self) -> int:
        """How many requests may wait now; by the number of those that run where nobody set it."""
        size = self._limits.now.queue_size
        return max(64, 16 * self.effect.nireq) if size is None else size

    def require_place(self) -> None:
        """Raises Overloaded when a request could not even wait."""
        self._pool.require_place()

    def run_once(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Infer before anybody else uses the model; returns when it is done. Raises RuntimeError.

        In the way that requests take: OpenVINO's `infer` swallows errors where there is one stream with one
        thread (docs/decisions/0013).
        """
        slot = self._slots[0]
        self._bind(slot, arrays)
        if self.inline:
            slot.infer()
        else:
            slot.start(None)
            slot.request.wait()
        self._examples.remember(arrays, time.perf_counter())

    def check(self) -> None:
        """Infer once more what was right last; raises InferenceFailed. Blocks if not inline.

        Nothing is known against a model with free sizes that has never answered.
        """
        compiled, known = self._compiled, self._examples.known
        if compiled is None or not known:
            return
        if self.inline:
            self.infer_now(known[0]).leave()
            return
        try:
            probe(compiled, self.signature.inputs, max(1, self.effect.streams or 1), known)
        except RuntimeError as error:
            raise InferenceFailed(f"Internal inference error: {reason(error)}") from error

    def has_answered(self, arrays: Sequence[NDArray[Any]]) -> bool:
        """Whether inputs of these shapes are known to be right."""
        return self._examples.has(arrays)

    def enter(self) -> None:
        """Counts a request from here until it leaves, so that retiring waits for it; raises Overloaded."""
        self._pool.require_place()
        self.in_flight += 1

    def leave(self, lease: Lease | None) -> None:
        """The request is answered, or has failed: its outputs are not looked at any more."""
        self.in_flight -= 1
        if self.inline:
            self._shared.slot.bound = []
        elif lease is not None:
            lease.leave()

    async def drained(self) -> None:
        """Wait until nobody is inside; nobody may enter any more."""
        while self.in_flight or self.active:  # noqa: ASYNC110 - two counters, and no hurry
            await asyncio.sleep(DRAIN_CHECK_SECONDS)

    def close(self) -> None:
        """Give the memory back; nobody is inside any more.

        Requests hold this object and their slot through callback and userdata: cycles through
        C++, which the collector cannot see.
        """
        if not release_callbacks((slot.request, slot.callback) for slot in self._slots):
            _KEPT.append(self._compiled)
            logger.error(
                "a model cannot be unloaded: a thread of OpenVINO does not end; its memory stays in use"
            )
        self._pool.close()
        self._slots.clear()
        del self._shared
        self._compiled = None
        ctypes.CDLL(None).malloc_trim(0)

    async def infer(
        self, arrays: Sequence[NDArray[Any]], deadline: float | None = None, gone: Gone | None = None
    ) -> Lease:
        """Run one inference; the caller gives the lease back by `leave` when it has read the outputs."""
        asked = time.perf_counter()
        lease = await self._pool.lease(deadline, gone)
        try:
            started = time.perf_counter()
            self._bind(lease.slot, arrays)
            await self._run(lease)
            lease.waited, lease.inferred = started - asked, time.perf_counter() - started
            lease.outputs = self._read(lease.slot)
            if started >= self._examples.due:
                self._examples.remember(arrays, started)
        except BaseException:
            lease.leave()
            raise
        return lease

    def infer_now(self, arrays: Sequence[NDArray[Any]]) -> Lease:
        """Run one inference on the event loop, for a model that is `inline`.

        Nobody else is at work meanwhile, so one lease serves every request: its outputs are there until the
        caller waits for anything. Without streams `infer` raises what is wrong, on one thread too.
        """
        asked = time.perf_counter()
        lease = self._shared
        slot = lease.slot
        started = time.perf_counter()
        self._bind(slot, arrays)
        try:
            outputs = slot.infer()
        except RuntimeError as error:
            raise InferenceFailed(f"Internal inference error: {reason(error)}") from error
        lease.waited, lease.inferred = started - asked, time.perf_counter() - started
        lease.outputs = list(outputs.values()) if self._reads_plainly else self._read(slot)
        return lease

    def _make_slot(self, request: ov.InferRequest) -> Slot:
        """The binding's own methods: the Python wrapper costs more than a small model."""
        plain: Any = super(ov.InferRequest, request)
        callback = self._called_back
        request.set_callback(callback, None)
        share_outputs, decode_strings = True, False  # by place: names cost 1 us
        return Slot(
            request,
            partial(plain.start_async, {}),
            partial(plain.infer, {}, share_outputs, decode_strings),
            plain.set_input_tensor,
            weakref.ref(callback),
        )

    def _bind(self, slot: Slot, arrays: Sequence[NDArray[Any]]) -> None:
        bind = slot.bind
        slot.bound = bound = []
        try:
            for index, (array, spec) in enumerate(zip(arrays, self.signature.inputs, strict=True)):
                bound.append(tensor := share(array, spec.datatype))
                bind(index, tensor)
        except RuntimeError as error:
            raise InferenceFailed(f"OpenVINO refused the inputs: {reason(error)}") from error

    def _read(self, slot: Slot) -> list[NDArray[Any]]:
        get = slot.request.get_output_tensor
        return [view(get(index), spec.datatype) for index, spec in enumerate(self.signature.outputs)]

    async def _run(self, lease: Lease) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        try:
            done = lease.start()
        except RuntimeError as error:
            raise InferenceFailed(f"Internal inference error: {reason(error)}") from error
        if self._watch is None:
            self._watch = self._loop.call_later(FAILURE_CHECK_SECONDS, self._look_for_failures)
        await done

    def _called_back(self, lease: Lease | None) -> None:
        """In OpenVINO's thread: only pass it on. An exception here would end the process."""
        if lease is None:  # `run_once` waits itself
            return
        assert self._loop is not None  # noqa: S101 - start_async came before
        with suppress(RuntimeError):  # the loop is closed: the process is ending, nobody waits any more
            self._loop.call_soon_threadsafe(lease.finish)

    def _look_for_failures(self) -> None:
        self._watch = None
        for lease in [lease for lease in self._pool.lent if lease.is_running]:
            try:
                lease.slot.request.wait_for(0)
            except RuntimeError as error:
                lease.finish(InferenceFailed(f"Internal inference error: {reason(error)}"))
        if self._loop is not None and self.active:
            self._watch = self._loop.call_later(FAILURE_CHECK_SECONDS, self._look_for_failures)
