"""Whether this process may write is asked again when a request goes out: it may have been stopped before."""

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator.clients.kubernetes import Event, connect
from modelserver_operator.errors import ApiError, NotLeading
from tests.support.children import events

pytestmark = pytest.mark.api
NOW = "2026-01-01T00:00:00Z"


class Rights:
    """Given for the first questions, and lost then."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def __call__(self, namespace: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise NotLeading(namespace)


def about(kubernetes: Kubernetes) -> dict[str, str]:
    return {"namespace": kubernetes.namespace, "name": "server", "uid": "u"}


async def test_a_write_whose_right_is_lost_before_it_goes_out_is_not_made(kubernetes: Kubernetes):
    cluster = await connect(Rights(1), kubernetes.environment["KUBECONFIG"])
    with pytest.raises((ApiError, NotLeading)):
        await cluster.post(Event("Stopped", "m"), about(kubernetes), NOW)
    await cluster.close()

    assert events(kubernetes, "Stopped") == []


async def test_a_write_with_the_right_to_its_end_is_made(kubernetes: Kubernetes):
    cluster = await connect(Rights(2), kubernetes.environment["KUBECONFIG"])
    await cluster.post(Event("Going", "m"), about(kubernetes), NOW)
    await cluster.close()

    assert events(kubernetes, "Going") == ["m"]
