"""What can go wrong, as one tree.

OperatorError
├── Invalid          the object is at fault: a condition, no retry until it changes
│   └── SourceNotSupported    a model's URI has a scheme this version cannot serve
├── NotInstalled     the CRD is missing: said once, then the process ends
└── ApiError         the API server refused or did not answer: retried with back-off
    ├── Forbidden    a right is missing
    │   └── NamespaceEnding   the namespace is being deleted, and everything in it
    ├── Conflict     somebody else owns the object or its fields
    └── NotFound     it is not there (any more)
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
    """A right is missing, or an admission policy or a quota said no."""


class NamespaceEnding(Forbidden):
    """The namespace is being deleted: nothing can be created there any more."""


class Conflict(ApiError):
    """The object belongs to somebody else, or is another one than expected."""


class NotFound(ApiError):
    """It is not there."""
