"""The composition root: builds every part, starts them in order, stops them in order."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from typing import Any

import uvloop
from numpy.typing import NDArray

from modelserver import __version__
from modelserver.admission import LiveLimits
from modelserver.codec import image
from modelserver.dataplane.backend import Backend
from modelserver.dataplane.control import Control
from modelserver.dataplane.plane import DataPlane
from modelserver.dataplane.status import DevicesStatus, Health, Startup
from modelserver.engine import Devices
from modelserver.engine.device_files import device_files
from modelserver.errors import ServerError
from modelserver.front.addresses import addresses, grpc_targets
from modelserver.front.http.access import AccessApp
from modelserver.front.http.cors import CorsApp
from modelserver.front.http.server import HttpServer, bind
from modelserver.front.http.thread import HttpThread
from modelserver.front.rest.app import RestApp, StatusApp
from modelserver.front.rpc.server import RpcServer
from modelserver.models.catalogue import Catalogue
from modelserver.models.converger import Converger
from modelserver.models.loader import Loader
from modelserver.models.planner import Planner
from modelserver.models.recovery import Recovery
from modelserver.models.repository import LocalStorage
from modelserver.models.scanner import Scanner
from modelserver.models.watcher import Watch, Watcher
from modelserver.settings.config_file import Configuration
from modelserver.settings.process import (
    OnLoadFailure,
    ServerSettings,
    chosen_monitoring,
    first_configuration,
    workers_in_effect,
)
from modelserver.signature import Spec
from modelserver.telemetry import logs
from modelserver.telemetry.heartbeat import Heartbeat
from modelserver.telemetry.metrics import Metrics
from modelserver.telemetry.series import VersionSeries
from modelserver.threads import Threads
from modelserver.tuning import machine

LOG = logging.getLogger(__name__)
GRACE_SECONDS = 60.0
"""In-flight requests get this long after SIGTERM when no request timeout says otherwise."""
MARGIN_SECONDS = 3.0
"""The request timeout limits the waiting; inference comes on top. Pods get five seconds beyond it."""


def run(settings: ServerSettings) -> int:
    """Serve until SIGTERM; the exit code is the process's."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(logs.writing(settings.log_level, settings.log_format, settings.log_path))
        except OSError as error:
            sys.stderr.write(f"log_path {settings.log_path} cannot be written: {error.strerror}\n")
            return 1
        return _run(settings)


def _run(settings: ServerSettings) -> int:
    LOG.info("OpenVINO ModelServer %s starts", __version__)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_serve(settings))
        except ServerError as error:
            LOG.error("%s", error)  # noqa: TRY400 - the message is the whole story
            return 1


async def _serve(settings: ServerSettings) -> int:
    """Configuration, sockets, fronts, models, then wait for the end."""
    stop, hurry = _on_signals()
    configuration = first_configuration(settings)
    server = Server(settings, configuration)
    try:
        await server.start()
        await _first_of(stop, server.failed)
    finally:
        was_in_time = await server.stop(hurry)
    if server.failed.is_set():
        LOG.error("%s", server.failure)
        return 1
    if was_in_time:
        LOG.info("stopped; everything in flight was answered")
    else:
        LOG.warning("stopped; requests still running after the grace period were aborted")
    return 0


def _on_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first signal, and by the next one."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def received() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received)
    return stop, hurry


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


class Server:
    """All parts of one running server."""

    def __init__(self, settings: ServerSettings, configuration: Configuration) -> None:
        self._settings = settings
        self.failure: str | None = None
        self.failed = asyncio.Event()
        workers, warnings = workers_in_effect(settings, machine.read_machine().threads)
        self._threads = Threads(workers)
        self._monitoring = chosen_monitoring(settings, configuration)
        metrics = Metrics(self._monitoring.only)
        self._limits = LiveLimits(settings.limits)
        self._limits.follow(configuration.limits)
        self._catalogue = Catalogue()
        devices = Devices(settings.cache_dir, settings.cpu_extension)
        converger = self._converger(metrics, devices)
        watch = Watch(settings.config_path, settings.poll_seconds)
        self._watcher = Watcher(self._catalogue, converger, self._limits, configuration, watch)
        startup = Startup(workers, warnings, DevicesStatus(devices.names, device_files()))
        self._health = Health(self._catalogue, self._watcher, metrics, machine.read_machine, startup)
        self._recovery = Recovery(converger, self._watcher.in_turn, self._threads.check)
        plane = DataPlane(self._catalogue, self._recovery, metrics, self._decode_images)
        control = Control(self._catalogue, converger, self._watcher, settings.model_control_mode)
        self._backend = Backend(plane, self._health, self._limits, control, metrics, self._threads)
        self._rpc = RpcServer(self._backend, access_log=settings.access_log)
        self._fronts: list[HttpServer] = []
        self._heartbeat = Heartbeat(self._health.look_at_machine)
        self._status: HttpThread | None = None
        self._loading: asyncio.Task[None] | None = None

    def _converger(self, metrics: Metrics, devices: Devices) -> Converger:
        settings, thread = self._settings, self._threads.load
        return Converger(
            self._catalogue,
            Scanner(LocalStorage(), thread),
            Planner(machine.read_machine, settings.exclusive_cpus),
            Loader(devices, self._limits, machine.free_memory, thread),
            VersionSeries(metrics),
        )

    async def start(self) -> None:
        """Listen first, so that liveness answers while models load."""
        settings = self._settings
        self._heartbeat.begin()
        self._health.load.begin()
        if settings.port:
            targets = grpc_targets(addresses(settings.grpc_hosts, settings.port))
            await self._rpc.start(targets, settings.channel_arguments)
        await self._start_http()
        for warning in self._health.now.warnings:
            LOG.warning("%s", warning)
        self._loading = asyncio.get_running_loop().create_task(self._load_and_watch())
        self._loading.add_done_callback(self._loading_ended)
        LOG.info(
            "listening: gRPC %s, REST %s, status %s", settings.port, settings.rest_port, settings.status_port
        )

    async def _start_http(self) -> None:
        settings = self._settings
        is_separate = settings.status_port not in (0, settings.rest_port)
        if settings.rest_port:
            rest = RestApp(self._backend, metrics=self._monitoring.enable, status=not is_separate)
            guarded = AccessApp(CorsApp(rest, settings.cors), log=settings.access_log)
            sockets = bind(settings.rest_hosts, settings.rest_port)
            self._fronts.append(HttpServer(guarded, sockets, self._limits))
            await self._fronts[-1].start()
        if is_separate:
            sockets = bind(settings.rest_hosts, settings.status_port)
            alone = HttpServer(StatusApp(self._health, heartbeat=self._heartbeat), sockets, self._limits)
            self._status = HttpThread(alone, self._status_died)
            await self._status.start()

    async def stop(self, hurry: asyncio.Event) -> bool:
        """Not ready immediately; then drain, finish what is in flight, and let go. `hurry` ends the drain.

        True when everything in flight was finished in time.
        """
        self._health.begin_draining()
        for front in self._fronts:
            front.drain()
        if self._loading is not None:
            if not self.failed.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(hurry.wait(), self._settings.drain_seconds)
            self._loading.cancel()
        self._watcher.stop()
        self._recovery.stop()
        limit = self._limits.now.request_timeout_seconds
        grace = GRACE_SECONDS if limit is None else limit + MARGIN_SECONDS
        end = asyncio.get_running_loop().time() + grace
        await asyncio.gather(self._rpc.stop(grace), *(front.stop(grace) for front in self._fronts))
        was_in_time = asyncio.get_running_loop().time() < end
        if self._status is not None:
            await self._status.stop(1)
        self._heartbeat.end()
        self._health.load.end()
        self._threads.end()
        return was_in_time

    async def _load_and_watch(self) -> None:
        await self._watcher.load_first()
        # What is here now stays: the collector need not walk through it again and again.
        gc.collect()
        gc.freeze()
        for name, model in self._catalogue.models.items():
            is_hopeless = model.is_unreadable or any(one.failed for one in model.versions.values())
            if self._settings.on_load_failure is OnLoadFailure.EXIT and is_hopeless and not model.available:
                self.failure = f"model {name}: {model.error}"
                self.failed.set()
                return
        await self._watcher.run()

    def _loading_ended(self, task: asyncio.Task[None]) -> None:
        """Nothing serves for long without its watcher: better end, and be started again."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail("loading models failed", error)

    def _status_died(self, error: BaseException) -> None:
        """Its probes fail from now on, so it would be killed soon: better end now, and say why."""
        self._fail("serving the status port failed", error)

    def _fail(self, what: str, error: BaseException) -> None:
        LOG.error("unexpected error: %s", what, exc_info=error)
        self.failure = f"{what}: {error!r}"
        self.failed.set()

    async def _decode_images(self, images: NDArray[Any], spec: Spec) -> NDArray[Any]:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads.decode, image.decode, images, spec
        )
