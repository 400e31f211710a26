"""A rule over several fields of a record, as CEL for the API server and as Python for everybody else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Rule(Generic[T]):
    """A rule that must hold; the message says what to do when it does not."""

    cel: str
    message: str
    holds: Callable[[T], bool]

    def schema(self) -> dict[str, str]:
        """The entry of x-kubernetes-validations."""
        return {"rule": " ".join(self.cel.split()), "message": self.message}
