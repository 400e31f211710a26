"""Under constant load not one request fails while pods are replaced, scaled, or models change."""

import json
from collections.abc import Callable, Iterator

import pytest

from devcluster.demo import images, installation
from devcluster.kubectl import Kubernetes, selector
from tests.support.e2e import remove
from tests.support.models import dummy, save
from tests.support.under_load import Load, Serving, Wishes, client, two_replicas
from tests.support.waiting import until

pytestmark = pytest.mark.kind
SECONDS = 120


@pytest.fixture
def rolling(
    kubernetes: Kubernetes, server_image: images.Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    model = tmp_path_factory.mktemp("model") / "plus-one"
    save(dummy(), model / "1")
    installation.copy_into_volume(kubernetes, model, "plus-one")
    kubernetes.apply(two_replicas("rolling", "250m"))
    with client(kubernetes, server_image.name):
        kubernetes.wait_for("rolling", timeout=150)
        yield "rolling"
    remove(kubernetes, "rolling")


def patch(kubernetes: Kubernetes, **spec: object) -> None:
    kubernetes.kubectl("patch", "modelserver", "rolling", "--type=merge", "-p", json.dumps({"spec": spec}))


def roll(kubernetes: Kubernetes, value: str) -> None:
    patch(kubernetes, pod={"env": [{"name": "ROLLED", "value": value}]})


def scale(kubernetes: Kubernetes, replicas: int) -> None:
    """Through the subresource, as every autoscaler does."""
    kubernetes.kubectl("scale", "modelserver/rolling", f"--replicas={replicas}")


def change(kubernetes: Kubernetes, **spec: object) -> None:
    """Patch the object and wait until every pod serves the new generation."""
    patch(kubernetes, **spec)
    kubernetes.wait_for("rolling", timeout=SECONDS)


def test_no_request_fails_while_tuning_changes_pods_are_replaced_and_one_goes(
    kubernetes: Kubernetes, rolling: str
):
    before = {pod["metadata"]["uid"] for pod in kubernetes.items("pods", selector(rolling))}
    with Load(kubernetes, rolling) as load:
        change(kubernetes, hint="LATENCY")
        change(kubernetes, pod={"env": [{"name": "ROLLED", "value": "yes"}]})
        change(kubernetes, replicas=1)
        until("old pods are gone", lambda: len(kubernetes.items("pods", selector(rolling))) == 1, timeout=60)

    assert load.errors == []
    assert load.answered > 100
    after = {pod["metadata"]["uid"] for pod in kubernetes.items("pods", selector(rolling))}
    assert not before & after


def is_half_rolled(kubernetes: Kubernetes) -> bool:
    """Whether the newest template has a pod, and an older one has pods still."""
    found = kubernetes.get("deployment", "rolling")["status"]
    return 0 < found.get("updatedReplicas", 0) < found["replicas"]


def has_unready(kubernetes: Kubernetes) -> bool:
    found = kubernetes.get("deployment", "rolling")["status"]
    return found["replicas"] > found.get("readyReplicas", 0)


def is_carried_out(kubernetes: Kubernetes) -> bool:
    """Whether the Deployment has the object's replicas."""
    wanted = kubernetes.get("modelserver", "rolling")["spec"]["replicas"]
    return bool(kubernetes.get("deployment", "rolling")["spec"]["replicas"] == wanted)


BESIDE: dict[str, tuple[Callable[[Kubernetes], None], Callable[[Kubernetes], bool], int, int]] = {
    "up during a roll": (lambda k: roll(k, "1"), is_half_rolled, 2, 3),
    "a roll while it goes up": (lambda k: scale(k, 4), has_unready, 3, 4),
    "down during a roll": (lambda k: roll(k, "3"), is_half_rolled, 4, 2),
    "a roll while it goes down": (lambda k: scale(k, 1), is_carried_out, 2, 1),
}
"""The first step, when the second one follows, and the replicas before and after both."""


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_scale_step_and_a_roll_go_beside_each_other_without_a_dip_a_failure_or_a_fight(
    kubernetes: Kubernetes, rolling: str, record_property: Callable[[str, object], None]
):
    with Load(kubernetes, rolling) as load:
        for name, (first, is_time, before, after) in BESIDE.items():
            with Serving(kubernetes, rolling) as serving, Wishes(kubernetes, rolling) as wishes:
                first(kubernetes)
                until(f"{name}: the second step", lambda check=is_time: check(kubernetes), timeout=60)
                scale(kubernetes, after) if "during" in name else roll(kubernetes, name)
                kubernetes.wait_for(rolling, timeout=240)
            assert min(serving.counts()) >= min(before, after), f"{name}: {serving.counts()}"
            states = wishes.states()
            assert len(states) == 3, f"{name}: both are written once, and nothing goes to and fro: {states}"
            record_property(f"{name}: pods that served", serving.counts())

    assert load.errors == []
    record_property("answered", load.answered)
