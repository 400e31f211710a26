"""Models and their versions, as they are wanted and as they are served."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from modelserver.engine import LoadedModel
from modelserver.errors import NotReady
from modelserver.models.repository import VersionFiles
from modelserver.settings.config_file import ModelSettings, Shaping
from modelserver.telemetry.labels import VersionLabels
from modelserver.tuning.plan import Plan

UNLOADED = "it was unloaded by request; load it, or change its settings in config.json"


class State(StrEnum):
    """Of a version, by TensorFlow Serving's names."""

    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass(frozen=True)
class Recipe:
    """What a version is loaded from: with an equal one, loading again would change nothing."""

    files: VersionFiles
    shaping: Shaping
    plan: Plan


@dataclass(frozen=True)
class Refusal:
    """Why settings cannot even be planned."""

    reason: str


@dataclass(eq=False)
class Version:
    """One version of one model, through its states."""

    model: str
    number: int
    state: State = State.START
    is_wanted: bool = False
    error: str | None = None
    loaded: LoadedModel | None = None
    recipe: Recipe | None = None
    """What `loaded` was made from; differs from what is wanted when there is work to do."""
    plan: Plan | None = None
    """That of `loaded`, with the reasons and warnings of the last pass."""
    failed: Recipe | Refusal | None = None
    """The last attempt that failed."""
    failures: int = 0
    retry_at: float = 0.0
    fault: str | None = None
    """Why `loaded` is not trusted to answer: it is being compiled again."""

    def __str__(self) -> str:
        """As messages name it."""
        return f"model {self.model} version {self.number}"

    @property
    def trouble(self) -> str | None:
        """What keeps it from serving what is wanted."""
        return self.error or self.fault

    @property
    def labels(self) -> VersionLabels:
        """Of its metrics."""
        return VersionLabels(self.model, self.number)

    @property
    def serving(self) -> LoadedModel:
        """The engine's model; raises NotReady while there is none."""
        if self.loaded is None:
            raise NotReady("Model with requested version is not loaded yet")
        return self.loaded

    def is_backing_off(self, attempt: Recipe | Refusal) -> bool:
        """Whether just this was tried and failed, and its time to be tried again has not come."""
        return self.failed == attempt and time.monotonic() < self.retry_at


@dataclass(eq=False)
class Model:
    """One model of the configuration."""

    settings: ModelSettings
    versions: dict[int, Version] = field(default_factory=dict)
    files: dict[int, VersionFiles] = field(default_factory=dict)
    revision: str | None = None
    error: str | None = None
    scan_error: str | None = None
    chosen: set[int] = field(default_factory=set)
    """What the policy chose in the last pass among the versions that can be loaded: all of them answer."""
    scanned: str | None = None
    """The path where `files` were found: the one before the last change of the settings, while the new one
    gives nothing."""
    is_unreadable: bool = False
    is_unloaded: bool = False
    """By request: until a request loads it, or its settings change."""

    @property
    def available(self) -> list[int]:
        """Versions that answer, ascending."""
        return sorted(number for number, version in self.versions.items() if version.loaded is not None)

    @property
    def newest(self) -> Version | None:
        """The version that answers those who name none."""
        newest = None
        for version in self.versions.values():
            if version.loaded is not None and (newest is None or version.number > newest.number):
                newest = version
        return newest

    @property
    def wanted(self) -> set[int]:
        """The versions that the policy asks for, whether they are there or not."""
        return self.select(self.files) | (set() if self.is_unloaded else self.settings.policy.versions)

    @property
    def is_complete(self) -> bool:
        """Whether every wanted version answers.

        `latest` asks for the newest that can be served, so an older version may stand in; where versions are
        asked for by number, a process without one of them would fail requests that others answer.
        """
        if self.settings.policy.is_relative and self.chosen:
            return True
        wanted = [version for version in self.versions.values() if version.is_wanted]
        return bool(wanted) and all(version.loaded is not None for version in wanted)

    def select(self, found: Collection[int]) -> set[int]:
        """The versions wanted among those found."""
        return set() if self.is_unloaded else self.settings.policy.select(found)

    @property
    def substitutes(self) -> set[int]:
        """What keeps serving while nothing can be chosen although something is wanted.

        Versions whose files were deleted are none: that is how a version is ended.
        """
        if self.chosen or not self.wanted:
            return set()
        return self.files.keys() & set(self.available) - self.wanted

    def note_wanted(self) -> None:
        """Every wanted version stands among the versions; one that is not there with its error."""
        wanted = self.wanted
        for number in wanted - self.versions.keys():
            self.versions[number] = Version(self.settings.name, number)
        for number, version in self.versions.items():
            version.is_wanted = number in wanted
        for number in wanted - self.files.keys():
            version, base = self.versions[number], self.settings.base_path
            version.failed = None
            version.error = f"version {number} of model_version_policy is not in {base}"

    def forgive(self) -> None:
        """What could not be loaded is tried at the next pass, without waiting for its time."""
        for version in self.versions.values():
            version.retry_at = 0.0

    def failures(self) -> list[str]:
        """Why files and versions that are wanted cannot be served."""
        errors = [
            f"version {number}: {version.error}"
            for number, version in sorted(self.versions.items())
            if version.is_wanted and version.error
        ]
        return [self.scan_error, *errors] if self.is_unreadable and self.scan_error else errors

    def why_not_as_wanted(self) -> str | None:
        """The first reason why the model is not served as the configuration wants it."""
        if self.is_unloaded:
            return UNLOADED
        errors = [version.trouble for _, version in sorted(self.versions.items()) if version.is_wanted]
        reason = self.scan_error or next(filter(None, errors), None)
        if reason is not None and (substitutes := self.substitutes):
            return f"{reason}; version {max(substitutes)} keeps serving until then"
        return reason
