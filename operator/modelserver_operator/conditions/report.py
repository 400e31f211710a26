"""status.tuning, status.models and status.lastFailure: the servers' answers over all ready pods."""

from collections.abc import Iterable
from typing import Any

from modelserver_operator.api.status import (
    MODELS_SHOWN,
    VERSIONS_SHOWN,
    Failure,
    ModelReport,
    Status,
    TuningReport,
    VersionReport,
)
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.report import Said, SaidModel, SaidVersion

_WARNINGS_SHOWN = 32


def shorten(text: str, limit: int = 1024) -> str:
    """Fit for the schema, and for a terminal."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def answers(facts: Facts) -> list[Said]:
    """What the ready pods say, or, before the first is ready, all that say something."""
    ready = facts.ready_pods()
    pods = ready or [pod for pod in facts.pods if not pod.is_leaving]
    return [report.said for pod in pods if (report := facts.reports.get(pod.uid)) and report.said]


def tuning(facts: Facts) -> TuningReport | None:
    """The tuning in effect; None before any server answered."""
    said = answers(facts)
    if not said:
        return None
    models = [model for one in said for model in one.models]
    warnings = sorted({shorten(text, 512) for one in said for text in one.warnings})[:_WARNINGS_SHOWN]
    return TuningReport(
        device=_joined(model.device for model in models),
        hint=_joined(model.hint for model in models),
        streams=_common(model.streams for model in models),
        nireq=_common(model.nireq for model in models),
        threads=_common(one.threads for one in said),
        pinning=_common(one.pinning for one in said),
        pinning_reason=_common(shorten(one.pinning_reason) for one in said),
        workers=_common(one.workers for one in said),
        warnings=warnings or None,
    )


def _common(values: Iterable[Any]) -> Any:
    """The one value all share, or None."""
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _joined(values: Iterable[str | None]) -> str | None:
    return shorten(",".join(sorted({value for value in values if value}))) or None


def models(facts: Facts) -> list[ModelReport] | None:
    """Models and versions over all pods that answered."""
    said = answers(facts)
    if not said:
        return None
    by_name: dict[str, list[SaidModel]] = {}
    for one in said:
        for model in one.models:
            by_name.setdefault(model.name, []).append(model)
    return [_model(name, found) for name, found in sorted(by_name.items())[:MODELS_SHOWN]]


def _model(name: str, found: list[SaidModel]) -> ModelReport:
    by_number: dict[int, list[tuple[SaidModel, SaidVersion]]] = {}
    for model in found:
        for version in model.versions:
            by_number.setdefault(version.version, []).append((model, version))
    shown = sorted(by_number.items())[-VERSIONS_SHOWN:]
    error = next((model.error for model in found if model.error), None)
    return ModelReport(
        name=name,
        versions=[_version(number, pairs) for number, pairs in shown],
        error=shorten(error) if error else None,
    )


def _version(number: int, pairs: list[tuple[SaidModel, SaidVersion]]) -> VersionReport:
    serving = [model for model, version in pairs if version.state == "AVAILABLE"]
    other = next((version.state for _, version in pairs if version.state != "AVAILABLE"), "AVAILABLE")
    error = next((version.error for _, version in pairs if version.error), None)
    return VersionReport(
        version=number,
        state=other,
        device=_joined(",".join(model.execution_devices) for model in serving),
        streams=_common(model.streams for model in serving),
        nireq=_common(model.nireq for model in serving),
        ready_pods=len(serving),
        error=shorten(error) if error else None,
    )


def last_failure(facts: Facts, previous: Status) -> Failure | None:
    """The newest crash; it stays after the pod is gone."""
    crash = facts.newest_crash()
    before = previous.last_failure
    if crash is None or (before is not None and before.time >= crash.time):
        return before
    return Failure(
        time=crash.time,
        pod=crash.pod,
        reason=shorten(crash.reason, 253),
        exit_code=crash.exit_code,
        message=shorten(crash.message, 2048),
    )
