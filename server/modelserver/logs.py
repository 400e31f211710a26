"""Log lines as text for a terminal or JSON for a collector, on stderr and optionally in a file."""

import logging
import sys
from datetime import UTC, datetime

import orjson

TRACE = 5


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
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def set_up(level: str, form: str, path: str | None) -> None:
    """The root logger and nothing else: every library's lines come out the same way."""
    logging.addLevelName(TRACE, "TRACE")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path:
        handlers.append(logging.FileHandler(path))
    text = logging.Formatter("[%(asctime)s][%(levelname)s][%(name)s] %(message)s")
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=TRACE if level == "TRACE" else level, handlers=handlers, force=True)
    for chatty in ("uvicorn", "asyncio", "grpc"):
        logging.getLogger(chatty).setLevel("WARNING")
