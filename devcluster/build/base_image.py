"""The base images of all others: Debian with Python, made by debootstrap, as often no registry answers."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from devcluster.engine import Engine
from devcluster.host import paths, system
from devcluster.host.lock import lock
from devcluster.host.process import Runner, stop_all
from devcluster.host.progress import Progress

_PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"
_LABEL = "devcluster.fingerprint"
OWNER = LOCK = "base"


@dataclass(frozen=True)
class Base:
    """A release of Debian, and the name of its image."""

    image: str
    suite: str
    script: str = ""
    """What debootstrap does for it, where the debootstrap of Debian 12 has no script of that name."""
    apt: str = ""
    """Settings of apt in the image."""


DEBIAN_12 = Base("modelserver-dev/debian:12", "bookworm")
ACCELERATOR = Base(
    "modelserver-dev/debian:14", "forky", "sid",
    apt='Acquire::Check-Valid-Until "false";\n',  # a mirror may lag by more than a week
)  # fmt: skip
"""The first release of Debian with a compute runtime that knows the kernel's xe driver (decision 0028)."""
IMAGE = DEBIAN_12.image


def fingerprint(base: Base = DEBIAN_12) -> str:
    return paths.fingerprint((), "1", base.suite, _PACKAGES, *filter(None, [base.apt]))


def archive(base: Base = DEBIAN_12) -> Path:
    return paths.cache() / "base" / f"{fingerprint(base)}.tar"


def ensure(engine: Engine, progress: Progress | None = None, base: Base = DEBIAN_12) -> str:
    """The name of the base image, after making sure that the engine has it."""
    if not is_imported(engine, base):
        progress = progress or Progress()
        bootstrap(progress, base)
        progress.expect(1)
        with progress.step("base image: import"):
            changes = [
                "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                'CMD ["bash"]',
                f"LABEL {_LABEL}={fingerprint(base)}",
            ]
            options = [word for change in changes for word in ("--change", change)]
            engine.run("import", *options, archive(base), base.image)
    return base.image


def is_imported(engine: Engine, base: Base = DEBIAN_12) -> bool:
    label = f'{{{{index .Config.Labels "{_LABEL}"}}}}'
    return engine.has(base.image) and engine.run(
        "image", "inspect", "--format", label, base.image
    ).strip() == fingerprint(base)


def bootstrap(progress: Progress, base: Base = DEBIAN_12) -> None:
    """Make the archive of the base system, unless it exists."""
    with lock(LOCK):
        if archive(base).exists():
            return
        clean_up()
        progress.expect(1)
        with progress.step("base image: debootstrap"):
            system.ensure("debootstrap", "tar")
            system.require_root("Making a base image with debootstrap")
            paths.require_space(2, "the base image")
            archive(base).parent.mkdir(parents=True, exist_ok=True)
            _make(archive(base), base)


def clean_up() -> None:
    """Remove what a killed build left. The caller holds the lock."""
    stop_all(OWNER)
    for staging in archive().parent.glob(".building-*"):
        shutil.rmtree(staging, ignore_errors=True)


def _make(target: Path, base: Base) -> None:
    runner = Runner(OWNER, log=paths.logs() / "debootstrap.log")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as staging:
        root = Path(staging) / "root"
        # debootstrap leaves /proc mounted; a mount namespace of its own makes sure that this ends with it.
        debootstrap = [system.find("debootstrap") or "debootstrap", "--variant=minbase"]
        what: list[str | Path] = [f"--include={_PACKAGES}", base.suite, root]
        what += ["", base.script] if base.script else []  # "": the usual mirror
        runner.run(["unshare", "--mount", *debootstrap, *what], timeout=1200)
        if base.apt:
            (root / "etc/apt/apt.conf.d/90devcluster").write_text(base.apt)
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
