"""A status port of its own answers from a thread of its own, and tells the truth about the main loop."""

import asyncio
import json
import socket
import sys
import threading
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import pytest

from modelserver.admission import LiveLimits
from modelserver.dataplane.status import Health, Startup
from modelserver.front.http.server import HttpServer, bind
from modelserver.front.http.thread import MARGIN_SECONDS, HttpThread
from modelserver.front.rest.app import StatusApp
from modelserver.models.catalogue import Catalogue
from modelserver.models.model import Model, State, Version
from modelserver.settings.config_file import ModelSettings
from modelserver.settings.limits import Limits
from modelserver.telemetry import families
from modelserver.telemetry.heartbeat import SILENT_SECONDS, Heartbeat
from modelserver.telemetry.labels import VersionLabels
from modelserver.telemetry.metrics import PENDING, Histogram, Metrics
from modelserver.tuning.machine import Machine
from tests.support.parts import Parts
from tests.support.server_process import (
    ServerProcess,
    environment,
    fetch,
    free_port,
    run_to_end,
)
from tests.support.waiting import until, until_async

HANDICAPPED = """
import pathlib, threading, time
import uvicorn
from modelserver.telemetry import heartbeat

heartbeat.SILENT_SECONDS = 3
here, tick = pathlib.Path(__file__).parent, uvicorn.Server.on_tick

async def on_tick(server, counter):
    if threading.current_thread() is threading.main_thread():
        while (here / "stuck").exists():
            time.sleep(0.01)
    elif (here / "dead").exists():
        raise RuntimeError("the test wants it")
    return await tick(server, counter)

uvicorn.Server.on_tick = on_tick
"""
"""Stops the main loop, or ends the status port's thread, when a file of that name appears."""


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Calm:
    """A Health that is ready."""

    draining = False

    def is_ready(self):
        return True

    def status(self):
        return {"ready": True}

    def metrics(self):
        return b"x 1\n"


def code(url):
    return fetch(url)[0]


@asynccontextmanager
async def apart(app, died=None, margin=MARGIN_SECONDS):
    """The app on a thread of its own; gives that and where it listens."""
    server = HttpServer(app, bind(("127.0.0.1",), port := free_port()), LiveLimits(Limits()))
    thread = HttpThread(server, died or pytest.fail, margin)
    await thread.start()
    try:
        yield thread, f"http://127.0.0.1:{port}"
    finally:
        await thread.stop(1)


def nothing():
    """At a beat."""


async def test_the_status_port_answers_while_the_main_loop_is_blocked():
    async with apart(StatusApp(Calm(), heartbeat=Heartbeat(nothing))) as (_, url):
        # The very call blocks this loop: on it nobody could answer.
        paths = ("/v2/health/live", "/v2/health/ready", "/metrics", "/status")
        assert [code(url + path) for path in paths] == [200] * 4


def test_a_heart_has_stopped_when_its_last_beat_is_too_long_ago():
    heartbeat = Heartbeat(nothing, clock := Clock())
    clock.now += SILENT_SECONDS
    assert heartbeat.stopped_for() is None
    clock.now += 1
    assert heartbeat.stopped_for() == SILENT_SECONDS + 1
    heartbeat.beat()
    assert heartbeat.stopped_for() is None


async def test_a_heart_beats_by_itself_until_it_is_ended():
    heartbeat = Heartbeat(nothing, clock := Clock())
    heartbeat.begin()
    for _ in range(2):
        clock.now += SILENT_SECONDS * 2
        assert heartbeat.stopped_for()
        await until_async("a beat", lambda: heartbeat.stopped_for() is None)
    heartbeat.end()
    assert heartbeat._handle.cancelled()


async def test_live_and_ready_are_503_when_the_main_loops_heart_has_stopped():
    heartbeat = Heartbeat(nothing, clock := Clock())
    async with apart(StatusApp(Calm(), heartbeat=heartbeat)) as (_, url):
        clock.now += SILENT_SECONDS + 12
        for path in ("/v2/health/live", "/v2/health/ready"):
            status, raw, headers = fetch(url + path)
            assert (status, headers["content-type"]) == (503, "application/json")
            assert "main loop has been stuck for 42 s" in json.loads(raw)["error"]
        assert [code(url + path) for path in ("/metrics", "/status")] == [200, 200]
        heartbeat.beat()
        assert code(f"{url}/v2/health/live") == 200


async def test_the_thread_ends_with_the_server():
    async with apart(StatusApp(Calm())) as (thread, url):
        assert code(f"{url}/v2/health/live") == 200
    assert not thread._thread.is_alive()
    with pytest.raises(OSError, match="refused"):
        fetch(url)


async def test_a_thread_that_is_stuck_is_left_behind_and_the_log_says_so(caplog):
    inside, go = threading.Event(), threading.Event()

    class Stuck(Calm):
        def metrics(self):
            inside.set()
            go.wait(60)
            return b""

    async with apart(StatusApp(Stuck()), margin=0.2) as (thread, url):
        asked = asyncio.create_task(asyncio.to_thread(code, f"{url}/metrics"))
        await until_async("the question", inside.is_set)
        await thread.stop(0)
        assert "did not stop in time" in caplog.text
        go.set()
        assert await asked == 200


async def test_a_thread_that_ends_by_itself_is_told_on_the_main_loop():
    told = asyncio.get_running_loop().create_future()
    async with apart(StatusApp(Calm()), told.set_result) as (thread, _):
        thread._server._server.should_exit = True
        assert "ended unexpectedly" in str(await asyncio.wait_for(told, 30))


async def test_what_keeps_the_thread_from_starting_is_raised_where_it_is_started():
    (closed,) = bind(("127.0.0.1",), free_port())
    closed.close()
    thread = HttpThread(HttpServer(StatusApp(Calm()), [closed], LiveLimits(Limits())), pytest.fail)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await thread.start()
    await thread.stop(1)


@pytest.fixture
def handicapped(repository, tmp_path):
    """A server with a status port of its own; gives it, that port's URL and where files handicap it."""
    (tmp_path / "sitecustomize.py").write_text(HANDICAPPED)
    arguments = ("--model_name", "dummy", "--model_path", str(repository / "dummy"))
    path = f"{tmp_path}:{environment()['PYTHONPATH']}"
    with ServerProcess(*arguments, "--status_port", str(port := free_port()), PYTHONPATH=path) as server:
        server.wait_ready()
        yield server, f"http://127.0.0.1:{port}", tmp_path


def test_a_server_whose_main_loop_is_stuck_is_not_live_until_it_moves_again(handicapped):
    server, url, directory = handicapped
    until("liveness", lambda: code(f"{url}/v2/health/live") == 200, timeout=30)
    (directory / "stuck").touch()
    until("the loop to be missed", lambda: code(f"{url}/v2/health/live") == 503, timeout=30)
    assert code(f"{url}/v2/health/ready") == 503
    assert code(f"{url}/status") == 200
    (directory / "stuck").unlink()
    until("liveness again", lambda: code(f"{url}/v2/health/live") == 200, timeout=30)
    assert server.get("/v2/health/live")[0] == 200
    server.terminate()
    assert server.wait(15) == 0


def test_a_server_whose_status_port_dies_ends_with_1_and_says_why(handicapped):
    server, _, directory = handicapped
    (directory / "dead").touch()
    assert server.wait(30) == 1
    assert "serving the status port failed: RuntimeError('the test wants it')" in server.log()


def test_a_taken_status_port_ends_the_process_with_1_naming_it(repository):
    model = ("--model_name", "d", "--model_path", str(repository / "dummy"))
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        ended = run_to_end(*model, "--rest_port", str(free_port()), "--status_port", port)
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert f"Cannot listen on 0.0.0.0:{port}" in ended.stderr


@contextmanager
def hammering(work):
    """Does something again and again in another thread; what it raises is raised here."""
    end, raised = threading.Event(), []

    def run():
        try:
            while not end.is_set():
                work()
        except Exception as error:  # noqa: BLE001 - told below
            raised.append(error)

    thread, before = threading.Thread(target=run), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the threads change at every chance
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(60)
        sys.setswitchinterval(before)
    assert raised == []


def test_no_sample_is_lost_or_counted_twice_while_another_thread_reads():
    histogram, samples = Histogram(), 300_000
    with hammering(lambda: list(histogram.lines("x", ()))):
        for _ in range(samples):
            histogram.pending.append(0.5)
            if len(histogram.pending) >= PENDING:
                histogram.fold()
    assert histogram.total == samples * 500_000.0
    assert sum(histogram._counts) == samples
    *_, count, _ = histogram.lines("x", ())
    assert count == f"x_count {samples}"


def test_series_come_and_go_while_another_thread_reads_the_page():
    metrics = Metrics()
    with hammering(metrics.render):
        for number in range(3000):
            labels = VersionLabels("m", number).alone
            metrics.counter(families.REQUESTS_SUCCESS, labels).add()
            metrics.gauge(families.STREAMS, labels, lambda: 1)
            if number % 100 == 99:
                metrics.forget(families.STREAMS, VersionLabels("m", number - 50).alone)
    page = metrics.render().decode()
    assert page.count("ovms_requests_success{") == 3000
    assert page.count("ovms_streams{") == 3000 - 30


class Quiet:
    """A watcher without errors."""

    config_error = watch_error = None
    ignored = ()


def one_cpu():
    return Machine((0,), 1, None)


def health_of(catalogue, machine=one_cpu, metrics=None):
    return Health(catalogue, Quiet(), metrics or Metrics(), machine, Startup(1))


async def test_the_machine_is_looked_at_on_the_main_loop_whoever_asks():
    threads = []

    def machine():
        threads.append(threading.get_ident())
        return Machine((0,), 1, float(len(threads)))

    health = health_of(Catalogue(), machine)
    heartbeat = Heartbeat(health.look_at_machine)
    heartbeat.begin()
    heartbeat.end()
    assert b"modelserver_cpu_quota 2.0" in await asyncio.to_thread(health.metrics)
    assert threads == [threading.get_ident()] * 2


EFFECT = SimpleNamespace(execution_devices=("CPU",), streams=1, nireq=1, hint=None, threads=1, pinning=False)
LOADED = SimpleNamespace(effect=EFFECT, inline=False, first_seconds=None)
PLAN = SimpleNamespace(warnings=("w",), pinning_reason="none")


def settled():
    """A catalogue whose first pass has ended."""
    catalogue = Catalogue()
    catalogue.has_converged = True
    return catalogue


def version(catalogue, name, number=1, loaded=LOADED):
    """Adds a version to the catalogue."""
    model = catalogue.models.setdefault(name, Model(ModelSettings(name, "/nowhere")))
    model.versions[number] = Version(name, number, is_wanted=True, plan=PLAN, loaded=loaded)
    return model.versions[number]


def test_models_and_versions_come_and_go_while_another_thread_asks():
    catalogue = settled()
    health = health_of(catalogue)

    def ask():
        health.is_ready()
        document = health.status()
        numbers = [len(model["versions"]) for model in document["models"]]
        assert document["models"] == [] or 0 < max(numbers) <= 20

    with hammering(ask):
        for number in range(2000):
            name = f"m{number % 7}"
            version(catalogue, name, number, LOADED if number % 3 == 0 else None)
            versions = catalogue.models[name].versions
            if len(versions) > 20:
                versions.pop(min(versions))
            if number % 5 == 4:
                catalogue.models.pop(name)
            catalogue.notify()
    assert {model["name"] for model in health.status()["models"]} == catalogue.models.keys()


def test_what_is_read_is_of_one_moment_whatever_changes_meanwhile():
    catalogue = Catalogue()
    health = health_of(catalogue)
    version(catalogue, "m")
    catalogue.notify()
    before = health.now
    version(catalogue, "n", loaded=None)
    assert [model.name for model in before.models] == ["m"]
    assert health.now is before  # nothing has been announced
    catalogue.notify()
    assert [model.name for model in health.now.models] == ["m", "n"]


def test_asking_changes_nothing_only_what_happens_does():
    catalogue = settled()
    health, late = health_of(catalogue), version(catalogue, "m", loaded=None)
    late.loaded = LOADED
    assert not health.is_ready()
    catalogue.notify()
    assert health.is_ready()


def test_it_is_ready_when_every_wanted_version_answers_and_then_while_any_does():
    catalogue = settled()
    health, seen = health_of(catalogue), []
    versions = [version(catalogue, name, loaded=None) for name in ("m", "n")]
    for one, loaded in [(0, LOADED), (1, LOADED), (0, None), (1, None), (0, LOADED)]:
        versions[one].loaded = loaded
        catalogue.notify()
        seen.append(health.is_ready())
    assert seen == [False, True, True, False, True]


def test_draining_is_not_ready_from_that_very_moment():
    catalogue = settled()
    health = health_of(catalogue)
    version(catalogue, "m")
    catalogue.notify()
    assert (health.is_ready(), health.draining) == (True, False)
    health.begin_draining()
    assert (health.is_ready(), health.draining) == (False, True)
    assert (health.status()["ready"], health.status()["draining"]) == (False, True)


async def test_a_model_is_ready_or_not_in_the_step_in_which_it_is_loaded_or_retired(repository):
    seen = []
    with Parts() as parts:
        health = health_of(parts.catalogue, metrics=parts.metrics)
        parts.catalogue.listen(lambda: seen.append((health.is_ready(), b"_ready 1.0" in health.metrics())))
        await parts.converger.apply([ModelSettings("m", str(repository / "dummy"))], "r1")
        assert health.is_ready()
        await parts.converger.unload("m")
        (model,) = health.now.models
        assert model.versions[0].state in (State.UNLOADING, State.END)
        assert model.error is not None
        assert health.now.revision == "r1"
        await until_async("the end", lambda: health.now.models[0].versions[0].state is State.END)
    assert all(ready == on_page for ready, on_page in seen)
