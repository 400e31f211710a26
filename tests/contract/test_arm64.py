"""What the images install exists for arm64, too. Nothing here runs on arm64."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
GLIBC = 36
"""2.36 is that of Debian 12."""


@pytest.mark.long
@pytest.mark.parametrize("part", ["server", "operator"])
def test_every_dependency_of_an_image_has_a_wheel_for_arm64(part: str, tmp_path: Path):
    platforms = ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, GLIBC + 1))]
    options = [
        "--dry-run", "--ignore-installed", "--quiet", "--disable-pip-version-check", "--only-binary=:all:",
        "--python-version=3.11", "--implementation=cp", f"--target={tmp_path}",
        f"--constraint={ROOT / 'constraints.txt'}", "--report=-",
        *(f"--platform={platform}" for platform in platforms),
    ]  # fmt: skip

    found = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, *EXTRAS[part]],
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip

    assert found.returncode == 0, found.stderr
    files = [item["download_info"]["url"].rpartition("/")[2] for item in json.loads(found.stdout)["install"]]
    assert len(files) > len(EXTRAS[part])
    assert all(file.endswith(("aarch64.whl", "-any.whl")) for file in files), files
