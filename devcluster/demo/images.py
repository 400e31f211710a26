"""Build the project's two images with docker, podman or buildah.

An image's tag contains a hash of everything that goes into it, so an existing image is not built
again and a cluster never runs a stale one.
"""

import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devcluster import engine as engines
from devcluster.build import base_image
from devcluster.engine import Engine
from devcluster.errors import CommandFailed, DevclusterError
from devcluster.host import paths
from devcluster.host.process import Runner
from devcluster.host.progress import Progress

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = {"server": "server/modelserver", "operator": "operator/modelserver_operator"}
COMMON = ("pyproject.toml", "constraints.txt", ".dockerignore")
OWNER = f"images of {os.getpid()}"
PUBLIC_BASE = "python:3.11-slim-bookworm"  # the Dockerfiles' own default
PUBLIC_ACCELERATOR_BASE = "debian:forky-slim"  # likewise


@dataclass(frozen=True)
class Image:
    """A built image: `repository:tag` and its size in bytes."""

    name: str
    size: int


def build(part: str, progress: Progress | None = None, root: Path = ROOT) -> Image:
    """Build the image of `server` or `operator`, unless there is one of exactly these sources.

    `root` is the project's directory, perhaps of another commit.

    Raises:
        DevclusterError: no engine, or the build failed; the message names the log.
    """
    engine = engines.ensure().owned_by(OWNER)
    progress = progress or Progress()
    name = f"modelserver-dev/{part}:{version(root)}-{fingerprint(part, root)}"
    if not engine.has(name):
        progress.expect(1)
        with progress.step(f"image of the {part}: build"):
            options = ["--file", str(root / f"Dockerfile.{part}"), *_base(engine), *_certificates()]
            engine.build(root, name, *options, log=paths.logs() / f"image-{part}.log")
    return Image(name, int(engine.run("image", "inspect", "--format", "{{.Size}}", name)))


def build_gpu(progress: Progress | None = None) -> Image:
    """Build the server's image with the driver of Intel's GPUs, unless there is one of exactly these sources.

    Raises:
        DevclusterError: no engine, or the build failed; the message names the log.
    """
    engine = engines.ensure().owned_by(OWNER)
    progress = progress or Progress()
    name = f"modelserver-dev/server-gpu:{version()}-{fingerprint('server')}"
    if not engine.has(name):
        bases = [*_base(engine), *_accelerator_base(engine, progress)]
        progress.expect(1)
        with progress.step("image of the server for GPUs: build"):
            options = ["--file", str(ROOT / "Dockerfile.server"), "--target", "gpu", *bases, *_certificates()]
            engine.build(ROOT, name, *options, log=paths.logs() / "image-gpu.log")
    return Image(name, int(engine.run("image", "inspect", "--format", "{{.Size}}", name)))


def build_with_buildah(part: str) -> str:
    """Build an image on a machine where buildah is the only builder; returns its name."""
    name = f"localhost/modelserver-dev/{part}:{version()}-{fingerprint(part)}"
    options = ["--build-arg", f"BASE_IMAGE={_buildah_base()}", *_certificates()]
    _buildah("build", "--tag", name, "--file", str(ROOT / f"Dockerfile.{part}"), *options, str(ROOT))
    return name


def _buildah_base() -> str:
    """Return the public base image if a registry answers, otherwise one built from packages."""
    name = f"localhost/{base_image.IMAGE}"
    try:
        _buildah("pull", "--quiet", PUBLIC_BASE, timeout=60)
    except CommandFailed:
        base_image.bootstrap(Progress())
        recipe = f"FROM scratch\nADD {base_image.archive().name} /\n"
        _buildah("build", "--tag", name, "--file", "-", str(base_image.archive().parent), stdin=recipe)
        return name
    return PUBLIC_BASE


def _buildah(verb: str, *arguments: str, stdin: str | None = None, timeout: float = 1800) -> None:
    """Run buildah with chroot isolation, which works in containers and without all capabilities."""
    environment = {"BUILDAH_ISOLATION": "chroot"}
    Runner("build", environment, paths.logs() / "buildah.log").run(
        ["buildah", verb, *arguments], stdin=stdin, timeout=timeout
    )


def version(root: Path = ROOT) -> str:
    """Return the project's version."""
    text: str = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return text


def fingerprint(part: str, root: Path = ROOT) -> str:
    """Hash the names and contents of everything that goes into an image."""
    return paths.fingerprint(_sources(part, root), root=root)


def _sources(part: str, root: Path) -> Iterator[Path]:
    yield from (root / name for name in (*COMMON, f"Dockerfile.{part}"))
    for package in PACKAGES.values():  # one distribution: both packages are in its wheel
        yield from (f for f in (root / package).rglob("*") if f.is_file() and "__pycache__" not in f.parts)


def _base(engine: Engine) -> list[str]:
    """Use the public base image if the engine has it, otherwise one built from packages."""
    if engine.has(PUBLIC_BASE):
        return []
    return ["--build-arg", f"BASE_IMAGE={base_image.ensure(engine)}"]


def _accelerator_base(engine: Engine, progress: Progress) -> list[str]:
    if engine.has(PUBLIC_ACCELERATOR_BASE):
        return []
    made = base_image.ensure(engine, progress, base_image.ACCELERATOR)
    return ["--build-arg", f"ACCELERATOR_BASE_IMAGE={made}"]


def _certificates() -> list[str]:
    """Pass the certificates that pip uses on this machine to pip in the build."""
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    return ["--secret", f"id=ca,src={bundle}"] if bundle and Path(bundle).is_file() else []


def main() -> int:
    """Build both images and print their names and sizes."""
    try:
        if engines.find() is None and shutil.which("buildah") and not shutil.which("dockerd"):
            for part in PACKAGES:
                print(build_with_buildah(part))
            return 0
        for part in PACKAGES:
            image = build(part)
            print(f"{image.name}  {image.size / 1e6:.0f} MB")
    except DevclusterError as error:
        print(f"images: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
