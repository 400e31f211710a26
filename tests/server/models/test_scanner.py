"""When files count as copied: looked at by the real storage while somebody writes them."""

import time

import pytest

from modelserver.models.model import Model
from modelserver.models.repository import LocalStorage
from modelserver.models.scanner import Scanner
from modelserver.settings.config_file import ModelSettings
from modelserver.threads import Threads
from tests.support import formats

SIZE = 4096


class WhileCopying:
    """The directory as it is after each further step of who copies; then as it is."""

    def __init__(self, *steps):
        self._steps = list(steps)
        self._storage = LocalStorage()
        self.looks = 0

    def scan(self, base):
        self.looks += 1
        if self._steps:
            self._steps.pop(0)()
        return self._storage.scan(base)


@pytest.fixture
def threads():
    threads = Threads(1)
    yield threads
    threads.end()


def model(base):
    return Model(ModelSettings(base.name, str(base)))


@pytest.fixture
def weights(tmp_path):
    """Reserved at its full size, nothing of it written."""
    formats.onnx_with_weights(tmp_path / "m" / "1" / "model.onnx", "w.bin")
    path = tmp_path / "m" / "1" / "w.bin"
    path.write_bytes(bytes(SIZE))
    return path


def writing(path, place):
    """One piece more; its size stays."""

    def step():
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\1" * 512)

    return step


async def test_a_file_reserved_at_full_size_is_waited_for_until_it_is_filled(weights, threads):
    pieces = [writing(weights, place) for place in range(0, SIZE, 512)]
    scanner = Scanner(WhileCopying(*pieces), threads.load)
    copied = model(weights.parents[1])
    seen = []
    for _ in range(5):
        await scanner.scan([copied], settle=True)
        seen.append(set(copied.files))
    assert seen == [set()] * 4 + [{1}]
    assert weights.read_bytes() == b"\1" * SIZE


async def test_what_was_just_written_must_be_quiet_for_a_second(weights, threads):
    copied = model(weights.parents[1])
    await Scanner(LocalStorage(), threads.load).scan([copied], settle=True)
    assert copied.files[1].modified == weights.stat().st_mtime_ns
    assert time.time_ns() - copied.files[1].modified >= 0.95e9


async def test_one_pause_is_enough_for_all_models(tmp_path, threads):
    copied = []
    for name in map(str, range(20)):
        formats.onnx(tmp_path / f"m{name}" / "1")
        copied.append(model(tmp_path / f"m{name}"))
    started = time.monotonic()
    await Scanner(LocalStorage(), threads.load).scan(copied, settle=True)
    assert [set(one.files) for one in copied] == [{1}] * 20
    assert time.monotonic() - started < 15, "a pause for each would be 20 s"


async def test_what_did_not_change_costs_one_look(weights, threads):
    storage = WhileCopying()
    copied = model(weights.parents[1])
    scanner = Scanner(storage, threads.load)
    await scanner.scan([copied], settle=False)
    for _ in range(3):
        await scanner.scan([copied], settle=True)
    assert storage.looks == 4
