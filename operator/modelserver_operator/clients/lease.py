"""One Lease: held, or met in somebody else's hands. The kubernetes package's election in a thread of its own.

Its asyncio twin does not work, and a thread renews on time when the event loop is busy. What the package
lacks is added in the lock: a time limit for each request, a release, and who released it, so that the next
pod of the same installation takes over immediately and a foreign one waits as if the Lease were still held.
The lock decides whether the Lease is free: the package goes by the wall clock, which can jump, and by its own
duration instead of the holder's.
"""

import contextlib
import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock import leaselock

from modelserver_operator import naming

# These parts of the package have no types.
_LeaseLock: Any = leaselock.LeaseLock
_Config: Any = electionconfig.Config
_LeaderElection: Any = leaderelection.LeaderElection
_REQUEST_SECONDS = 5
_UNREAD = "the Lease has not been read yet"
_logger = logging.getLogger(__name__)


def clock() -> float:
    """Seconds that go on while the machine sleeps, so that nobody wakes up as the holder of an old Lease."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def installation_of(identity: str) -> str:
    """Identities are INSTALLATION/POD."""
    return identity.rpartition("/")[0]


@dataclass(frozen=True)
class Terms:
    """How a Lease is held; seconds."""

    identity: str
    """INSTALLATION/POD."""
    duration: int
    """A Lease that was not renewed for this time is free."""
    must_wait: bool
    """Whether a new holder writes only after one duration more: an installation of another reach may have
    written here until now, and leaves as soon as it sees this Lease."""

    @property
    def deadline(self) -> float:
        """The holder stops writing this time after its last renewal."""
        return self.duration * 2 / 3

    @property
    def retry(self) -> int:
        """Between two attempts."""
        return max(1, self.duration * 2 // 15)


class Stopped(Exception):
    """Raised in the thread once the Lease is not wanted any more."""


class Lease:
    """A Lease as the event loop sees it; its thread writes single attributes only."""

    def __init__(self, namespace: str, terms: Terms) -> None:
        self.namespace = namespace
        self.terms = terms
        self.holder = ""
        """Who holds it, or released it last; empty when nobody did or nothing is known."""
        self.problem = _UNREAD
        """Why it cannot be read or written; empty when it can."""
        self.renewed: float | None = None
        """When the last renewal that succeeded was sent; None for one that is not held."""
        self.writes_from = 0.0
        self.metadata: dict[str, str] | None = None
        """Namespace, name and uid, for Events about it."""
        self._lock: Lock | None = None

    def is_known(self) -> bool:
        """Whether an attempt to read it has ended."""
        return self.problem != _UNREAD

    def is_held(self) -> bool:
        """Whether the last renewal is young enough."""
        renewed = self.renewed
        return renewed is not None and clock() - renewed < self.terms.deadline

    def may_write(self) -> bool:
        """Whether nobody else writes here."""
        return self.is_held() and clock() >= self.writes_from

    def is_foreign(self) -> bool:
        """Whether another installation holds it."""
        return bool(self.holder) and installation_of(self.holder) != installation_of(self.terms.identity)

    def start(self, api: client.ApiClient) -> None:
        """Try to get it, and keep it, until `stop`."""
        self._lock = Lock(self, client.CoordinationV1Api(api))
        thread = threading.Thread(
            target=self._run, args=(self._lock,), name=f"lease-{self.namespace}", daemon=True
        )
        thread.start()

    def stop(self) -> None:
        """Release it if it is held; takes as long as two requests."""
        if self._lock is not None:
            self._lock.release()
        self.renewed = None

    def _run(self, lock: "Lock") -> None:
        terms = self.terms
        nothing: Callable[[], None] = lambda: None  # noqa: E731 - two callbacks that the package insists on
        terms_of_package = _Config(lock, terms.duration, terms.deadline, terms.retry, nothing, nothing)
        while True:
            try:
                _LeaderElection(terms_of_package).run()
            except Stopped:
                return
            except Exception:
                _logger.exception("the election in %s failed; it starts again", self.namespace)
            time.sleep(terms.retry)


class Lock(_LeaseLock):  # type: ignore[misc]
    """The package's lock, which tells a Lease what it sees and does. All methods run in the thread."""

    def __init__(self, lease: Lease, api: client.CoordinationV1Api) -> None:
        super().__init__(naming.LEASE, lease.namespace, lease.terms.identity)
        self.api_instance = _Requests(api, lease)
        self._lease = lease
        self._mutex = threading.Lock()
        self._is_stopped = False
        self._seen: tuple[str, Any, bool] | None = None
        self._moved = float("-inf")
        """When the Lease was last seen to change hands or be renewed by others."""
        self._is_recent = False
        self._since = float("-inf")
        """When the Lease was first seen as it is."""
        self._is_free = True

    def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        """The record, without a holder if it may be taken over."""
        if self._is_stopped:
            raise Stopped
        found, record = super().get(name, namespace)
        if not found:
            self._is_free = True
            return False, record
        lease, identity = self.lease_reference, self._lease.terms.identity
        spec = lease.spec or client.V1LeaseSpec()
        released = (lease.metadata.annotations or {}).get(naming.RELEASED_ANNOTATION, "")
        self._lease.metadata = {"namespace": namespace, "name": name, "uid": lease.metadata.uid}
        self._note(spec.holder_identity or released, spec.renew_time, is_held=bool(spec.holder_identity))
        if spec.holder_identity != identity:
            self._lease.renewed = None
        self._is_free = self._may_be_taken(spec, released)
        if spec.holder_identity != identity:
            record.holder_identity = None if self._is_free else spec.holder_identity or released
        return True, record

    def _may_be_taken(self, spec: client.V1LeaseSpec, released: str) -> bool:
        """What a foreign installation released stays theirs for one duration: a successor comes first."""
        terms, holder = self._lease.terms, spec.holder_identity
        if holder == terms.identity or not (holder or released):
            return True
        if not holder and installation_of(released) == installation_of(terms.identity):
            return True
        return clock() - self._since >= max(terms.duration, spec.lease_duration_seconds or 0)

    def create(self, name: str, namespace: str, election_record: Any) -> bool:
        """The first Lease of this name."""
        create = super().create
        return self._acquire(lambda: create(name, namespace, election_record))

    def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        """Renew it, or take it over."""
        if not self._is_free:
            return False
        update = super().update
        if self.lease_reference is not None:
            (self.lease_reference.metadata.annotations or {}).pop(naming.RELEASED_ANNOTATION, None)
        return self._acquire(lambda: update(name, namespace, updated_record))

    def release(self) -> None:
        """For the event loop's side: no renewal follows, and the holder is removed."""
        with self._mutex:
            self._is_stopped = True
            if self._lease.renewed is None or not super().get(self.name, self.namespace)[0]:
                return
            lease, identity = self.lease_reference, self._lease.terms.identity
            if lease.spec.holder_identity != identity:
                return
            annotations = lease.metadata.annotations or {}
            lease.metadata.annotations = {**annotations, naming.RELEASED_ANNOTATION: identity}
            lease.spec.holder_identity = ""
            with contextlib.suppress(ApiException):
                self.api_instance.replace_namespaced_lease(self.name, self.namespace, lease)

    def _acquire(self, write: Callable[[], bool]) -> bool:
        with self._mutex:
            if self._is_stopped:
                raise Stopped
            begun = clock()
            is_done = write()
            if is_done:
                self._take(begun)
            return is_done

    def _take(self, begun: float) -> None:
        lease, terms = self._lease, self._lease.terms
        if not lease.is_held():
            lease.writes_from = begun + self._pause()
        lease.holder, lease.problem, lease.renewed = terms.identity, "", begun

    def _pause(self) -> float:
        """The seconds before a new holder writes."""
        if self._lease.terms.must_wait and not self._is_inherited():
            return self._lease.terms.duration
        # A process that was stopped or cut off first hears from its watches what happened meanwhile.
        return 2 * self._lease.terms.retry if self._lease.renewed is not None else 0

    def _is_inherited(self) -> bool:
        """Whether this installation held it until now, so that nobody of another reach wrote meanwhile."""
        before = self._seen[0] if self._seen else ""
        if before == self._lease.terms.identity and self._is_recent:
            return True
        is_ours = installation_of(before) == installation_of(self._lease.terms.identity)
        return is_ours and clock() - self._moved <= self._lease.terms.duration + 2 * self._lease.terms.retry

    def _note(self, who: str, renewed: dt.datetime | None, *, is_held: bool) -> None:
        if self._seen != (who, renewed, is_held):
            self._since = clock()
            self._moved = self._moved if self._seen is None else self._since
        self._seen = (who, renewed, is_held)
        # Of this very pod's own making, so it is this machine's clock that is compared with itself.
        age = (dt.datetime.now(dt.UTC) - renewed).total_seconds() if renewed else float("inf")
        self._is_recent = 0 <= age < self._lease.terms.duration
        self._lease.holder, self._lease.problem = who, ""


class _Requests:
    """The API of Leases with a time limit for each request; all failures are those that the package knows."""

    def __init__(self, api: client.CoordinationV1Api, lease: Lease) -> None:
        self._api = api
        self._lease = lease

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._api, name)

        def request(*values: Any, **named: Any) -> Any:
            try:
                return method(*values, **named, _request_timeout=_REQUEST_SECONDS)
            except ApiException as error:
                self._lease.problem = f"{error.status} {error.reason}"
                raise
            except (urllib3.exceptions.HTTPError, OSError) as error:
                self._lease.problem = f"no answer from the API server ({error})"
                raise ApiException(status=0, reason=str(error)) from error

        return request


def connect(*, in_cluster: bool) -> client.ApiClient:
    """A connection of its own, with the same credentials as everything else."""
    configuration, loaders = client.Configuration(), cast("Any", config)
    configuration.retries = False
    load = loaders.load_incluster_config if in_cluster else loaders.load_kube_config
    load(client_configuration=configuration)
    return client.ApiClient(configuration)
