"""Which versions of a model are served, of those that exist."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from modelserver.errors import ConfigError


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
        case {"latest": {"num_versions": int(count)}} if _are_versions([count]):
            return Policy(latest=count)
        case {"specific": {"versions": [*numbers]}} if numbers and _are_versions(numbers):
            return Policy(versions=frozenset(numbers))
        case {"all": {}}:
            return Policy(everything=True)
        case {"latest": _} | {"specific": _} | {"all": _}:
            raise ConfigError(f"Model version policy is in wrong format: {raw}")
    raise ConfigError(f"Model version policy contains unsupported key: {raw}")


def _are_versions(numbers: list[object]) -> bool:
    return all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in numbers)
