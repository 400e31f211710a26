"""status.startup: how long the newest ready pods took to start. Pure."""

from collections.abc import Iterable
from datetime import datetime
from statistics import median

from modelserver_operator.api.status import StartupReport, Status
from modelserver_operator.observed.facts import Facts

_NEWEST = 5
"""Pods whose figures count: older ones may have been started under other conditions."""


def startup(facts: Facts, previous: Status) -> StartupReport | None:
    """What is known already stays until a pod knows better, also while there is none.

    Every figure is fixed once its pod is ready, so this changes only with the pods that are ready.
    """
    pods = sorted(facts.ready_pods(), key=lambda pod: (pod.created, pod.name))[-_NEWEST:]
    if not pods or set(pods) & set(facts.unheard()):
        return previous.startup
    reports = [server.startup for _, server in facts.servers(pods) if server.startup is not None]
    found = StartupReport(
        scheduled_seconds=_median(_between(pod.created, pod.scheduled) for pod in pods),
        image_seconds=_median(_between(pod.scheduled, pod.started) for pod in pods),
        loaded_seconds=_median(report.loaded_seconds for report in reports),
        first_inference_seconds=_median(report.first_inference_seconds for report in reports),
    )
    return found if found != StartupReport() else previous.startup


def _between(begin: str, end: str) -> float | None:
    if not (begin and end):
        return None
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def _median(figures: Iterable[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return round(median(known), 2) if known else None
