"""What a process is told about the device files in its container."""

import os
from pathlib import Path

from modelserver.engine.device_files import device_files


def test_render_nodes_and_accelerators_are_told_with_their_group(tmp_path: Path):
    for name in ("dri/card0", "dri/renderD129", "dri/renderD128", "accel/accel0"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.chown(tmp_path / "dri/renderD128", -1, 109)

    found = [file.document() for file in device_files(tmp_path)]

    assert found == [
        {"path": f"{tmp_path}/accel/accel0", "group": os.getgid(), "usable": True},
        {"path": f"{tmp_path}/dri/renderD128", "group": 109, "usable": True},
        {"path": f"{tmp_path}/dri/renderD129", "group": os.getgid(), "usable": True},
    ]


def test_a_file_that_cannot_be_opened_is_not_usable(tmp_path: Path):
    """A directory stands for one whose driver is gone: root may open whatever has only the wrong mode."""
    (tmp_path / "dri" / "renderD128").mkdir(parents=True)

    (found,) = device_files(tmp_path)

    assert not found.is_usable


def test_a_machine_without_accelerators_has_none(tmp_path: Path):
    assert device_files(tmp_path) == ()
