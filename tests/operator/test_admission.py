"""The real API server refuses what cannot work, says what to do, and fills in the defaults."""

import json

import pytest
import yaml

from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes
from modelserver_operator.api import parse
from modelserver_operator.errors import Invalid
from tests.support.modelservers import ACCEPTED, REFUSED, REFUSED_BY_SCHEMA, model_server, with_model

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


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            with_model(uri="pvc:///m"), r"models\[0\]\.uri: the name of the claim is missing", id="no claim"
        ),
        pytest.param(
            with_model(uri="pvc://My_Claim/m"), r"My_Claim is not a valid name of a Pers", id="a claim's name"
        ),
        pytest.param(with_model(uri="pvc://c/../m"), r"must not contain \.\.", id="a way out of the claim"),
        pytest.param(with_model(uri="file://m"), r"absolute path: file:///m", id="two slashes"),
        pytest.param(
            {"pluginConfig": {"A": {}}}, r"A: a string, a number or a boolean", id="a nested property"
        ),
        pytest.param(
            {"pod": {"volumes": [{"name": "modelserver-config", "emptyDir": {}}]}},
            r"pod\.volumes\[0\]\.name: .*choose another",
            id="the operator's volume",
        ),
    ],
)
def test_what_no_schema_can_see_is_refused_by_the_operator(spec: dict, message: str):
    with pytest.raises(Invalid, match=message):
        parse(model_server(**spec))
