"""The access log: one line a request, written off the hot path, only where it is wanted."""

import logging
import time

from modelserver.telemetry.labels import Interface
from modelserver.telemetry.request_log import RequestInfo, new_id

LOG = logging.getLogger("modelserver.access")
HEADER = "x-request-id"
MAX_ID_LENGTH = 128


class Line:
    """What one request's line tells."""

    def __init__(self, interface: Interface, what: str, request_id: str | None) -> None:
        self.request = RequestInfo(_tidy(request_id) or new_id())
        self.status = ""
        self.bytes_in = self.bytes_out = 0
        self._interface, self._what = interface, what
        self._started = time.perf_counter()

    def write(self) -> None:
        """The request is through."""
        request = self.request
        fields = {
            "interface": self._interface,
            "request": self._what,
            "status": self.status,
            "model": request.model,
            "version": request.version,
            "bytesIn": self.bytes_in,
            "bytesOut": self.bytes_out,
            "milliseconds": round((time.perf_counter() - self._started) * 1e3, 3),
        }
        extra = {"fields": fields, "request_id": request.request_id}
        text = " ".join(
            f"{name}={value}" for name, value in list(fields.items())[3:] if value not in ("", None)
        )
        LOG.info("%s %s %s %s", self._interface, self._what, self.status, text, extra=extra)


def _tidy(request_id: str | None) -> str | None:
    """An id goes into logs and answers: printable and short, or not at all."""
    return request_id[:MAX_ID_LENGTH] if request_id and request_id.isprintable() else None
