"""Which versions of a model are served, of those that exist."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from modelserver.errors import ConfigError

MAX_VERSION = 2**63 - 1
"""Version numbers are signed 64-bit, as in TensorFlow Serving and its messages: nanoseconds fit."""


@dataclass(frozen=True)
class Policy:
    """Which of the versions found are wanted: the newest `latest`, exactly `versions`, or all."""

    latest: int = 1
    versions: frozenset[int] = frozenset()
    everything: bool = False

    @property
    def is_relative(self) -> bool:
        """Whether versions are wanted for being the newest, not by their number."""
        return not (self.everything or self.versions)

    def select(self, available: Collection[int]) -> set[int]:
        """The wanted ones among those available."""
        if self.everything:
            return set(available)
        if self.versions:
            return set(available) & self.versions
        return set(sorted(available)[-self.latest :])


def parse_policy(raw: object) -> Policy:
    """OVMS's `{"latest": {"num_versions": 1}}`, `{"specific": {"versions": [1]}}`, `{"all": {}}`."""
    if raw is None:
        return Policy()
    if not isinstance(raw, Mapping) or len(raw) != 1:
        raise ConfigError(f"Model version policy is in wrong format: {raw}")
    match raw:
        case {"latest": {} as given} if given in ({}, {"num_versions": None}):
            return Policy()  # as TensorFlow Serving reads it
        case {"latest": {"num_versions": int(count)}} if _are_versions([count]):
            return Policy(latest=count)
        case {"specific": {"versions": [*numbers]}} if numbers and _are_versions(numbers):
            return Policy(versions=frozenset(numbers))
        case {"all": {}}:
            return Policy(everything=True)
    raise ConfigError(_fault(raw))


def _fault(raw: Mapping[object, object]) -> str:
    match raw:
        case {"specific": {"versions": [*numbers]}} if any(map(_is_too_big, numbers)):
            return f"Model version policy: a version is at most {MAX_VERSION}: {raw}"
        case {"latest": _} | {"specific": _} | {"all": _}:
            return f"Model version policy is in wrong format: {raw}"
    return f"Model version policy contains unsupported key: {raw}"


def _are_versions(numbers: list[object]) -> bool:
    return all(isinstance(n, int) and not isinstance(n, bool) and 0 < n <= MAX_VERSION for n in numbers)


def _is_too_big(number: object) -> bool:
    """Beyond 64 bits JSON's reader gives a float."""
    return isinstance(number, int | float) and number > MAX_VERSION
