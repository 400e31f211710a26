"""The children of an object: whole, in golden files, and by the laws they obey."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver_operator import __version__
from modelserver_operator.__main__ import main, to_yaml
from modelserver_operator.api import Spec, parse
from modelserver_operator.api.rules import broken
from modelserver_operator.desired import Images, render
from tests.support.closing import SUBSETS, without
from tests.support.modelservers import OFFICE_HOURS, PER_STREAM, model_server, scaled, with_model

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
IMAGES = Images("registry.example/server:1", "registry.example/server-gpu:1", "registry.example/server-npu:1")
FULL = {
    "image": "registry.example/own:2",
    "imagePullSecrets": [{"name": "pull"}],
    "models": [
        {"name": "a", "uri": "pvc://models/a", "streams": 2},
        {"name": "b", "uri": "pvc://models/b", "device": "AUTO:GPU,CPU"},
        {"name": "c", "uri": "file:///opt/c"},
    ],
    "device": "GPU",
    "hint": "LATENCY",
    "workers": 2,
    "replicas": 3,
    "resources": {"limits": {"cpu": 4}, "requests": {"memory": "8Gi"}},
    "accelerator": {"resourceName": "gpu.intel.com/xe", "renderGroup": 109},
    "ports": {"grpc": 9000, "rest": 9001, "status": 9002},
    "server": {
        "logLevel": "DEBUG",
        "queueSize": 32,
        "requestTimeoutSeconds": 10,
        "maxRequestBytes": 65536,
        "grpcChannelArguments": {"grpc.max_connection_age_ms": 60000},
    },
    "service": {"type": "LoadBalancer", "annotations": {"example.com/lb": "internal"}},
    "serviceAccount": {"annotations": {"example.com/role": "reader"}},
    "rollout": {"drainSeconds": 0, "startupTimeoutSeconds": 61},
    "pod": {
        "labels": {"team": "vision", "app.kubernetes.io/name": "mine"},
        "annotations": {"example.com/scrape": "true"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "high",
        "env": [{"name": "A", "value": "1"}],
        "volumes": [{"name": "extra", "emptyDir": {}}],
        "volumeMounts": [{"name": "extra", "mountPath": "/extra"}],
    },
}
SCALED = {
    **scaled(
        minReplicas=2,
        metrics=[{"type": "CPU", "averageUtilization": 80}, PER_STREAM],
        schedule=[OFFICE_HOURS],
        behavior={"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}},
    ),
    "headroom": 1,
}
GOLDEN = {"minimal": {}, "full": FULL, "scaled": SCALED}
OBJECT = """
apiVersion: modelserver.dev/v1alpha1
kind: ModelServer
metadata: {name: a}
spec:
  models: [{name: m, uri: pvc://models/m}]
"""


def children(spec: dict) -> dict[str, dict]:
    body = model_server(**spec)
    body["metadata"] |= {"namespace": "vision", "uid": "00000000-0000-0000-0000-000000000001"}
    return {f"{item.kind}/{item.name}": item.manifest for item in render(parse(body), IMAGES).children}


def pod(**spec) -> dict:
    return children(spec)["Deployment/server"]["spec"]["template"]["spec"]


def container(**spec) -> dict:
    return pod(**spec)["containers"][0]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_children_are_those_of_the_golden_file(name: str):
    """Regenerate with: python -m tests.operator.test_render"""
    assert golden(name) == (DATA / f"render_{name}.yaml").read_text()


def golden(name: str) -> str:
    return "".join(f"---\n{to_yaml(manifest)}" for manifest in children(GOLDEN[name]).values())


SPECS = st.fixed_dictionaries(
    {"models": st.just([{"name": "m", "uri": "pvc://c/m"}])},
    optional={
        "hint": st.sampled_from(["LATENCY", "THROUGHPUT"]),
        "expectedClients": st.integers(1, 100),
        "nireq": st.integers(1, 100),
        "replicas": st.integers(0, 9),
        "pollIntervalSeconds": st.integers(0, 60),
        "pluginConfig": st.dictionaries(st.text("ABC", min_size=1), st.integers() | st.booleans()),
        "resources": st.builds(lambda cpu: {"limits": {"cpu": cpu}}, st.integers(1, 64)),
        "cpuManagerPolicy": st.sampled_from(["static", "none", "external"]),
    },
).filter(lambda spec: not broken(Spec.model_validate(spec)))
HOT = {"hint", "expectedClients", "nireq", "pollIntervalSeconds", "pluginConfig"}


@given(SPECS)
def test_the_same_object_gives_the_same_bytes(spec: dict):
    assert json.dumps(children(spec)) == json.dumps(children(json.loads(json.dumps(spec))))


@given(SPECS, SPECS)
def test_hot_fields_change_the_configuration_and_nothing_else(one: dict, other: dict):
    hot = {key: value for key, value in other.items() if key in HOT}
    rest = {key: value for key, value in one.items() if key not in HOT}
    before, after = children(one), children({**rest, **hot})

    config = before.pop("ConfigMap/server-config"), after.pop("ConfigMap/server-config")
    assert before == after
    same = {k: v for k, v in one.items() if k in HOT} == hot
    assert not same or config[0] == config[1]


@given(SPECS)
def test_a_static_pod_is_guaranteed_with_whole_cpus(spec: dict):
    if spec.get("cpuManagerPolicy", "static") != "static":
        return
    made = pod(**spec)
    resources = made["containers"][0]["resources"]

    assert resources["requests"] == resources["limits"]
    assert resources["limits"]["cpu"].isdecimal()
    assert len(made["containers"]) == 1
    assert "initContainers" not in made
    assert f"--exclusive_cpus={resources['limits']['cpu']}" in made["containers"][0]["args"]


def test_no_manifest_carries_the_operators_version():
    assert __version__ not in golden("minimal")


def test_shared_cpus_are_not_claimed_as_exclusive():
    assert not [a for a in container(cpuManagerPolicy="none")["args"] if a.startswith("--exclusive_cpus")]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"requests": {"cpu": "1500m"}},
        {"limits": {"memory": "2Gi"}},
        {"limits": {"cpu": "2"}, "requests": {"cpu": "1", "memory": "1Gi"}},
    ],
)
def test_a_pod_that_others_pin_has_the_resources_it_was_given(given: dict):
    made = container(cpuManagerPolicy="external", resources=given)

    assert made["resources"] == given
    assert not [argument for argument in made["args"] if argument.startswith("--exclusive_cpus")]


def test_the_server_gets_every_claim_of_its_pod():
    claims = [
        {"name": "cpus", "resourceClaimTemplateName": "cpus"},
        {"name": "gpu", "resourceClaimName": "gpu"},
    ]

    made = pod(pod={"resourceClaims": claims})

    assert made["resourceClaims"] == claims
    assert made["containers"][0]["resources"]["claims"] == [{"name": "cpus"}, {"name": "gpu"}]


@pytest.mark.parametrize("group", [None, 0, 2000])
def test_a_pod_names_no_user_and_a_group_only_for_its_volumes(group: int | None):
    """OpenShift gives a user of its own, and refuses any other."""
    security = pod(pod={"fsGroup": group})["securityContext"]

    assert security.pop("fsGroup", None) == group
    assert security == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_resources_are_never_those_of_the_pod_as_a_whole():
    """The kubelet gives no exclusive CPUs to a container of such a pod."""
    for spec in ({}, FULL, {"cpuManagerPolicy": "external"}):
        assert "resources" not in pod(**spec)


def test_the_grace_period_covers_the_drain_and_the_longest_request():
    made = pod(rollout={"drainSeconds": 20}, server={"requestTimeoutSeconds": 30})

    assert made["terminationGracePeriodSeconds"] == 20 + 30 + 5
    assert made["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 20}}}


@pytest.mark.parametrize("limits", [{"queueSize": 7}, {"maxRequestBytes": 4096}])
def test_queue_and_size_limits_change_the_configuration_and_no_pod(limits):
    before, after = children({}), children({"server": limits})

    assert before["ConfigMap/server-config"] != after["ConfigMap/server-config"]
    assert before["Deployment/server"] == after["Deployment/server"]


def test_the_pod_takes_neither_service_links_nor_loads_by_hand():
    assert pod()["enableServiceLinks"] is False
    assert "--model_control_mode=none" in container()["args"]


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({}, {"maxSurge": 1, "maxUnavailable": 0}, id="room for one more"),
        pytest.param(
            {"device": "GPU", "accelerator": {"resourceName": "gpu.intel.com/xe"}},
            {"maxSurge": 0, "maxUnavailable": 1},
            id="no spare device",
        ),
        pytest.param(
            {"rollout": {"maxUnavailable": "25%"}}, {"maxSurge": 1, "maxUnavailable": "25%"}, id="as wished"
        ),
        pytest.param({"rollout": {"maxSurge": 0}}, {"maxSurge": 0, "maxUnavailable": 1}, id="one must move"),
    ],
)
def test_how_pods_are_replaced(spec: dict, want: dict):
    assert children(spec)["Deployment/server"]["spec"]["strategy"]["rollingUpdate"] == want


@pytest.mark.parametrize(
    ("devices", "want"),
    [
        (("CPU",), IMAGES.cpu),
        (("GPU.0",), IMAGES.gpu),
        (("AUTO:GPU,CPU",), IMAGES.gpu),
        (("CPU", "NPU"), IMAGES.npu),
    ],
)
def test_the_image_is_that_of_the_neediest_device(devices: tuple[str, ...], want: str):
    models = [{"name": f"m{i}", "uri": "file:///m", "device": device} for i, device in enumerate(devices)]

    assert container(models=models)["image"] == want


def test_the_operators_own_labels_win():
    labels = children(FULL)["Deployment/server"]["spec"]["template"]["metadata"]["labels"]

    assert labels["app.kubernetes.io/name"] == "modelserver"
    assert labels["team"] == "vision"


def test_the_revision_follows_the_content():
    def revision(**spec) -> str:
        return render(parse(model_server(**spec)), IMAGES).revision

    assert revision(hint="LATENCY") == revision(hint="LATENCY", replicas=3)
    assert revision(hint="LATENCY") != revision(hint="THROUGHPUT")


def test_render_prints_the_children_of_a_file(capsys: pytest.CaptureFixture[str]):
    assert main(["render", str(ROOT / "examples" / "01-text-orientation" / "modelserver.yaml")]) == 0

    assert capsys.readouterr().out.count("\n---\n") == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: ConfigMap", "contains no ModelServer"),
        ("{", "is not valid YAML"),
        (json.dumps(model_server(**with_model(uri="s3://b/m"))), "s3:// is not supported yet"),
        (json.dumps(model_server(models=[])), "spec.models: List should have"),
        (json.dumps(model_server(hint="LATENCY", streams=1)), "hint and streams exclude each other"),
        *(
            (json.dumps(model_server(name)), f"it is {name!r}")
            for name in ("A", "aB", "a-", "é", "a.b", "9a")
        ),
        (json.dumps(model_server(replicas="2")), "spec.replicas: Input should be a valid integer"),
        (json.dumps(model_server(paused="true")), "spec.paused: Input should be a valid boolean"),
        (json.dumps(model_server(image=1)), "spec.image: Input should be a valid string"),
        ("{kind: ModelServer, metadata: {name: a}, spec: {}}", "apiVersion of a ModelServer must be"),
        ("{apiVersion: modelserver.dev/v1, kind: ModelServer}", "must be modelserver.dev/v1alpha1"),
        ("{apiVersion: other.dev/v1, kind: ModelServer}", "contains no ModelServer"),
        (f"{OBJECT}\n  replicas: 2\n  replicas: 3", "replicas is set twice"),
        (OBJECT.replace("{name: a}", "{name: a, namespace: A_B}"), "'A_B' is not the name of a namespace"),
    ],
)
def test_render_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
):
    (tmp_path / "file.yaml").write_text(text)

    assert main(["render", str(tmp_path / "file.yaml")]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("modelserver-operator: ")
    assert message in line


def test_render_reads_numbers_and_dates_as_kubectl_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    spec = "  replicas: 2.0\n  pod: {env: [{name: DAY, value: 2026-01-02}]}\n"
    (tmp_path / "file.yaml").write_text(OBJECT + spec)

    assert main(["render", str(tmp_path / "file.yaml")]) == 0

    written = capsys.readouterr().out
    assert "replicas: 2\n" in written
    assert "value: '2026-01-02'\n" in written


def test_only_the_headless_service_has_the_status_port():
    """It is plain HTTP without keys, and a Service of type LoadBalancer would publish it."""
    found = children({"service": {"type": "LoadBalancer"}})
    ports = {name: [p["name"] for p in found[name]["spec"]["ports"]] for name in found if "Service/" in name}

    assert ports == {
        "Service/server": ["grpc", "rest"],
        "Service/server-headless": ["grpc", "rest", "status"],
    }


def test_render_needs_neither_kopf_nor_a_client():
    code = (
        "import sys; import modelserver_operator.__main__; "
        "sys.exit(bool({'kopf', 'kubernetes'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    "flag", ["--workers=0", "--resync-seconds=0", "--relist-seconds=nan", "--workers=many"]
)
def test_a_setting_that_would_loop_or_never_work_is_refused(flag: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["run", flag])

    assert flag.partition("=")[0] in capsys.readouterr().err


if __name__ == "__main__":
    for each in GOLDEN:
        (DATA / f"render_{each}.yaml").write_text(golden(each))


@pytest.mark.parametrize("closed", SUBSETS, ids="+".join)
def test_a_command_without_standard_streams_ends_with_0(tmp_path: Path, closed: tuple[str, ...]):
    path = tmp_path / "server.yaml"
    path.write_text(to_yaml(model_server("server")))
    for arguments in (["render", str(path)], ["crd"]):
        ended = subprocess.run(
            [*without(closed), sys.executable, "-m", "modelserver_operator", *arguments],
            capture_output=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        )
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert bool(ended.stdout) == ("stdout" not in closed)
