"""Every family of metrics: its name, its kind and its help text. The first nine are OVMS's."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Family:
    """What all series of one name have in common."""

    kind: ClassVar[str]
    name: str
    help: str


class CounterFamily(Family):
    """Numbers that only grow."""

    kind = "counter"


class GaugeFamily(Family):
    """Values looked up when they are scraped."""

    kind = "gauge"


class HistogramFamily(Family):
    """Durations in OVMS's buckets."""

    kind = "histogram"


REQUESTS_SUCCESS = CounterFamily(
    "ovms_requests_success", "Number of successful requests to a model or a DAG."
)
REQUESTS_FAIL = CounterFamily("ovms_requests_fail", "Number of failed requests to a model or a DAG.")
REQUEST_TIME = HistogramFamily("ovms_request_time_us", "Processing time of requests to a model or a DAG.")
INFERENCE_TIME = HistogramFamily(
    "ovms_inference_time_us", "Inference execution time in the OpenVINO backend."
)
WAIT_TIME = HistogramFamily(
    "ovms_wait_for_infer_req_time_us", "Request waiting time in the scheduling queue."
)
STREAMS = GaugeFamily("ovms_streams", "Number of OpenVINO execution streams.")
CURRENT_REQUESTS = GaugeFamily("ovms_current_requests", "Number of inference requests currently in process.")
INFER_REQUESTS = GaugeFamily("ovms_infer_req_queue_size", "Inference request queue size (nireq).")
INFER_REQUESTS_ACTIVE = GaugeFamily(
    "ovms_infer_req_active", "Number of currently consumed inference request from the processing queue."
)
INFO = GaugeFamily("modelserver_info", "Version of the server; always 1.")
READY = GaugeFamily("modelserver_ready", "1 while the readiness probe succeeds.")
AFFINITY_CPUS = GaugeFamily("modelserver_affinity_cpus", "CPUs the kernel lets this process run on.")
CPU_QUOTA = GaugeFamily("modelserver_cpu_quota", "CPU quota of the cgroup in CPUs; absent without one.")
THREADS = GaugeFamily("modelserver_threads", "CPUs the server plans with.")
MODEL_THREADS = GaugeFamily(
    "modelserver_model_threads", "Inference threads of a version, read back from the device."
)
MODEL_AVAILABLE = GaugeFamily("modelserver_model_available", "1 while a version answers requests.")
MODEL_LOAD_SECONDS = GaugeFamily(
    "modelserver_model_load_seconds", "How long the version took to load, first inference included."
)
MODEL_LOAD_FAILURES = CounterFamily(
    "modelserver_model_load_failures", "Attempts to load a version that failed."
)
MODEL_RECOMPILATIONS = CounterFamily(
    "modelserver_model_recompilations", "How often a version was compiled again because it could not answer."
)
QUEUE_WAITING = GaugeFamily("modelserver_queue_waiting", "Requests waiting for a free infer request.")
REQUESTS_SHED = CounterFamily("modelserver_requests_shed", "Requests refused because the queue was full.")
REQUESTS_UNKNOWN_MODEL = CounterFamily(
    "modelserver_requests_unknown_model", "Requests for a model or version that is not served."
)
RESPONSES = CounterFamily(
    "modelserver_responses", "Answers by interface and code; those of a stream one by one."
)
REQUEST_BYTES = CounterFamily(
    "modelserver_request_bytes", "Bytes of successful inferences' bodies or messages."
)
RESPONSE_BYTES = CounterFamily("modelserver_response_bytes", "Bytes of successful inferences' answers.")

FAMILIES: tuple[Family, ...] = (
    REQUESTS_SUCCESS, REQUESTS_FAIL, REQUEST_TIME, INFERENCE_TIME, WAIT_TIME, STREAMS, CURRENT_REQUESTS,
    INFER_REQUESTS, INFER_REQUESTS_ACTIVE, INFO, READY, AFFINITY_CPUS, CPU_QUOTA, THREADS, MODEL_THREADS,
    MODEL_AVAILABLE, MODEL_LOAD_SECONDS, MODEL_LOAD_FAILURES, MODEL_RECOMPILATIONS, QUEUE_WAITING,
    REQUESTS_SHED, REQUESTS_UNKNOWN_MODEL, RESPONSES, REQUEST_BYTES, RESPONSE_BYTES,
)  # fmt: skip
"""As the page lists them."""
