"""The base image of all others: Debian with Python, made by debootstrap, as often no registry answers."""

import shutil
import tempfile
from pathlib import Path

from devcluster.engine import Engine
from devcluster.host import paths, system
from devcluster.host.lock import lock
from devcluster.host.process import Runner, stop_all
from devcluster.host.progress import Progress

IMAGE = "modelserver-dev/debian:12"
_SUITE = "bookworm"
_PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"
_LABEL = "devcluster.fingerprint"
OWNER = LOCK = "base"


def fingerprint() -> str:
    return paths.fingerprint((), "1", _SUITE, _PACKAGES)


def archive() -> Path:
    return paths.cache() / "base" / f"{fingerprint()}.tar"


def ensure(engine: Engine, progress: Progress | None = None) -> str:
    """The name of the base image, after making sure that the engine has it."""
    if not is_imported(engine):
        progress = progress or Progress()
        bootstrap(progress)
        progress.expect(1)
        with progress.step("base image: import"):
            changes = [
                "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                'CMD ["bash"]',
                f"LABEL {_LABEL}={fingerprint()}",
            ]
            options = [word for change in changes for word in ("--change", change)]
            engine.run("import", *options, archive(), IMAGE)
    return IMAGE


def is_imported(engine: Engine) -> bool:
    label = f'{{{{index .Config.Labels "{_LABEL}"}}}}'
    return (
        engine.has(IMAGE)
        and engine.run("image", "inspect", "--format", label, IMAGE).strip() == fingerprint()
    )


def bootstrap(progress: Progress) -> None:
    """Make the archive of the base system, unless it exists."""
    with lock(LOCK):
        if archive().exists():
            return
        clean_up()
        progress.expect(1)
        with progress.step("base image: debootstrap"):
            system.ensure("debootstrap", "tar")
            system.require_root("Making a base image with debootstrap")
            paths.require_space(2, "the base image")
            archive().parent.mkdir(parents=True, exist_ok=True)
            _make(archive())


def clean_up() -> None:
    """Remove what a killed build left. The caller holds the lock."""
    stop_all(OWNER)
    for staging in archive().parent.glob(".building-*"):
        shutil.rmtree(staging, ignore_errors=True)


def _make(target: Path) -> None:
    runner = Runner(OWNER, log=paths.logs() / "debootstrap.log")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as staging:
        root = Path(staging) / "root"
        # debootstrap leaves /proc mounted; a mount namespace of its own makes sure that this ends with it.
        debootstrap = [system.find("debootstrap") or "debootstrap", "--variant=minbase"]
        runner.run(["unshare", "--mount", *debootstrap, f"--include={_PACKAGES}", _SUITE, root], timeout=1200)
        exclude = [
            "./proc/*",
            "./sys/*",
            "./dev/*",
            "./var/cache/apt/*.bin",
            "./var/cache/apt/archives/*.deb",
        ]
        exclude += ["./var/lib/apt/lists/*_*", "./var/log/bootstrap.log"]
        unfinished = Path(staging) / "archive.tar"
        options = [f"--exclude={pattern}" for pattern in exclude]
        runner.run(["tar", "-C", root, *options, "-cf", unfinished, "."], timeout=300)
        unfinished.rename(target)
