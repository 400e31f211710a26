"""The watcher with real parts, where a test must choose the moment of a change."""

import asyncio

from modelserver.config import Configuration, ModelSettings, read_configuration
from modelserver.cpus import read_machine
from modelserver.engine import Devices
from modelserver.health import Health
from modelserver.limits import Limits, LiveLimits
from modelserver.loader import Loader
from modelserver.metrics import Metrics
from modelserver.registry import Registry
from modelserver.repository import LocalStorage
from modelserver.watch import Watch, Watcher
from tests.support import models
from tests.support.waiting import until_async


async def test_a_file_that_changes_between_its_first_reading_and_the_watch_is_not_missed(
    repository, config_of, tmp_path
):
    path = config_of(tmp_path / "config.json", ["dummy"], revision="r1")
    configuration = read_configuration(path)
    config_of(path, ["dummy"], revision="r2")
    metrics = Metrics()
    loader = Loader(Devices(None), metrics, LiveLimits(Limits()), lambda: None)
    registry = Registry(LocalStorage(), loader, read_machine, None)
    watcher = Watcher(registry, Health(registry, metrics, read_machine, 1), configuration, Watch(path, 0.1))
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
    metrics = Metrics()
    loader = Loader(Devices(None), metrics, LiveLimits(Limits()), lambda: None)
    registry = Registry(LocalStorage(), loader, read_machine, None)
    watcher = Watcher(registry, Health(registry, metrics, read_machine, 1), configuration, Watch(None, 0))
    await watcher.load_first()
    models.save(models.dummy(2.0), base / "2")
    passing = asyncio.ensure_future(watcher.in_turn(lambda: registry.converge(None)))
    await asyncio.sleep(0)
    told = await asyncio.gather(*(watcher.reload() for _ in range(3)))
    await passing
    registry.close()
    assert told == [True, False, False]
    assert registry.served("dummy") == [2]
