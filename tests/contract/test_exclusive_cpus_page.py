"""docs/exclusive-cpus.md: its examples parse, and those that the code makes or uses are the same."""

import json
import re
from pathlib import Path

import pytest
import yaml

from devcluster.kind.config import configuration
from devcluster.state import Options
from modelserver_operator.api.status import Reason
from modelserver_operator.desired import Images
from modelserver_operator.desired.kept import rendered
from modelserver_operator.desired.node_group import kubelet, needs
from tests.support.one_field import server

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "exclusive-cpus.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def snippet(name: str) -> str:
    """The block that follows this mark."""
    found = re.search(rf"<!-- snippet: {re.escape(name)} -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"the page has no snippet {name}"
    return found[1]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_yaml_and_names_the_policy_or_its_cpus(block: str):
    documents = list(yaml.safe_load_all(block))

    assert all(isinstance(document, dict) for document in documents)
    assert "cpu" in block.lower()


def test_the_kubelet_configuration_is_the_one_that_plan_prints():
    made = server(resources={"limits": {"cpu": 4, "memory": "8Gi"}})
    found = needs(rendered(made, Images("c", "g", "n")).template, is_exclusive=True)

    assert snippet("kubelet, plan of an object with 4 CPUs").splitlines() == kubelet(found)


def test_the_configuration_of_kind_is_the_one_that_the_tests_run_with():
    page = yaml.safe_load(snippet("kind, as devcluster uses it"))
    ours = configuration("x", Options(), Path(), {}, 2)
    patches = ours["kubeadmConfigPatches"]
    assert isinstance(patches, list)

    assert (page["kind"], page["apiVersion"]) == (ours["kind"], ours["apiVersion"])
    (of_page,) = map(yaml.safe_load, page["kubeadmConfigPatches"])
    (of_ours,) = (found for patch in patches if (found := json.loads(patch))["kind"] == of_page["kind"])
    assert {**of_page, "failCgroupV1": False} == of_ours, "the page names failCgroupV1 in its text"


def test_every_reason_of_the_condition_that_exists_is_explained():
    """Those that the judgement of CPUs can give, by docs/operator.md."""
    operator = (Path(__file__).resolve().parents[2] / "docs" / "operator.md").read_text()
    rows = re.findall(r"^\| (\w*) ?\| `(\w+)` \|", operator, re.MULTILINE)
    names = [name for name, _ in rows]
    start = names.index("ExclusiveCPUs")
    end = next(i for i in range(start + 1, len(names)) if names[i])
    reasons = {reason for _, reason in rows[start:end]}

    explained = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert reasons <= explained
    assert reasons <= {reason.value for reason in Reason}
