"""A compiled model with its pool of infer requests and the bounded queue in front of it.

One request's way: `with` the model (counted, so that a retiring model waits for it) → a free infer request,
or a place in the queue → inputs bound in place → OpenVINO → outputs encoded where they lie.

OpenVINO calls back from its own threads, on success only; failures are found by looking at the
requests in flight from time to time. Everything else here runs on the event loop.
"""

import asyncio
import ctypes
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self, TypeVar

import openvino as ov
from numpy.typing import NDArray

from modelserver.engine import strings
from modelserver.engine.elements import share, view
from modelserver.engine.reason import reason
from modelserver.errors import CallerGone, DeadlineExceeded, InferenceFailed, Overloaded
from modelserver.tensors import Spec

T = TypeVar("T")
FAILURE_CHECK_SECONDS = 0.05
DRAIN_CHECK_SECONDS = 0.02


@dataclass(frozen=True)
class Effect:
    """What is in effect, read back from the device."""

    execution_devices: tuple[str, ...]
    streams: int | None
    nireq: int
    threads: int | None
    hint: str | None
    pinning: bool


@dataclass(slots=True)
class Passage:
    """One request's passage: until when and for whom it waits, and how long each part took."""

    deadline: float | None = None
    gone: Callable[[], Awaitable[None]] | None = None
    waited: float = 0.0
    inferred: float = 0.0


@dataclass(slots=True, eq=False)
class _Slot:
    """One infer request and what it works on."""

    request: ov.InferRequest
    start: Callable[[Any], None]
    infer: Callable[[], dict[Any, NDArray[Any]]]
    """Gives the outputs in their order, over the engine's memory; BF16 and BYTES are to be read by `view`."""
    bind: Callable[[int, ov.Tensor], None]
    bound: list[ov.Tensor] = field(default_factory=list)
    """Keeps the inputs' memory alive while OpenVINO reads it, even if the caller has gone."""
    done: asyncio.Future[None] | None = None


class LoadedModel:
    """One version of a model, ready to infer."""

    def __init__(
        self,
        compiled: ov.CompiledModel,
        specs: tuple[tuple[Spec, ...], tuple[Spec, ...]],
        effect: Effect,
        *,
        inline: bool = False,
    ) -> None:
        self.inputs, self.outputs = specs
        for spec in (*self.inputs, *self.outputs):
            if spec.datatype == "BYTES":
                strings.operations(len(spec.dims))  # compiled now, not with the first request
        self.every_output = [(index, spec.name, spec.datatype) for index, spec in enumerate(self.outputs)]
        self.effect = effect
        self.limit_queue(None)
        self._reads_plainly = {"BF16", "BYTES"}.isdisjoint(spec.datatype for spec in self.outputs)
        self.inline = inline
        """Runs on the loop, one request at a time: cheaper than leaving it."""
        self.info: Mapping[str, Any] = {}
        """What its file says about the model."""
        self.in_flight = 0
        self._compiled: ov.CompiledModel | None = compiled
        self._slots = [self._make_slot(compiled.create_infer_request()) for _ in range(effect.nireq)]
        self._free = deque(self._slots)
        self._queue: deque[asyncio.Future[_Slot]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: asyncio.TimerHandle | None = None

    @property
    def active(self) -> int:
        """Infer requests in use."""
        return len(self._slots) - len(self._free)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def limit_queue(self, size: int | None) -> None:
        """How many requests may wait; None: by the number of those that run."""
        self.queue_limit = max(64, 16 * self.effect.nireq) if size is None else size

    def run_once(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Infer in the calling thread, before anybody else uses the model."""
        slot = self._slots[0]
        self._bind(slot, arrays)
        slot.infer()

    def __enter__(self) -> Self:
        """Counts a request from here to its answer, so that retiring waits for it."""
        self.in_flight += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.in_flight -= 1

    async def drained(self) -> None:
        """Wait until nobody is inside; nobody may enter any more."""
        while self.in_flight or self.active:  # noqa: ASYNC110 - two counters, and no hurry
            await asyncio.sleep(DRAIN_CHECK_SECONDS)

    def close(self) -> None:
        """Give the memory back; nobody is inside any more.

        Requests hold this object and their slot through callback and userdata: cycles through
        C++, which the collector cannot see.
        """
        for slot in self._slots:
            slot.request.set_callback(_ignore, None)
        self._free.clear()
        self._slots.clear()
        self._compiled = None
        ctypes.CDLL(None).malloc_trim(0)

    async def infer(
        self, arrays: Sequence[NDArray[Any]], encode: Callable[[list[NDArray[Any]]], T], passage: Passage
    ) -> T:
        """Run one inference; `encode` sees the outputs in the engine's own memory."""
        if self.inline:
            return self.infer_now(arrays, encode, passage)
        asked = time.perf_counter()
        slot = self._free.popleft() if self._free else await self._wait_for_slot(passage)
        try:
            started = time.perf_counter()
            self._bind(slot, arrays)
            await self._infer(slot)
            passage.waited, passage.inferred = started - asked, time.perf_counter() - started
            return encode(self._read(slot))
        finally:
            # Cancelled while OpenVINO is at work: the slot comes back when it has finished.
            if slot.done is None:
                self._release(slot)

    def infer_now(
        self, arrays: Sequence[NDArray[Any]], encode: Callable[[list[NDArray[Any]]], T], passage: Passage
    ) -> T:
        """For a model that is `inline`: on the loop nobody else is at work, so one slot serves everybody."""
        asked = time.perf_counter()
        slot = self._slots[0]
        started = time.perf_counter()
        self._bind(slot, arrays)
        try:
            outputs = list(slot.infer().values())
        except RuntimeError as error:
            raise InferenceFailed(f"Internal inference error: {reason(error)}") from error
        passage.waited, passage.inferred = started - asked, time.perf_counter() - started
        answer = encode(outputs if self._reads_plainly else self._read(slot))
        slot.bound = []
        return answer

    def _make_slot(self, request: ov.InferRequest) -> _Slot:
        """The binding's own methods: the Python wrapper costs more than a small model."""
        plain: Any = super(ov.InferRequest, request)
        request.set_callback(self._called_back, None)
        share_outputs, decode_strings = True, False  # by place: names cost 1 us
        return _Slot(
            request,
            partial(plain.start_async, {}),
            partial(plain.infer, {}, share_outputs, decode_strings),
            plain.set_input_tensor,
        )

    def _bind(self, slot: _Slot, arrays: Sequence[NDArray[Any]]) -> None:
        bind = slot.bind
        slot.bound = bound = []
        try:
            for index, (array, spec) in enumerate(zip(arrays, self.inputs, strict=True)):
                bound.append(tensor := share(array, spec.datatype))
                bind(index, tensor)
        except RuntimeError as error:
            raise InferenceFailed(f"OpenVINO refused the inputs: {reason(error)}") from error

    def _read(self, slot: _Slot) -> list[NDArray[Any]]:
        get = slot.request.get_output_tensor
        return [view(get(index), spec.datatype) for index, spec in enumerate(self.outputs)]

    async def _infer(self, slot: _Slot) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        slot.done = done = self._loop.create_future()
        try:
            slot.start((slot, done))
        except RuntimeError as error:
            slot.done = None
            raise InferenceFailed(f"Internal inference error: {reason(error)}") from error
        if self._watch is None:
            self._watch = self._loop.call_later(FAILURE_CHECK_SECONDS, self._look_for_failures)
        await done

    def _called_back(self, userdata: tuple[_Slot, asyncio.Future[None]]) -> None:
        """In OpenVINO's thread: only pass it on. An exception here would end the process."""
        assert self._loop is not None  # noqa: S101 - start_async came before
        with suppress(RuntimeError):  # the loop is closed: the process is ending, nobody waits any more
            self._loop.call_soon_threadsafe(self._finished, *userdata)

    def _finished(self, slot: _Slot, done: asyncio.Future[None], error: Exception | None = None) -> None:
        if slot.done is not done:
            return
        slot.done = None
        if done.cancelled():
            self._release(slot)
        elif error is not None:
            done.set_exception(error)
        else:
            done.set_result(None)

    def _look_for_failures(self) -> None:
        self._watch = None
        for slot in self._slots:
            if slot.done is None:
                continue
            try:
                slot.request.wait_for(0)
            except RuntimeError as error:
                self._finished(slot, slot.done, InferenceFailed(f"Internal inference error: {reason(error)}"))
        if self._loop is not None and self.active:
            self._watch = self._loop.call_later(FAILURE_CHECK_SECONDS, self._look_for_failures)

    def require_place(self) -> None:
        """Raises Overloaded when a request could not even wait: nothing needs to be made ready for it."""
        if not self._free and len(self._queue) >= self.queue_limit:
            raise Overloaded(
                f"{len(self._queue)} requests are waiting for this model already; try again later"
            )

    async def _wait_for_slot(self, passage: Passage) -> _Slot:
        self.require_place()
        place: asyncio.Future[_Slot] = asyncio.get_running_loop().create_future()
        watcher = _cancel_when_gone(place, passage)
        self._queue.append(place)
        taken = False
        try:
            async with asyncio.timeout_at(passage.deadline):
                slot = await place
                taken = True
                return slot
        except TimeoutError:
            raise DeadlineExceeded(
                "the time allowed ran out while waiting for a free infer request"
            ) from None
        except asyncio.CancelledError:
            if watcher is not None and watcher.done():
                raise CallerGone("the caller hung up while the request waited") from None
            raise
        finally:
            if watcher is not None:
                watcher.cancel()
            if not taken:
                self._give_up(place)

    def _give_up(self, place: asyncio.Future[_Slot]) -> None:
        """The caller is gone: leave the queue, or return the slot that just came."""
        if place.done() and not place.cancelled():
            self._release(place.result())
            return
        place.cancel()
        if place in self._queue:
            self._queue.remove(place)

    def _release(self, slot: _Slot) -> None:
        """To the next in the queue, or back to the pool."""
        slot.bound = []
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(slot)
                return
        self._free.append(slot)


def _ignore(_userdata: object) -> None:
    """The callback of a request that is being let go."""


def _cancel_when_gone(place: asyncio.Future[_Slot], passage: Passage) -> asyncio.Future[None] | None:
    """Gives the place in the queue up when nobody waits for the answer any more."""
    if passage.gone is None:
        return None
    watcher = asyncio.ensure_future(passage.gone())
    watcher.add_done_callback(lambda _: place.cancel())
    return watcher
