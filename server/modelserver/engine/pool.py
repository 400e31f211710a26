"""The infer requests of a model, who has which of them, and the bounded queue in front of them.

A slot is lent for one inference at a time. Two parties hold the lease: the caller, until it has read the
outputs or has gone, and OpenVINO, from the start of the inference to its end. When the last of them lets go,
the slot goes to the next in the queue or back to the pool, in `Pool._take_back` and nowhere else; a lease
that is no longer among those lent has nothing to give. All of this runs on the event loop.
"""

import asyncio
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import openvino as ov
from numpy.typing import NDArray

from modelserver.errors import CallerGone, DeadlineExceeded, Overloaded

RELEASE_SECONDS = 60.0
RELEASE_CHECK_SECONDS = 0.0005
Callback = weakref.ref[Callable[[Any], None]]
Gone = Callable[[], Awaitable[None]]
"""Returns when the caller has hung up."""


@dataclass(slots=True, eq=False)
class Slot:
    """One infer request and what it works on."""

    request: ov.InferRequest
    start: Callable[["Lease | None"], None]
    infer: Callable[[], dict[Any, NDArray[Any]]]
    """Only without streams; with them it may hide errors (docs/decisions/0013).

    Gives the outputs in their order, over the engine's memory; BF16 and BYTES are to be read by `view`.
    """
    bind: Callable[[int, ov.Tensor], None]
    callback: Callback
    """What OpenVINO calls; see `release_callbacks`."""
    bound: list[ov.Tensor] = field(default_factory=list)
    """Keeps the inputs' memory alive while OpenVINO reads it, even if the caller has gone."""


def release_callbacks(requests: Iterable[tuple[ov.InferRequest, Callback]]) -> bool:
    """Take the callbacks off requests that have ended, and wait until OpenVINO's threads have let go of them.

    A thread holds its callback a moment longer than the inference lasts, and needs the interpreter's lock to
    let go of it. A model that is dropped earlier waits for that thread and has the lock: for ever. False when
    one is still held after `RELEASE_SECONDS`.
    """
    callbacks, end = [], time.monotonic() + RELEASE_SECONDS
    for request, callback in requests:
        request.set_callback(_nothing, None)
        callbacks.append(callback)
    while any(callback() is not None for callback in callbacks):
        if time.monotonic() > end:
            return False
        time.sleep(RELEASE_CHECK_SECONDS)
    return True


def _nothing(_userdata: object) -> None:
    """The callback of a request that is being let go."""


class Lease:
    """The right to use a slot for one inference, and what came out of it."""

    __slots__ = ("_done", "_has_caller", "_take_back", "inferred", "outputs", "slot", "waited")

    def __init__(self, slot: Slot, take_back: Callable[["Lease"], None]) -> None:
        self.slot = slot
        self.outputs: Sequence[NDArray[Any]] = ()
        """Over the engine's own memory: they are gone when the lease is left."""
        self.waited = self.inferred = 0.0
        """Seconds."""
        self._take_back = take_back
        self._has_caller = True
        self._done: asyncio.Future[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether OpenVINO is at work, as far as the loop knows."""
        return self._done is not None

    def start(self) -> asyncio.Future[None]:
        """Hands the slot to OpenVINO; the future is done when `finish` is called. Raises RuntimeError."""
        self._done = done = asyncio.get_running_loop().create_future()
        try:
            self.slot.start(self)
        except RuntimeError:
            self._done = None
            raise
        return done

    def finish(self, error: Exception | None = None) -> None:
        """OpenVINO has finished; where two report the same end, the first one counts."""
        done, self._done = self._done, None
        if done is None:
            return
        if not done.done():  # otherwise the caller has gone
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._settle()

    def leave(self) -> None:
        """The caller has read the outputs, or has gone."""
        self._has_caller = False
        self._settle()

    def _settle(self) -> None:
        if not self._has_caller and not self.is_running:
            self._take_back(self)


class SharedLease(Lease):
    """What every request of an inline model gets: there, one inference ends before the next begins."""

    __slots__ = ()

    def __init__(self, slot: Slot) -> None:
        super().__init__(slot, _keep)

    def leave(self) -> None:
        """The inputs' memory is the caller's again; the slot stays."""
        self.slot.bound = []


def _keep(_: Lease) -> None:
    """It came from no pool."""


class Pool:
    """Lends slots, first come, first served."""

    def __init__(self, slots: Sequence[Slot], queue_limit: Callable[[], int]) -> None:
        """`queue_limit` gives how many requests may wait now."""
        self.lent: set[Lease] = set()
        self._queue_limit = queue_limit
        self._free = deque(slots)
        self._queue: deque[asyncio.Future[Lease]] = deque()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def require_place(self) -> None:
        """Raises Overloaded when a request could not even wait: nothing needs to be made ready for it."""
        if not self._free and len(self._queue) >= self._queue_limit():
            raise Overloaded(
                f"{len(self._queue)} requests are waiting for this model already; try again later"
            )

    async def lease(self, deadline: float | None, gone: Gone | None) -> Lease:
        """A slot, sooner or later; the caller must `leave` it."""
        if self._free:
            return self._lend(self._free.popleft())
        self.require_place()
        return await self._wait(deadline, gone)

    def close(self) -> None:
        """Let the slots go; nobody is inside any more."""
        self._free.clear()

    async def _wait(self, deadline: float | None, gone: Gone | None) -> Lease:
        place: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        watcher = _cancel_when_gone(place, gone)
        self._queue.append(place)
        taken = False
        try:
            async with asyncio.timeout_at(deadline):
                lease = await place
                taken = True
                return lease
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

    def _give_up(self, place: asyncio.Future[Lease]) -> None:
        """The caller is gone: leave the queue, or the slot that was handed over in this turn of the loop."""
        if place.done() and not place.cancelled():
            place.result().leave()
            return
        place.cancel()
        if place in self._queue:
            self._queue.remove(place)

    def _lend(self, slot: Slot) -> Lease:
        lease = Lease(slot, self._take_back)
        self.lent.add(lease)
        return lease

    def _take_back(self, lease: Lease) -> None:
        """To the next in the queue, or back to the pool."""
        self.lent.remove(lease)
        slot = lease.slot
        slot.bound = []
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(self._lend(slot))
                return
        self._free.append(slot)


def _cancel_when_gone(place: asyncio.Future[Lease], gone: Gone | None) -> asyncio.Future[None] | None:
    """Gives the place in the queue up when nobody waits for the answer any more."""
    if gone is None:
        return None
    watcher = asyncio.ensure_future(gone())
    watcher.add_done_callback(lambda _: place.cancel())
    return watcher
