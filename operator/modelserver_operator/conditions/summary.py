"""status.tuning, status.models and status.lastFailure: the servers' replies over all ready pods."""

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
from modelserver_operator.observed.report import ModelStatus, ServerStatus, VersionStatus

_WARNINGS_SHOWN = 32


def shorten(text: str, limit: int = 1024) -> str:
    """Fit the schema, and a terminal."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _servers(facts: Facts) -> list[ServerStatus]:
    """The servers of the ready pods; before the first is ready, of all pods that replied."""
    pods = facts.ready_pods() or [pod for pod in facts.pods if not pod.is_leaving]
    return [status for _, status in facts.servers(pods)]


def tuning(facts: Facts) -> TuningReport | None:
    """The tuning in effect; None before any server replied."""
    servers = _servers(facts)
    if not servers:
        return None
    models = [model for server in servers for model in server.models]
    warnings = sorted({shorten(text, 512) for server in servers for text in server.warnings})
    return TuningReport(
        device=_joined(model.device for model in models),
        hint=_joined(model.hint for model in models),
        streams=_common(model.streams for model in models),
        nireq=_common(model.nireq for model in models),
        threads=_common(server.threads for server in servers),
        pinning=_common(server.pinning for server in servers),
        pinning_reason=_common(shorten(server.pinning_reason) for server in servers),
        workers=_common(server.workers for server in servers),
        warnings=warnings[:_WARNINGS_SHOWN] or None,
    )


def _common(values: Iterable[Any]) -> Any:
    """The one value all share, or None."""
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _joined(values: Iterable[str | None]) -> str | None:
    return shorten(",".join(sorted({value for value in values if value}))) or None


def models(facts: Facts) -> list[ModelReport] | None:
    """Models and versions over all pods that replied."""
    servers = _servers(facts)
    if not servers:
        return None
    by_name: dict[str, list[ModelStatus]] = {}
    for server in servers:
        for model in server.models:
            by_name.setdefault(model.name, []).append(model)
    return [_model(name, copies) for name, copies in sorted(by_name.items())[:MODELS_SHOWN]]


def _model(name: str, copies: list[ModelStatus]) -> ModelReport:
    """One model, from its copy in each pod."""
    by_number: dict[int, list[tuple[ModelStatus, VersionStatus]]] = {}
    for model in copies:
        for version in model.versions:
            by_number.setdefault(version.version, []).append((model, version))
    shown = sorted(by_number.items())[-VERSIONS_SHOWN:]
    error = next((model.error for model in copies if model.error), None)
    return ModelReport(
        name=name,
        versions=[_version(number, pairs) for number, pairs in shown],
        error=shorten(error) if error else None,
    )


def _version(number: int, pairs: list[tuple[ModelStatus, VersionStatus]]) -> VersionReport:
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
    """The newest crash; it is kept when its pod is gone."""
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
