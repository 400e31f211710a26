"""`load` of GET /status: means of the last seconds, without a cost for any request."""

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelserver.dataplane.load import LOOK_SECONDS, LoadMeter, ModelLoad
from modelserver.models.catalogue import Catalogue
from modelserver.models.model import Model, Version
from modelserver.settings.config_file import ModelSettings
from modelserver.telemetry import families
from modelserver.telemetry.labels import Interface, VersionLabels
from modelserver.telemetry.metrics import Metrics
from tests.support import models
from tests.support.callers import callers
from tests.support.server_process import ServerProcess
from tests.support.waiting import until, until_async


class Loop:
    """A clock, and how long the loop has worked; both move when the test says so."""

    def __init__(self) -> None:
        self.now = self.worked = 0.0
        self.metrics = Metrics()
        self.catalogue = Catalogue()
        self.meter = LoadMeter(self.catalogue, self.metrics, lambda: self.now, lambda: self.worked)

    def serve(self, name: str, *, inline: bool = False, streams: int | None = 2) -> SimpleNamespace:
        effect = SimpleNamespace(streams=streams, nireq=4)
        loaded = SimpleNamespace(effect=effect, inline=inline, in_flight=0, waiting=0)
        self.catalogue.models[name] = model = Model(ModelSettings(name, "/nowhere"))
        model.versions[1] = Version(name, 1, loaded=loaded)
        return loaded

    def spend(self, name: str, seconds: float) -> None:
        labels = VersionLabels(name, 1).interface(Interface.GRPC)
        self.metrics.histogram(families.REQUEST_TIME, labels).pending.append(seconds)

    def pass_by(self, seconds: float, busy: float = 0.0) -> dict[str, ModelLoad]:
        """`busy`: the share of this time for which the loop works."""
        for _ in range(round(seconds / LOOK_SECONDS)):
            self.now += LOOK_SECONDS
            self.worked += LOOK_SECONDS * busy
            self.meter.look()
        return {load.name: load for load in self.meter.now}


@dataclass(frozen=True)
class Draining:
    """A loaded model that answers no new requests."""

    in_flight: int
    waiting: int


def test_requests_that_run_and_requests_that_wait_are_told_apart():
    loop = Loop()
    loaded = loop.serve("m")
    loaded.in_flight, loaded.waiting = 7, 3

    load = loop.pass_by(20)["m"]

    assert (load.in_flight, load.queued) == (pytest.approx(4, abs=0.1), pytest.approx(3, abs=0.1))
    assert (load.streams, load.nireq, load.inline) == (2, 4, False)


def test_requests_of_a_version_that_is_drained_count_until_they_are_answered():
    loop = Loop()
    loop.serve("m")
    loop.catalogue.draining = {Draining(in_flight=5, waiting=2): "m"}

    load = loop.pass_by(20)["m"]
    assert (load.in_flight, load.queued) == (pytest.approx(3, abs=0.1), pytest.approx(2, abs=0.1))

    loop.catalogue.draining = {}
    assert loop.pass_by(20)["m"].queued < 0.1


def test_requests_of_a_model_on_the_loop_that_wait_for_their_images_count():
    loop = Loop()
    loop.serve("m", inline=True).in_flight = 6

    assert loop.pass_by(20)["m"].in_flight == pytest.approx(6, abs=0.1)


def test_a_moment_weighs_little_and_what_is_long_ago_nothing():
    loop = Loop()
    loaded = loop.serve("m")
    loaded.in_flight = 10

    assert loop.pass_by(LOOK_SECONDS)["m"].in_flight < 1
    loop.pass_by(20)
    loaded.in_flight = 0
    assert loop.pass_by(20)["m"].in_flight < 0.1


def test_a_model_on_the_loop_is_as_busy_as_the_loop():
    loop = Loop()
    loop.serve("m", inline=True)
    for _ in range(100):
        loop.spend("m", 0.001)  # little of the time is inference: the rest is reading and writing
        loop.pass_by(LOOK_SECONDS, busy=0.9)

    assert {load.name: load.in_flight for load in loop.meter.now} == {"m": pytest.approx(0.9, abs=0.01)}


def test_models_on_the_loop_share_its_time_by_what_each_spends():
    loop = Loop()
    loop.serve("often", inline=True)
    loop.serve("rarely", inline=True)
    loop.serve("never", inline=True)
    for _ in range(100):
        loop.spend("often", 0.003)
        loop.spend("rarely", 0.001)
        loop.pass_by(LOOK_SECONDS, busy=0.8)

    loads = {load.name: load.in_flight for load in loop.meter.now}
    assert loads == {
        "often": pytest.approx(0.6, abs=0.01),
        "rarely": pytest.approx(0.2, abs=0.01),
        "never": 0,
    }


def test_a_loop_that_works_on_other_things_is_no_load():
    loop = Loop()
    loop.serve("m", inline=True)

    assert loop.pass_by(20, busy=1.0)["m"].in_flight == 0


def test_all_versions_of_a_model_count_and_one_that_is_gone_does_not():
    loop = Loop()
    first = loop.serve("m")
    first.in_flight = 2
    second = SimpleNamespace(effect=SimpleNamespace(streams=8, nireq=8), inline=False, in_flight=3, waiting=0)
    versions = loop.catalogue.models["m"].versions
    versions[2] = Version("m", 2, loaded=second)

    assert (loop.pass_by(30)["m"].in_flight, loop.pass_by(1)["m"].streams) == (pytest.approx(5, abs=0.1), 8)
    del versions[1]
    assert loop.pass_by(30)["m"].in_flight == pytest.approx(3, abs=0.1)


def test_a_model_that_is_not_loaded_has_no_load():
    loop = Loop()
    loop.serve("m")
    loop.catalogue.models["m"].versions[1].loaded = None

    assert loop.pass_by(1) == {}


async def test_it_looks_on_its_own_loop_until_it_is_ended():
    seen = []

    def busy() -> float:
        seen.append(threading.get_ident())
        return 0.0

    meter = LoadMeter(Catalogue(), Metrics(), busy=busy)
    meter.begin()
    await until_async("it has looked", lambda: len(seen) >= 4, timeout=10)
    meter.end()
    count = len(seen)
    await asyncio.sleep(2 * LOOK_SECONDS)

    assert set(seen) == {threading.get_ident()}
    assert len(seen) == count


# A real server under load.


def unanswered(server: ServerProcess) -> float:
    (load,) = server.status()["load"] or [{"inFlight": 0, "queued": 0}]
    return load["inFlight"] + load["queued"]


def is_inline(server: ServerProcess) -> bool:
    """One that a busy machine made look slow is loaded again."""
    if server.status()["models"][0]["inline"]:
        return True
    for order in ("unload", "load"):
        assert server.post(f"/v2/repository/models/m/{order}", b"")[0] == 200
    return False


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "m"


def test_all_requests_of_a_model_with_a_queue_are_counted(repository: Path):
    models.save(models.slow(512), repository / "1")
    with ServerProcess("--model_name=m", f"--model_path={repository}", "--nireq=2") as server:
        until("it serves", lambda: server.answers("/v2/models/m/ready"))
        with callers(server.rest_port, 6, bytes(64 * 512 * 4)):
            until("most of six requests", lambda: 3 < unanswered(server) <= 6, timeout=60)
        until("none", lambda: unanswered(server) < 0.5, timeout=60)


def test_a_model_on_the_loop_is_full_when_its_callers_leave_no_pause(repository: Path):
    """On a busy machine, too: a loop that waits for a CPU is not idle."""
    models.save(models.dummy(), repository / "1")
    with ServerProcess("--model_name=m", f"--model_path={repository}") as server:
        until("it serves", lambda: server.answers("/v2/models/m/ready"))
        until("it is on the loop", lambda: is_inline(server), timeout=60)
        with callers(server.rest_port, 8, bytes(10 * 4)):
            until("it is full", lambda: 0.5 < unanswered(server) <= 1, timeout=60)
        until("it is idle", lambda: unanswered(server) < 0.3, timeout=60)
