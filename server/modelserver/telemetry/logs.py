"""Log lines as text for a terminal or JSON for a collector, on stderr and optionally in a file.

Writing can block, so a thread does it: logging only puts a record into a queue.
"""

import io
import logging
import queue
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener, WatchedFileHandler

from modelserver.errors import readable
from modelserver.telemetry.as_json import as_json
from modelserver.telemetry.request_log import CURRENT

TRACE = 5
QUEUED_LINES = 20_000
"""More than a moment's burst; what comes while all of them wait for a stuck terminal is dropped."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := getattr(record, "request_id", None):
            line["requestId"] = request_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return as_json(line).decode()


class TextFormatter(logging.Formatter):
    """OVMS's brackets, and the request's id behind the message: one line, whatever names stand in it."""

    def __init__(self) -> None:
        super().__init__("[%(asctime)s][%(levelname)s][%(name)s] %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The first line; those of an exception follow."""
        record.message = _CONTROL.sub(_escaped, readable(record.message))
        request_id = getattr(record, "request_id", None)
        return super().formatMessage(record) + (f" (request {request_id})" if request_id else "")


def _escaped(control: re.Match[str]) -> str:
    return repr(control[0])[1:-1]


class _Enqueue(QueueHandler):
    """Never waits: lines beyond the queue's room are counted and fields later."""

    dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """As it is: the writing thread formats it. Only the request is known here alone."""
        request = CURRENT.get()
        if request is not None:
            record.request_id = request.request_id
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1
            return
        if self.dropped and record.levelno < logging.CRITICAL:
            lost, self.dropped = self.dropped, 0
            logging.getLogger(__name__).critical(
                "%d log lines were dropped: they were not written fast enough", lost
            )


@contextmanager
def writing(level: str, form: str, path: str | None) -> Iterator[None]:
    """The root logger and nothing else: every library's lines come out the same way.

    Leaving writes what is still queued. Raises OSError when the file cannot be written.
    """
    logging.addLevelName(TRACE, "TRACE")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if form == "json" and isinstance(sys.stderr, io.TextIOWrapper):
        # JSON is UTF-8, whatever the locale is; what another encoding lacks would be escaped as JSON is not.
        sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")
    if path:
        handlers.append(WatchedFileHandler(path, encoding="utf-8", errors="backslashreplace"))
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    lines: queue.Queue[logging.LogRecord] = queue.Queue(QUEUED_LINES)
    listener = QueueListener(lines, *handlers)
    chosen = TRACE if level == "TRACE" else level
    logging.basicConfig(level=chosen, handlers=[_Enqueue(lines)], force=True)
    for chatty in ("uvicorn", "asyncio", "grpc"):
        logging.getLogger(chatty).setLevel("WARNING")
    listener.start()
    try:
        yield
    finally:
        listener.stop()
