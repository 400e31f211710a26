"""The watcher with real parts, where a test must choose the moment of a change."""

import asyncio
import logging

import pytest

from modelserver.settings.config_file import Configuration, ModelSettings, read_configuration
from tests.support import models
from tests.support.parts import Parts
from tests.support.waiting import until_async


@pytest.fixture
def parts():
    with Parts() as parts:
        yield parts


async def test_a_file_that_changes_between_its_first_reading_and_the_watch_is_not_missed(
    repository, config_of, tmp_path, parts
):
    path = config_of(tmp_path / "config.json", ["dummy"], revision="r1")
    configuration = read_configuration(path)
    config_of(path, ["dummy"], revision="r2")
    watcher = parts.watcher(configuration, path, 0.1)
    await watcher.load_first()
    assert parts.catalogue.revision == "r1"
    watching = asyncio.ensure_future(watcher.run())
    try:
        await until_async("r2", lambda: parts.catalogue.revision == "r2", timeout=10)
    finally:
        watching.cancel()


async def test_what_a_pass_changed_while_a_reload_waited_for_it_is_told_once(tmp_path, parts):
    base = tmp_path / "dummy"
    models.save(models.dummy(), base / "1")
    watcher = parts.watcher(Configuration((ModelSettings("dummy", str(base)),)))
    await watcher.load_first()
    models.save(models.dummy(2.0), base / "2")
    passing = asyncio.ensure_future(watcher.in_turn(lambda: parts.converger.converge(None)))
    await asyncio.sleep(0)
    told = await asyncio.gather(*(watcher.reload() for _ in range(3)))
    await passing
    assert told == [True, False, False]
    assert parts.catalogue.served("dummy") == [2]


class Broken:
    """Storage that fails as nobody expects, until it is repaired."""

    def __init__(self):
        self.error = None
        self.scans = 0

    def scan(self, _base):
        self.scans += 1
        if self.error is not None:
            raise RuntimeError(self.error)
        return {}


async def test_an_error_that_lasts_is_logged_with_its_traceback_once(caplog):
    caplog.set_level(logging.INFO)
    storage = Broken()
    with Parts(storage=storage) as parts:
        watcher = parts.watcher(Configuration((ModelSettings("m", "/nowhere"),)), poll_seconds=0.01)
        await watcher.load_first()
        heard = []
        parts.catalogue.listen(lambda: heard.append(watcher.watch_error))
        watching = asyncio.ensure_future(watcher.run())
        try:
            for error in ("one", "two"):
                storage.error, before = error, storage.scans
                await until_async("twenty failures", lambda: storage.scans >= before + 20)  # noqa: B023
            storage.error = None
            await until_async("the end of it", lambda: watcher.watch_error is None)
        finally:
            watching.cancel()
    logged = [record for record in caplog.records if record.exc_info]
    assert [str(record.exc_info[1]) for record in logged] == ["one", "two"]
    assert {record.getMessage() for record in logged} == {"unexpected error while checking for changes"}
    assert "checking for changes works again" in caplog.text
    assert list(dict.fromkeys(filter(None, heard))) == ["RuntimeError('one')", "RuntimeError('two')"]
