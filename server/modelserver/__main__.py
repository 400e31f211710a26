"""The server's command: parse, run, exit with OVMS's codes."""

import gc
import logging
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

# Before anything imports openvino: without this package it can neither call home nor write into
# a home directory (its own code falls back to a stub).
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
# The server converts no models, and this part of the package would be read at every start.
sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]

# Since grpcio 1.80 its event engine reads the sockets, and hands each message on through two more threads:
# 10 to 20 % more CPU per request (docs/decisions/0010). This is gRPC's own switch, read when it starts.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")

from modelserver.errors import UsageError  # noqa: E402
from modelserver.settings import command_line  # noqa: E402


def main() -> int:
    """0 after an orderly stop, 1 when serving is impossible, 64 for a wrong command line."""
    _open_closed_streams()
    try:
        settings = command_line.parse(sys.argv[1:], variables=os.environ)
    except UsageError as error:
        return command_line.usage_failed(error)
    # The kernel ignores signals that the first process of a container does not handle, and importing
    # takes a second.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    if settings.dry_run:
        from modelserver import dryrun  # noqa: PLC0415 - it imports openvino, as the server does

        return dryrun.run(settings)
    gc.disable()  # what importing makes stays: looking through it again and again costs a tenth of the start
    from modelserver import app  # noqa: PLC0415 - a wrong command line is reported before openvino is imported

    gc.enable()
    code = app.run(settings)
    # A model that is still compiling would hold a normal exit up for as long as it takes.
    logging.shutdown()
    os._exit(code)


def _open_closed_streams() -> None:
    """/dev/null for each of the descriptors 0 to 2 that the parent has closed.

    The next files and sockets would take these numbers, and libuv ends the process when its own are among
    them.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Nothing has begun, so nothing is in flight."""
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
