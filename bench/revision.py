"""Which code was measured."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ("server", "operator")


def commit(name: str = "HEAD") -> str:
    """The short hash of a commit; raises ValueError if there is none of that name."""
    try:
        return git("rev-parse", "--short", "--verify", f"{name}^{{commit}}")
    except subprocess.CalledProcessError as error:
        raise ValueError(f"{name} does not name a commit of this repository") from error


def of_measured() -> str:
    """The last commit that changed what is measured, with a `+` if the working tree differs from it."""
    changed = git("status", "--porcelain", "--", *MEASURED)
    return git("log", "-1", "--format=%h", "--", *MEASURED) + ("+" if changed else "")


def git(*arguments: str) -> str:
    """In the project's repository."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
