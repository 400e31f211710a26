"""When a Lease is free: by this machine's steady clock, and for the time that its holder wrote into it."""

import time

from kubernetes import client
from kubernetes.leaderelection.leaderelectionrecord import LeaderElectionRecord

from modelserver_operator import naming
from modelserver_operator.clients.lease import Lease, Lock, Terms
from tests.support.lease_api import lease_api
from tests.support.waiting import until

OWN, SISTER, OTHER = "system/a/pod-0", "system/a/pod-1", "system/b/pod-0"
NOW = "2026-01-01 00:00:00.000001"


def lock_of(api: client.ApiClient, duration: int) -> Lock:
    lease = Lease("n", Terms(OWN, duration, must_wait=False))
    return Lock(lease, client.CoordinationV1Api(api))


def seen(lock: Lock) -> str | None:
    """Who holds it, in the eyes of the package; None: it may be taken."""
    found, record = lock.get(naming.LEASE, "n")
    assert found
    return record.holder_identity


def takes(lock: Lock) -> bool:
    """The package's attempt to take it over, which it makes by the wall clock."""
    return lock.update(naming.LEASE, "n", LeaderElectionRecord(OWN, "1", NOW, NOW))


def test_a_wall_clock_that_jumps_ahead_takes_no_lease_from_its_holder():
    with lease_api(SISTER, 1) as (api, connection):
        lock = lock_of(connection, 1)
        assert seen(lock) == SISTER

        assert not takes(lock)
        assert api.holder() == SISTER

        time.sleep(1.1)  # the duration is what is asserted
        api.renew(SISTER, 1)
        assert seen(lock) == SISTER
        assert not takes(lock), "it was renewed"
        time.sleep(1.1)
        assert seen(lock) is None
        assert takes(lock)
        assert api.holder() == OWN


def test_a_lease_is_its_holders_for_the_time_that_the_holder_wrote():
    """Two installations with different settings: the shorter one must not count for the longer one."""
    with lease_api(OTHER, 7) as (api, connection):
        begun = time.monotonic()
        lease = Lease("n", Terms(OWN, 3, must_wait=False))
        lease.start(connection)
        try:
            until("it holds the Lease", lease.is_held, timeout=20)
        finally:
            lease.stop()

        assert time.monotonic() - begun >= 7
        assert api.holder() == ""


def test_what_a_pod_of_the_same_installation_released_is_free_immediately():
    for holder, free in ((SISTER, True), (OTHER, False)):
        with lease_api(holder, 60) as (api, connection):
            lock = lock_of(connection, 60)
            metadata = {**api.lease["metadata"], "annotations": {naming.RELEASED_ANNOTATION: holder}}
            api.put({**api.lease, "metadata": metadata, "spec": {**api.lease["spec"], "holderIdentity": ""}})

            assert seen(lock) == (None if free else OTHER)
            assert takes(lock) is free
