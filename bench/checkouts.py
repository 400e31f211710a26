"""Two checkouts of the server, each started so that nothing of the other is imported."""

import contextlib
import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import revision
from bench.load import running
from bench.peers import Peer
from devcluster.host.ports import free

BUILD = revision.ROOT / "build" / "compare"


@dataclass(frozen=True)
class Checkout:
    """The code of one commit, or of the working tree, and the interpreter with what it depends on."""

    root: Path
    python: Path

    @property
    def environment(self) -> dict[str, str]:
        """PYTHONPATH comes before what an editable install adds."""
        return {**os.environ, "PYTHONPATH": str(self.root / "server")}

    def require_own(self) -> None:
        """Raises RuntimeError if its server would be imported from elsewhere."""
        code = "import modelserver; print(modelserver.__file__)"
        command = [str(self.python), "-P", "-c", code]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        found = Path(done.stdout.strip())
        if not found.is_relative_to(self.root / "server"):
            raise RuntimeError(f"{self.root} would import {found}")

    @contextlib.contextmanager
    def serving(self, model: Path, logs: Path) -> Iterator[Peer]:
        """Its server with one model."""
        rest, rpc = free(2)
        command = [
            str(self.python), "-P", "-m", "modelserver",
            "--model_path", str(model), "--model_name", model.name, "--rest_port", str(rest),
            "--port", str(rpc), "--metrics_enable",
        ]  # fmt: skip
        log = logs / "servers.log"
        with running(command, log, **self.environment) as pid:
            try:
                yield Peer(pid, rest, rpc, model.name).wait()
            except Exception as error:
                error.add_note(f"the servers wrote: {log.read_text()[-3000:]}")
                raise


def working_tree() -> Checkout:
    """What is here now, committed or not."""
    return Checkout(revision.ROOT, Path(sys.executable))


@contextlib.contextmanager
def of_commit(commit: str) -> Iterator[Checkout]:
    """A worktree for as long as it is needed."""
    directory = BUILD / commit
    revision.git("worktree", "prune")
    if directory.exists():
        revision.git("worktree", "remove", "--force", str(directory))
    revision.git("worktree", "add", "--force", "--detach", str(directory), commit)
    try:
        is_same = dependencies(directory) == dependencies(revision.ROOT)
        yield Checkout(directory, Path(sys.executable) if is_same else _environment(directory))
    finally:
        revision.git("worktree", "remove", "--force", str(directory))


def dependencies(root: Path) -> tuple[str, tuple[str, ...]]:
    """The versions that are installed, and what the server asks for."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = (*project.get("dependencies", ()), *project["optional-dependencies"]["server"])
    return (root / "constraints.txt").read_text(), wanted


def _environment(root: Path) -> Path:
    """An interpreter with the checkout's dependencies; the next run with the same finds it."""
    constraints, wanted = dependencies(root)
    name = hashlib.sha256("\n".join((constraints, *wanted)).encode()).hexdigest()[:12]
    directory = BUILD / f"environment-{name}"
    python, done = directory / "bin" / "python", directory / ".installed"
    if not done.exists():
        print(f"==> {directory}: the dependencies of {root.name} are others")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(directory)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-c", str(root / "constraints.txt"), *wanted], check=True)
        done.touch()
    return python
