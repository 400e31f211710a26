"""How busy each model is, as a mean of the last seconds: what an autoscaler asks for (`load` of GET /status).

A number of one moment would mislead: it is asked for a few times a minute, and changes with each request. The
main loop looks at counters that exist anyway, a few times a second, so no request pays for it.

Models that run inline share one stream, the main loop, and never wait in a queue of ours: under load the
loop itself is what is busy, mostly with reading and writing. So their requests are counted as the share of
its time that the loop works or waits for a CPU, divided among them by the time each spends in requests.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelserver.engine import LoadedModel
from modelserver.models.catalogue import Catalogue
from modelserver.models.model import Model, Version
from modelserver.telemetry import families
from modelserver.telemetry.labels import Interface
from modelserver.telemetry.metrics import Metrics

LOOK_SECONDS = 0.2
MEAN_SECONDS = 3.0
"""What is longer ago than this weighs little."""
_SCHEDULED = Path("/proc/thread-self/schedstat")


@dataclass(frozen=True)
class ModelLoad:
    """One model, all its versions together; means of the last seconds."""

    name: str
    in_flight: float
    """Requests inside that do not wait; of a model that runs inline, its part of the loop's time, and
    requests whose images are being decoded."""
    queued: float
    """Requests that wait for a free infer request."""
    streams: int | None
    nireq: int | None
    inline: bool

    def document(self) -> Mapping[str, Any]:
        """Its part of GET /status."""
        return {
            "name": self.name,
            "inFlight": round(self.in_flight, 3),
            "queued": round(self.queued, 3),
            "streams": self.streams,
            "nireq": self.nireq,
            "inline": self.inline,
        }


def worked() -> float:
    """The seconds for which this thread has run, or could have run but for a CPU: of others, or of its quota.

    Where the kernel does not count the waiting, only the running.
    """
    try:
        running, waiting, _ = _SCHEDULED.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return time.thread_time()
    return (int(running) + int(waiting)) / 1e9


class Mean:
    """A mean in which the past fades."""

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, value: float, seconds: float) -> None:
        """The value that held for the last seconds."""
        self.value += (value - self.value) * (1 - math.exp(-seconds / MEAN_SECONDS))


@dataclass
class _Observed:
    """What is remembered of one model."""

    in_flight: Mean
    queued: Mean
    spent: float = 0.0
    """Microseconds in requests, since the process began."""


class LoadMeter:
    """Looks on the loop it is begun on; any thread may ask."""

    def __init__(
        self,
        catalogue: Catalogue,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] = worked,
    ) -> None:
        """`busy`: the seconds for which the thread that looks has worked so far."""
        self._catalogue = catalogue
        self._metrics = metrics
        self._clock, self._busy = clock, busy
        self._before = clock(), busy()
        self._observed: dict[str, _Observed] = {}
        self._handle: asyncio.TimerHandle | None = None
        self.now: tuple[ModelLoad, ...] = ()

    def begin(self) -> None:
        """Look on the running loop from now on."""
        self._handle = asyncio.get_running_loop().call_later(LOOK_SECONDS, self.begin)
        self.look()

    def end(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.cancel()

    def look(self) -> None:
        """Take the counters of this moment into the means."""
        clock, busy = self._clock(), self._busy()
        seconds, worked = clock - self._before[0], busy - self._before[1]
        self._before = clock, busy
        models = {name: model for name, model in self._catalogue.models.items() if model.newest is not None}
        self._observed = {name: self._observed.get(name) or _Observed(Mean(), Mean()) for name in models}
        if seconds <= 0:
            return
        spent = {name: self._spent(name, model) for name, model in models.items() if _is_inline(model)}
        share, whole = min(1.0, worked / seconds), sum(spent.values())
        self.now = tuple(
            self._load(name, model, seconds, share * spent[name] / whole if whole and name in spent else 0.0)
            for name, model in models.items()
        )

    def _load(self, name: str, model: Model, seconds: float, inline: float) -> ModelLoad:
        """`inline`: the model's part of the loop's time."""
        known = self._observed[name]
        loaded = [version.loaded for version in model.versions.values() if version.loaded is not None]
        loaded += [old for old, of in self._catalogue.draining.items() if of == name]
        queued = sum(one.waiting for one in loaded)
        # This runs on the loop: a request of an inline model is inside only while it waits for its images.
        known.in_flight.add(sum(one.in_flight for one in loaded) - queued + inline, seconds)
        known.queued.add(queued, seconds)
        return _model_load(name, model, known)

    def _spent(self, name: str, model: Model) -> float:
        """Microseconds in requests since the last look."""
        now = sum(self._total(version) for version in model.versions.values() if version.loaded is not None)
        known = self._observed[name]
        before, known.spent = known.spent, now
        return max(0.0, now - before)

    def _total(self, version: Version) -> float:
        histogram, labels = self._metrics.histogram, version.labels
        return sum(histogram(families.REQUEST_TIME, labels.interface(one)).total for one in Interface)


def _serving(model: Model) -> LoadedModel | None:
    return None if (newest := model.newest) is None else newest.loaded


def _is_inline(model: Model) -> bool:
    serving = _serving(model)
    return serving is not None and serving.inline


def _model_load(name: str, model: Model, known: _Observed) -> ModelLoad:
    serving = _serving(model)
    return ModelLoad(
        name=name,
        in_flight=max(0.0, known.in_flight.value),
        queued=known.queued.value,
        streams=None if serving is None else serving.effect.streams,
        nireq=None if serving is None else serving.effect.nireq,
        inline=_is_inline(model),
    )
