"""The fourth example: none outside of its hours, one when they begin, none after their end."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from devcluster.kubectl import Kubernetes, selector
from tests.support import scaled
from tests.support.e2e import remove
from tests.support.scaled import LIGHT, Clients, Course, Document, Record
from tests.support.waiting import until

pytestmark = [pytest.mark.kind, pytest.mark.long, pytest.mark.timeout(1500)]


@pytest.fixture
def office_hours(keda: Kubernetes, clients: str) -> Iterator[Document]:
    document = scaled.example("04-scale-to-zero")
    yield document
    remove(keda, document["metadata"]["name"])


def soon(minutes: int) -> str:
    """The whole minute that many minutes after the present one, as cron has it, in UTC."""
    return f"{(datetime.now(UTC) + timedelta(minutes=minutes)).minute} * * * *"


def test_to_zero_and_back_and_to_zero_by_schedule(
    keda: Kubernetes, office_hours: Document, record_property: Record
):
    document, name = office_hours, office_hours["metadata"]["name"]
    (hours,) = document["spec"]["autoscaling"]["schedule"]
    hours |= {"timeZone": "Europe/Berlin", "start": soon(5), "end": soon(9)}
    document["spec"] |= scaled.SMALL
    document["spec"]["autoscaling"] |= {"scaleToZeroAfterSeconds": 10, "behavior": scaled.QUICK}

    course = Course(keda, name, record_property)
    scaled.apply(keda, document)
    keda.wait_for(name)
    course.begin()
    course.reaches(0, "to zero outside of the hours")
    until("no pod is left", lambda: not keda.items("pods", selector(name)), timeout=60)
    ready = until("Ready", lambda: keda.condition(name, "Ready"), timeout=30)
    assert (ready["status"], ready["reason"]) == ("True", "ScaledToZero")
    assert "next schedule" in scaled.says(keda, name, "ScaledToZero")["message"]

    course.reaches(1, "from zero to one when the hours begin", timeout=420)
    keda.wait_for(name)
    with Clients(keda, name, **LIGHT) as clients:
        until("it serves", lambda: scaled.autoscaled(keda, name).get("reason") == "Autoscaled", timeout=60)
    assert clients.errors == []
    course.reaches(0, "to zero after the hours", timeout=500)
    assert course.wished[-3:] == [0, 1, 0]
