"""What it costs the operator to tell KEDA the load of many objects, all of which are asked together.

The requests are those of KEDA over HTTP: its own look at every trigger (pollingInterval, 30 s), and the look
of each HorizontalPodAutoscaler (15 s), which KEDA passes on. KEDA's own CRD is in the cluster, and one real
server answers for all pods.
"""

import http.client
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

from bench.apiserver import CHILDREN, PODS, ApiServer, Raw
from bench.operator_program import Program, until

COUNT, REPLICAS = 64, 2
HPA_SECONDS, POLLING_SECONDS = 15, 30
LIMIT = 300
SCALED_OBJECTS = "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects"
AUTOSCALING = {
    "minReplicas": REPLICAS,
    "maxReplicas": 10,
    "metrics": [{"type": "RequestsPerStream", "averageValue": "750m"}],
}
_CALLERS = 16
"""Of the client: KEDA asks for each object in a goroutine of its own."""
Answers = Callable[[], AbstractContextManager[object]]


def endpoint(
    program: Program, api: ApiServer, create: Callable[..., None], answers: Answers, seconds: int
) -> dict[str, Any]:
    """CPU while KEDA asks, beside that of the same objects when nobody does."""
    api.together(lambda n: create(f"scaled-{n}", replicas=REPLICAS, autoscaling=AUTOSCALING), range(COUNT))
    pods = COUNT * REPLICAS
    until("all pods", lambda: api.count(CHILDREN["Deployment"]) == COUNT and len(_pods(api)) == pods, LIMIT)
    with answers():
        urls = [_path(item) for item in api.ask("GET", SCALED_OBJECTS)["items"]]
        until("every load is known", lambda: {code for code, _ in _ask_all(program, urls)} == {200}, LIMIT)
        program.rest(LIMIT)
        alone = _percent(program, lambda: time.sleep(seconds))
        times: list[float] = []
        asked = _percent(program, lambda: times.extend(_as_keda(program, urls, seconds)))
    return {
        "objects": COUNT, "pods": pods, "seconds": seconds, "requests": len(times),
        "cpu_percent": asked, "cpu_percent_unasked": alone,
        "cpu_ms_each": round((asked - alone) * seconds * 10 / len(times), 2),
        "p50_ms": _at(times, 0.5), "p95_ms": _at(times, 0.95),
    }  # fmt: skip


def _pods(api: ApiServer) -> list[Raw]:
    found: list[Raw] = api.ask("GET", f"{PODS}?labelSelector=app.kubernetes.io/name%3Dmodelserver")["items"]
    return found


def _path(scaled_object: Raw) -> str:
    """What KEDA asks for, without the name of the operator's Service."""
    url = urlsplit(scaled_object["spec"]["triggers"][0]["metadata"]["url"])
    return f"{url.path}?{url.query}"


def _as_keda(program: Program, urls: list[str], seconds: int) -> list[float]:
    """The seconds of each answer; every object is asked at the same moment, as after a restart of KEDA."""
    begin, times = time.monotonic(), []
    for tick in range(0, seconds, HPA_SECONDS):
        time.sleep(max(0.0, begin + tick - time.monotonic()))
        together = urls * (2 if tick % POLLING_SECONDS == 0 else 1)
        answers = _ask_all(program, together)
        if {code for code, _ in answers} != {200}:
            raise RuntimeError(f"KEDA would have got {sorted({code for code, _ in answers})}")
        times += [took for _, took in answers]
    time.sleep(max(0.0, begin + seconds - time.monotonic()))
    return times


def _ask_all(program: Program, urls: list[str]) -> list[tuple[int, float]]:
    with ThreadPoolExecutor(_CALLERS) as pool:
        return list(pool.map(lambda url: _ask(program.scale_port, url), urls))


def _ask(port: int, url: str) -> tuple[int, float]:
    """The status, and the seconds until the whole answer was there."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", url)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    return answer.status, time.monotonic() - began


def _percent(program: Program, work: Callable[[], object]) -> float:
    cpu, began = program.cpu(), time.monotonic()
    work()
    return round(100 * (program.cpu() - cpu) / (time.monotonic() - began), 2)


def _at(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
