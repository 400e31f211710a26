"""The real API server refuses what cannot work, says what to do, and fills in the defaults."""

import json

import pytest
import yaml

from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes
from modelserver_operator.api import parse
from modelserver_operator.desired import Images, render
from modelserver_operator.errors import Invalid
from tests.support.modelservers import ACCEPTED, POD, REFUSED, REFUSED_BY_SCHEMA, model_server

pytestmark = pytest.mark.api


def submit(cluster: Kubernetes, body: dict) -> dict:
    """The object as the API server would store it."""
    text = cluster.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", stdin=json.dumps(body)
    )
    return json.loads(text)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_saying_what_to_do(cluster: Kubernetes, case: str):
    spec, message = REFUSED[case]

    with pytest.raises(CommandFailed, match=message):
        submit(cluster, model_server(**spec))


@pytest.mark.parametrize("case", REFUSED_BY_SCHEMA)
def test_an_object_that_breaks_the_schema_is_refused(cluster: Kubernetes, case: str):
    spec, message = REFUSED_BY_SCHEMA[case]

    with pytest.raises(CommandFailed, match=message):
        submit(cluster, model_server(**spec))


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_works_is_admitted_and_read_back(cluster: Kubernetes, case: str):
    stored = submit(cluster, model_server(**ACCEPTED[case]))

    assert parse(stored).spec.models[0].name == "m"


def test_a_name_that_no_service_can_have_is_refused(cluster: Kubernetes):
    with pytest.raises(CommandFailed, match="becomes the name of a Service"):
        submit(cluster, model_server("9-lives"))
    with pytest.raises(CommandFailed, match="at most 52"):
        submit(cluster, model_server("a" * 53))


def test_the_defaults_of_the_api_stand_in_the_stored_object(cluster: Kubernetes):
    assert submit(cluster, model_server())["spec"] == {
        "models": [{"name": "m", "uri": "pvc://models/m", "versionPolicy": {"latest": 1}}],
        "device": "CPU",
        "replicas": 1,
        "workers": 1,
        "cpuManagerPolicy": "static",
        "imagePullPolicy": "IfNotPresent",
        "ports": {"grpc": 8080, "rest": 8081, "status": 8082},
        "server": {"logLevel": "INFO"},
        "service": {"type": "ClusterIP"},
        "rollout": {"drainSeconds": 15, "startupTimeoutSeconds": 600},
        "paused": False,
    }


def test_every_field_explains_itself(cluster: Kubernetes):
    text = cluster.kubectl("explain", "modelserver.spec", "--recursive=false")

    assert "<no description>" not in text
    assert "LATENCY" in cluster.kubectl("explain", "modelserver.spec.hint")


def test_the_categories_and_the_short_name_find_it(cluster: Kubernetes):
    assert "modelservers" in cluster.kubectl("api-resources", "--categories=all")
    assert yaml.safe_load(cluster.kubectl("get", "msrv", "-o", "yaml"))["kind"] == "List"


@pytest.mark.parametrize("case", REFUSED)
def test_an_object_that_bypassed_admission_is_refused_with_the_same_words(case: str):
    spec, message = REFUSED[case]

    with pytest.raises(Invalid, match=message):
        parse(model_server(**spec))


@pytest.mark.parametrize("case", REFUSED_BY_SCHEMA)
def test_an_object_that_breaks_the_schema_is_not_read_either(case: str):
    spec, _ = REFUSED_BY_SCHEMA[case]

    with pytest.raises(Invalid, match=r"^spec\."):
        parse(model_server(**spec))


def test_what_no_schema_can_see_is_refused_by_the_operator():
    with pytest.raises(Invalid, match=r"A: a string, a number or a boolean"):
        parse(model_server(pluginConfig={"A": {}}))


def test_the_parts_of_a_pod_reach_the_deployment_as_they_are(cluster: Kubernetes):
    stored = submit(cluster, model_server(pod=POD))
    manifests = render(parse(stored), Images("c", "g", "n")).children
    (deployment,) = [item.manifest for item in manifests if item.kind == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert stored["spec"]["pod"] == POD
    assert {key: pod[key] for key in ("tolerations", "affinity", "topologySpreadConstraints")} == {
        key: POD[key] for key in ("tolerations", "affinity", "topologySpreadConstraints")
    }
    assert container["envFrom"] == POD["envFrom"]
    assert container["volumeMounts"][-1:] == POD["volumeMounts"]
    # An amount is written as a text.
    assert json.dumps(container["env"]) == json.dumps(POD["env"]).replace('"divisor": 1', '"divisor": "1"')
    volumes = json.dumps(POD["volumes"]).replace("1048576", '"1048576"')
    assert json.dumps(pod["volumes"][-6:], sort_keys=True) == json.dumps(json.loads(volumes), sort_keys=True)
    cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(deployment))
