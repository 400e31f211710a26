"""The server's command: parse, run, exit with OVMS's codes."""

import logging
import os
import sys

# Before anything imports openvino: without this package it can neither call home nor write into
# a home directory (its own code falls back to a stub).
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

from modelserver import cli  # noqa: E402
from modelserver.errors import UsageError  # noqa: E402


def main() -> int:
    """0 after an orderly stop, 1 when serving is impossible, 64 for a wrong command line."""
    try:
        settings = cli.parse(sys.argv[1:])
    except UsageError as error:
        return cli.usage_failed(error)
    from modelserver import app  # noqa: PLC0415 - a wrong command line is told at once

    code = app.run(settings)
    # A model that is still compiling would hold a normal exit up for as long as it takes.
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
