"""A cluster with a real kubelet: exclusive CPUs, storage, names, Services, images, and a complete removal."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

import devcluster
from devcluster import Cluster, engine
from devcluster.build import base_image
from devcluster.kind import config as kind_config
from tests.support import traces
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SERVE = ["python3", "-u", "-m", "http.server", "8000"]
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 5000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
pytestmark = pytest.mark.kind


def pod(name, image, *, cpu=None, node=None, volumes=()):
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": SERVE,
        "workingDir": "/usr",
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": volume, "mountPath": f"/{volume}"} for volume in volumes],
        **({"resources": {"limits": {"cpu": cpu, "memory": "100Mi"}}} if cpu else {}),
    }
    claims = [{"name": volume, "persistentVolumeClaim": {"claimName": volume}} for volume in volumes]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "probe"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": claims,
            **({"nodeName": node} if node else {}),
        },
    }


def claim(name):
    resources = {"requests": {"storage": "10Mi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": resources}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def service(node_port):
    ports = [{"port": 80, "targetPort": 8000, **({"nodePort": node_port} if node_port else {})}]
    spec = {"type": "NodePort", "selector": {"app": "probe"}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "probe"}, "spec": spec}


def apply(cluster, namespace, *objects):
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)
    names = [f"pod/{one['metadata']['name']}" for one in objects if one["kind"] == "Pod"]
    try:
        cluster.kubectl(
            "wait", "-n", namespace, "--for=condition=Ready", *names, "--timeout=90s", timeout=120
        )
    except devcluster.errors.CommandFailed as late:
        everywhere = cluster.kubectl("get", "pods", "--all-namespaces", "--output=wide")
        described = cluster.kubectl("describe", "-n", namespace, *names)
        raise AssertionError(f"{everywhere}\n{described}") from late


def inside(cluster, namespace, name, code):
    return cluster.kubectl("exec", "-n", namespace, name, "--", "python3", "-c", code).strip()


def cpus(cluster, namespace, name):
    """The CPUs a pod's processes may run on, as the kernel reports them."""
    code = "import os; print(*sorted(os.sched_getaffinity(0)))"
    return set(inside(cluster, namespace, name, code).split())


@pytest.fixture(scope="module")
def image(kind_cluster) -> str:
    name = devcluster.base_image()
    devcluster.load(kind_cluster.name, name)
    return name


@pytest.fixture(scope="module")
def probes(kind_cluster: Cluster, image: str) -> Callable[[str, str], str]:
    """Two pods behind a Service, one of them with a whole CPU, the other with a volume."""
    kind_cluster.kubectl("create", "namespace", "probe")
    node_port = kind_config.NODE_PORTS[-1] if kind_cluster.node_ports else None
    pods = [pod("guaranteed", image, cpu="1"), pod("shared", image, volumes=["data"])]
    apply(kind_cluster, "probe", claim("data"), service(node_port), *pods)
    yield lambda name, code: inside(kind_cluster, "probe", name, code)
    kind_cluster.kubectl("delete", "namespace", "probe", "--wait=false")


def test_a_guaranteed_pod_owns_its_cpu(kind_cluster, probes):
    own = cpus(kind_cluster, "probe", "guaranteed")
    assert len(own) == 1
    # Pods that ran before leave the CPU at the kubelet's next reconciliation.
    alone = lambda: not own & cpus(kind_cluster, "probe", "shared")  # noqa: E731
    until("the other pod leaves the exclusive CPU", alone, timeout=30)


def test_a_claim_is_bound_and_keeps_a_file(kind_cluster, probes):
    assert probes("shared", "open('/data/x', 'w').write('kept'); print(open('/data/x').read())") == "kept"
    phase = kind_cluster.kubectl("get", "pvc", "data", "-n", "probe", "--output=jsonpath={.status.phase}")
    assert phase == "Bound"


def test_a_service_with_two_endpoints_is_found_by_name_and_answers_from_both(kind_cluster, probes):
    ask = "u.urlopen('http://probe.probe.svc/', timeout=5).read()"
    probes("shared", f"import urllib.request as u; [{ask} for _ in range(20)]")
    for name in ("guaranteed", "shared"):
        assert "GET / HTTP/1.1" in kind_cluster.kubectl("logs", "-n", "probe", name)


def test_a_node_port_is_reached_on_loopback(kind_cluster, probes):
    port = kind_cluster.node_port(kind_config.NODE_PORTS[-1])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
        assert response.status == 200


def test_metrics_server_gives_the_nodes_figures(kind_cluster):
    def figures():
        try:
            return kind_cluster.kubectl("top", "nodes")
        except devcluster.errors.CommandFailed:
            return ""

    until("figures of the nodes", lambda: "%" in figures(), timeout=120)


def test_a_missing_image_is_reported_by_name(kind_cluster):
    with pytest.raises(devcluster.errors.DevclusterError, match="no image absent:1"):
        devcluster.load(kind_cluster.name, "absent:1")


@pytest.mark.long
def test_two_nodes_never_share_an_exclusive_cpu_and_leave_nothing(run_name, image):
    name = f"{run_name}-two"
    cluster = devcluster.up(name, nodes=2)
    try:
        devcluster.load(name, image)
        first, second = f"{name}-control-plane", f"{name}-worker"
        pods = [pod("guaranteed", image, cpu="1", node=first), pod("shared", image, node=second)]
        apply(cluster, "default", *pods)
        own = cpus(cluster, "default", "guaranteed")
        assert len(own) == 1
        assert not own & cpus(cluster, "default", "shared")
        address = cluster.kubectl("get", "pod", "guaranteed", "--output=jsonpath={.status.podIP}")
        code = f"import urllib.request as u; print(u.urlopen('http://{address}:8000/', timeout=5).status)"
        assert inside(cluster, "default", "shared", code) == "200"
    finally:
        devcluster.down(name)
    assert traces.of(name) == {}


@pytest.mark.long
def test_a_node_that_the_engine_still_creates_when_up_is_killed_is_removed_too(run_name):
    name = f"{run_name}-early"
    command = [sys.executable, "-m", "devcluster", "up", "--name", name]
    up = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until("the engine's client", lambda: is_being_created(f"{name}-control-plane"), timeout=60)
    finally:
        up.kill()
        up.wait()
    devcluster.down(name)

    assert traces.of(name) == {}
    # The name is free: the engine is not creating it any more.
    created = (
        engine.ensure().run("create", "--name", f"{name}-control-plane", base_image.IMAGE, "true").strip()
    )
    engine.ensure().run("rm", created)


def is_being_created(node: str) -> bool:
    """Whether the engine's client was asked to run that node."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = line.read_bytes().split(b"\0")
            if b"run" in words and node.encode() in words:
                return True
    return False


@pytest.mark.long
def test_a_killed_up_is_cleaned_a_node_without_the_policy_shares_its_cpus_and_survives_a_restart(
    run_name, image
):
    name = f"{run_name}-none"
    command = [sys.executable, "-m", "devcluster", "up", "--name", name, "--cpu-policy", "none"]
    up = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until("the node's container", lambda: "containers" in traces.of(name), timeout=60)
        os.kill(up.pid, signal.SIGKILL)
        up.wait()
        cluster = devcluster.up(name, cpu_policy="none")
        devcluster.load(name, image)
        apply(cluster, "default", pod("guaranteed", image, cpu="1"))
        assert len(cpus(cluster, "default", "guaranteed")) == os.cpu_count()
        engine.ensure().run("restart", "--time=0", f"{name}-control-plane")
        assert devcluster.up(name, cpu_policy="none") == cluster
        assert "guaranteed" in cluster.kubectl("get", "pods")
    finally:
        up.kill()
        up.wait()
        devcluster.down(name)
    assert traces.of(name) == {}
    networks = engine.ensure().run("network", "ls", "--format", "{{.Name}}").split()
    others = engine.ensure().run("ps", "--all", "--quiet", "--filter", "label=io.x-k8s.kind.cluster")
    assert ("kind" in networks) == bool(others)
