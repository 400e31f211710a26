"""Which of OVMS's metrics are wanted: from the command line or from config.json, never from both."""

from dataclasses import dataclass

from modelserver.errors import ConfigError

OVMS_METRICS = frozenset({
    "ovms_requests_success", "ovms_requests_fail", "ovms_request_time_us", "ovms_inference_time_us",
    "ovms_wait_for_infer_req_time_us", "ovms_streams", "ovms_current_requests", "ovms_infer_req_queue_size",
    "ovms_infer_req_active", "ovms_current_graphs", "ovms_requests_accepted", "ovms_requests_rejected",
    "ovms_responses", "ovms_graph_error", "ovms_graph_processing_time_us",
})  # fmt: skip
"""All names that OVMS accepts; the ones of graphs have no series here."""
METRICS_KEYS = ("enable", "metrics_list")


@dataclass(frozen=True)
class Monitoring:
    """Whether the REST port has /metrics, and which of OVMS's families are shown; None is all of them."""

    enable: bool = False
    only: frozenset[str] | None = None


def parse_monitoring(raw: object) -> Monitoring | None:
    """The `monitoring` object of config.json; None where the file has none."""
    if raw is None:
        return None
    metrics = raw.get("metrics") if isinstance(raw, dict) and raw.keys() == {"metrics"} else None
    if not isinstance(metrics, dict) or metrics.keys() - set(METRICS_KEYS):
        raise ConfigError('monitoring: {"metrics": {"enable": true, "metrics_list": [...]}} is expected')
    if not isinstance(metrics.get("enable"), bool):
        raise ConfigError("monitoring.metrics.enable must be true or false")
    names = metrics.get("metrics_list")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ConfigError("monitoring.metrics.metrics_list must be a list of names")
    return Monitoring(metrics["enable"], checked_names(names or []))


def checked_names(names: list[str]) -> frozenset[str] | None:
    """The families to show; an empty list is all of them."""
    if unknown := [name for name in names if name not in OVMS_METRICS]:
        raise ConfigError(f"Invalid name in metrics_list: {', '.join(unknown)}")
    return frozenset(names) or None
