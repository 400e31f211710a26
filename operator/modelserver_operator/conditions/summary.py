"""status.tuning, status.models, status.image and status.lastFailure: what the pods are and reply."""

from collections.abc import Iterable
from typing import Any

from modelserver_operator.api.status import (
    MODELS_SHOWN,
    VERSIONS_SHOWN,
    WARNINGS_SHOWN,
    Failure,
    ModelReport,
    Status,
    TuningReport,
    VersionReport,
    shorten,
)
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Crash, Pod
from modelserver_operator.observed.report import ModelStatus, VersionStatus

Copies = list[tuple[ModelStatus, bool]]
"""A model in each server, and whether that server's pod is ready."""


def _pods(facts: Facts) -> list[Pod]:
    """The ready pods; before the first is ready, all."""
    return facts.ready_pods() or [pod for pod in facts.pods if not pod.is_leaving]


def is_unknown(facts: Facts) -> bool:
    """Whether not all pods that serve have been asked what, or none replied: the last report is the best."""
    ready = facts.ready_pods()
    return bool(facts.unheard()) or (bool(ready) and not facts.servers(ready))


def image(facts: Facts) -> str | None:
    """The image of the pods."""
    return _joined(pod.image for pod in facts.pods if not pod.is_leaving)


def tuning(facts: Facts) -> TuningReport | None:
    """The tuning in effect; None when no server replied."""
    servers = [server for _, server in facts.servers(_pods(facts))]
    if not servers:
        return None
    models = [model for server in servers for model in server.models]
    warnings = sorted({shorten(text, 512) for server in servers for text in server.warnings})
    return TuningReport(
        device=_joined(model.device for model in models),
        hint=_joined(model.hint for model in models),
        streams=_common(model.streams for model in models),
        nireq=_common(model.nireq for model in models),
        threads=_common(model.threads for model in models),
        pinning=_common(server.pinning for server in servers),
        pinning_reason=_common(shorten(server.pinning_reason) for server in servers),
        workers=_common(server.workers for server in servers),
        warnings=warnings[:WARNINGS_SHOWN] or None,
    )


def _common(values: Iterable[Any]) -> Any:
    """The one value all share, or None."""
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _joined(values: Iterable[str | None]) -> str | None:
    return shorten(",".join(sorted({value for value in values if value}))) or None


def models(facts: Facts) -> list[ModelReport] | None:
    """Models and versions over all pods that replied; None when no server replied."""
    by_name: dict[str, Copies] = {}
    for pod, server in facts.servers(_pods(facts)):
        for model in server.models:
            by_name.setdefault(model.name, []).append((model, pod.is_ready))
    return [_model(name, copies) for name, copies in sorted(by_name.items())[:MODELS_SHOWN]] or None


def _model(name: str, copies: Copies) -> ModelReport:
    """One model, from its copy in each pod."""
    by_number: dict[int, list[tuple[ModelStatus, bool, VersionStatus]]] = {}
    for model, is_ready in copies:
        for version in model.versions:
            by_number.setdefault(version.version, []).append((model, is_ready, version))
    shown = sorted(by_number.items())[-VERSIONS_SHOWN:]
    error = next((model.error for model, _ in copies if model.error), None)
    return ModelReport(
        name=name,
        versions=[_version(number, found) for number, found in shown],
        versions_omitted=len(by_number) - len(shown) or None,
        error=shorten(error) if error else None,
    )


def _version(number: int, found: list[tuple[ModelStatus, bool, VersionStatus]]) -> VersionReport:
    serving = [model for model, _, version in found if version.state == "AVAILABLE"]
    other = next((version.state for _, _, version in found if version.state != "AVAILABLE"), "AVAILABLE")
    error = next((version.error for _, _, version in found if version.error), None)
    return VersionReport(
        version=number,
        state=other,
        device=_joined(",".join(model.execution_devices) for model in serving),
        streams=_common(model.streams for model in serving),
        nireq=_common(model.nireq for model in serving),
        ready_pods=sum(version.state == "AVAILABLE" and is_ready for _, is_ready, version in found),
        error=shorten(error) if error else None,
    )


def last_failure(facts: Facts, previous: Status) -> Failure | None:
    """The newest crash; it is kept when its pod is gone."""
    crash = facts.newest_crash()
    before = previous.last_failure
    if crash is None or (before is not None and not _is_newer(crash, before)):
        return before
    return Failure(
        time=crash.time,
        pod=crash.pod,
        reason=shorten(crash.reason, 253),
        exit_code=crash.exit_code,
        message=shorten(crash.message, 2048),
    )


def _is_newer(crash: Crash, before: Failure) -> bool:
    """Or the same one, by now with its cause."""
    is_same = (crash.time, crash.pod) == (before.time, before.pod)
    return crash.time > before.time or (is_same and crash.is_explained)
