"""What can go wrong, as one tree.

OperatorError
├── Invalid          the object is at fault: a condition, and no retry until it changes
│   └── SourceNotSupported    a model's URI has a scheme this version cannot serve
├── Unfit            a status that the CRD's schema does not allow: a minimal one is written instead
├── NoCluster        no kubeconfig, or one that cannot be used
├── NotInstalled     the CRD is missing: logged once, then the process exits
├── ObjectGone       the ModelServer no longer exists, and its event is late: nothing is made for it
├── NotLeading       another operator writes here: the pass ends without a write, and nobody retries
├── VersionsWentBack etcd was restored from a backup: the operator forgets everything and starts again
└── ApiError         the API server refused or did not answer: retried with back-off
    ├── Forbidden    a permission is missing
    │   └── NamespaceEnding   the namespace is being deleted, and everything in it
    ├── Conflict     another client owns the object or its fields
    ├── NotFound     the object does not exist (any more)
    └── Unprocessable    the object would not be valid afterwards
"""


class OperatorError(Exception):
    """Anything this program raises on purpose."""


class Invalid(OperatorError):
    """The object is not valid; the message says where and why."""


class SourceNotSupported(Invalid):
    """A model's URI has a scheme that this version cannot serve."""


class Unfit(OperatorError):
    """A status has a value that the CRD's schema does not allow."""


class NoCluster(OperatorError):
    """There is no kubeconfig, or it cannot be used."""


class NotInstalled(OperatorError):
    """The CRD is not installed."""


class ObjectGone(OperatorError):
    """The object no longer exists, or is being deleted."""


class NotLeading(OperatorError):
    """The Lease under which this process could write is not its own."""


class VersionsWentBack(OperatorError):
    """A list is older than what is known already: etcd was restored from a backup."""


class ApiError(OperatorError):
    """The API server's answer; status 0 when there was none."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def cause(self) -> str:
        """The message without the request."""
        return str(self).partition(": ")[2] or str(self)


class Forbidden(ApiError):
    """A permission is missing, or an admission policy or a quota rejected the request."""


class NamespaceEnding(Forbidden):
    """The namespace is being deleted: nothing can be created there any more."""


class Conflict(ApiError):
    """The object belongs to another client, or is not the expected one."""


class NotFound(ApiError):
    """The object does not exist."""


class Unprocessable(ApiError):
    """The object would not be valid after this change."""
