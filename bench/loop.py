"""What one gRPC inference takes on the event loop, without sockets: the figures of decision 0007.

Runs in the environment of the checkout that is measured, as a file of its own. It knows the package's name,
the method's name, and that a class `Shortcut` with a method `run` (before: `infer`) takes the short way.
argv: directory of the model, its name, file with a ModelInferRequest, seconds, file for the result.
"""

import asyncio
import json
import os
import runpy
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import grpc

METHOD = "/inference.GRPCInferenceService/ModelInfer"
BATCH = 1000
START_SECONDS = 60.0
SETTLE_SECONDS = 0.5
Call = Callable[[bytes, Any], Awaitable[bytes]]


class Refused(Exception):
    """The server answered with an error."""


class Context:
    """As much of gRPC's context as a method asks of it."""

    def time_remaining(self) -> None:
        """No deadline."""

    def invocation_metadata(self) -> tuple[()]:
        return ()

    async def abort(self, code: grpc.StatusCode, message: str) -> None:
        raise Refused(f"{code.name}: {message}")


class Server:
    """Replaces gRPC's server: takes the handlers, opens no socket, and measures once it is started."""

    def __init__(self, measure: Callable[[Call], Awaitable[None]]) -> None:
        self._measure = measure
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._task: asyncio.Task[None] | None = None

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None:
        self._handlers += handlers

    def add_registered_method_handlers(self, *_: Any) -> None:
        """Generated code of newer versions registers its methods twice."""

    def add_insecure_port(self, _address: str) -> int:
        return 1

    async def start(self) -> None:
        details = SimpleNamespace(method=METHOD, invocation_metadata=())
        found = (handler.service(details) for handler in self._handlers)
        call = next(handler.unary_unary for handler in found if handler is not None)
        self._task = asyncio.get_running_loop().create_task(self._run(call))

    async def stop(self, _grace: float | None) -> None:
        """Nothing is in flight."""

    async def _run(self, call: Call) -> None:
        try:
            await self._measure(call)
        except BaseException as error:  # noqa: BLE001 - nobody awaits this task
            sys.stderr.write(f"bench/loop.py: {error!r}\n")
            os._exit(1)
        os._exit(0)


class Switch:
    """Closes the short way, so that every request takes the long one."""

    def __init__(self) -> None:
        modules = [module for name, module in list(sys.modules.items()) if name.startswith("modelserver")]
        found: set[Any] = {getattr(module, "Shortcut", None) for module in modules}
        names = [(kind, name) for kind in found for name in ("run", "infer") if hasattr(kind, name)]
        self._methods = {(kind, name): getattr(kind, name) for kind, name in names}
        if not self._methods:
            raise LookupError("no class Shortcut with a method run: bench/loop.py needs the new name")
        self.closed = 0
        """How many requests found it closed."""

    def close(self) -> None:
        for kind, name in self._methods:
            setattr(kind, name, self._no_answer)

    def open(self) -> None:
        for (kind, name), method in self._methods.items():
            setattr(kind, name, method)

    def _no_answer(self, *_: Any) -> None:
        self.closed += 1


async def ready(call: Call, message: bytes) -> None:
    """Until the model answers, and what follows its loading is over."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            await call(message, Context())
        except Refused:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)
        else:
            await asyncio.sleep(SETTLE_SECONDS)
            return


async def batch(call: Call, message: bytes) -> float:
    """Microseconds of this thread's CPU time per request."""
    context, start = Context(), time.thread_time_ns()
    for _ in range(BATCH):
        await call(message, context)
    return (time.thread_time_ns() - start) / BATCH / 1e3


async def both(call: Call, message: bytes, seconds: float) -> dict[str, float]:
    """The medians of batches that take turns."""
    await ready(call, message)
    switch = Switch()
    short: list[float] = []
    long: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(short) < 3:
        short.append(await batch(call, message))
        switch.close()
        long.append(await batch(call, message))
        switch.open()
    if switch.closed < BATCH:
        raise LookupError("requests do not ask Shortcut.infer: bench/loop.py needs the new way")
    return {"shortcut": median(short), "long way": median(long)}


def main() -> None:
    directory, name, request, seconds, result = sys.argv[1:]
    message, write = Path(request).read_bytes(), Path(result).write_text

    async def measure(call: Call) -> None:
        figures = await both(call, message, float(seconds))
        write(json.dumps(figures))

    server = Server(measure)
    grpc.aio.server = lambda *_, **__: server
    sys.argv = ["modelserver", "--model_path", directory, "--model_name", name, "--port", "9000"]
    runpy.run_module("modelserver", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
