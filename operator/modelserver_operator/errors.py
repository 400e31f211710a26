"""What can go wrong, as one tree.

OperatorError
├── Invalid          the object is at fault: a condition, and no retry until it changes
│   └── SourceNotSupported    a model's URI has a scheme this version cannot serve
├── NotInstalled     the CRD is missing: logged once, then the process exits
└── ApiError         the API server refused or did not answer: retried with back-off
    ├── Forbidden    a permission is missing
    │   └── NamespaceEnding   the namespace is being deleted, and everything in it
    ├── Conflict     another client owns the object or its fields
    └── NotFound     the object does not exist (any more)
"""


class OperatorError(Exception):
    """Anything this program raises on purpose."""


class Invalid(OperatorError):
    """The object is not valid; the message says where and why."""


class SourceNotSupported(Invalid):
    """A model's URI has a scheme that this version cannot serve."""


class NotInstalled(OperatorError):
    """The CRD is not installed."""


class ApiError(OperatorError):
    """The API server's answer; status 0 when there was none."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Forbidden(ApiError):
    """A permission is missing, or an admission policy or a quota rejected the request."""


class NamespaceEnding(Forbidden):
    """The namespace is being deleted: nothing can be created there any more."""


class Conflict(ApiError):
    """The object belongs to another client, or is not the expected one."""


class NotFound(ApiError):
    """The object does not exist."""
