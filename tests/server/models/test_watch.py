"""The watcher with real parts, where a test must choose the moment of a change."""

import asyncio

from modelserver.admission import LiveLimits
from modelserver.engine import Devices
from modelserver.models.loader import Loader
from modelserver.models.registry import Registry
from modelserver.models.repository import LocalStorage
from modelserver.models.watcher import Watch, Watcher
from modelserver.settings.config_file import Configuration, ModelSettings, read_configuration
from modelserver.settings.limits import Limits
from modelserver.telemetry.metrics import Metrics
from modelserver.tuning.machine import read_machine
from tests.support import models
from tests.support.waiting import until_async


async def test_a_file_that_changes_between_its_first_reading_and_the_watch_is_not_missed(
    repository, config_of, tmp_path
):
    path = config_of(tmp_path / "config.json", ["dummy"], revision="r1")
    configuration = read_configuration(path)
    config_of(path, ["dummy"], revision="r2")
    loader = Loader(Devices(None), Metrics(), LiveLimits(Limits()), lambda: None)
    registry = Registry(LocalStorage(), loader, read_machine, None)
    watcher = Watcher(registry, configuration, Watch(path, 0.1))
    await watcher.load_first()
    assert registry.revision == "r1"
    watching = asyncio.ensure_future(watcher.run())
    try:
        await until_async("r2", lambda: registry.revision == "r2", timeout=10)
    finally:
        watching.cancel()
        registry.close()


async def test_what_a_pass_changed_while_a_reload_waited_for_it_is_told_once(tmp_path):
    base = tmp_path / "dummy"
    models.save(models.dummy(), base / "1")
    configuration = Configuration((ModelSettings("dummy", str(base)),))
    loader = Loader(Devices(None), Metrics(), LiveLimits(Limits()), lambda: None)
    registry = Registry(LocalStorage(), loader, read_machine, None)
    watcher = Watcher(registry, configuration, Watch(None, 0))
    await watcher.load_first()
    models.save(models.dummy(2.0), base / "2")
    passing = asyncio.ensure_future(watcher.in_turn(lambda: registry.converge(None)))
    await asyncio.sleep(0)
    told = await asyncio.gather(*(watcher.reload() for _ in range(3)))
    await passing
    registry.close()
    assert told == [True, False, False]
    assert registry.served("dummy") == [2]
