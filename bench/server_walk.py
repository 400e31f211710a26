"""The walks through the server: REST, gRPC, and a model whose streams change."""

import contextlib
import http.client
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from bench import models, payloads
from bench.answers import METHOD
from bench.recording import Traced, traced, wait_for
from bench.tracing import Step, Walk, commonest, walk
from devcluster.host.ports import free

REPEATS = 5
ARRAY = np.arange(10, dtype=np.float32).reshape(1, 10)
INLINE, STREAMS = "dummy", "streams"
FRESH = tuple("fresh" + "x" * length for length in range(REPEATS))
"""Models for first requests. Their messages differ in length: nothing remembered of one serves another."""


@dataclass(frozen=True)
class Server:
    """The traced server and where it listens."""

    program: Traced
    directory: Path
    rest: int
    rpc: int
    status_port: int

    def status(self) -> dict[str, Any]:
        """What the status port says; empty before it answers."""
        url = f"http://127.0.0.1:{self.status_port}/status"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
        except OSError:
            return {}
        return found

    def streams(self, name: str) -> int | None:
        """In effect for this model; None while nothing is loaded."""
        found = [model["streams"] for model in self.status().get("models", ()) if model["name"] == name]
        return found[0] if found else None

    def configure(self, streams: int, *more: str) -> None:
        """Write a config.json with a model of that many streams, and more without, whole or not at all."""
        streamed: dict[str, Any] = {"name": STREAMS, "streams": streams}
        entries = [streamed, *({"name": name} for name in more)]
        configs = [{"config": {**one, "base_path": str(self.directory / "model")}} for one in entries]
        unfinished = self.directory / "config.unfinished"
        unfinished.write_text(json.dumps({"model_config_list": configs}))
        unfinished.replace(self.directory / "config.json")


def walks(directory: Path) -> Iterator[Walk]:
    """All of them."""
    models.save(models.dummy(), directory / "model")
    with _running(directory, INLINE, *FRESH) as server:
        yield _rest(server, "REST JSON, inline", INLINE)
        yield _rest(server, "REST JSON, with streams", STREAMS)
        yield from _rpc(server)
    with _running(directory) as server:
        yield _changed(server)


@contextlib.contextmanager
def _running(directory: Path, *more: str) -> Iterator[Server]:
    rest, grpc, status = free(3)
    options = [
        "--config_path", str(directory / "config.json"), "--rest_port", str(rest),
        "--port", str(grpc), "--status_port", str(status), "--rest_bind_address", "127.0.0.1",
        "--grpc_bind_address", "127.0.0.1", "--file_system_poll_wait_seconds", "1",
    ]  # fmt: skip
    with traced("modelserver", options, directory / "server.log") as program:
        server = Server(program, directory, rest, grpc, status)
        server.configure(1, *more)
        wait_for(lambda: bool(server.status().get("ready")), "the server")
        yield server


def _rest(server: Server, name: str, model: str) -> Walk:
    """Head and body in one piece on a kept connection, or the parts' arrival would make the walk."""
    body = payloads.as_json(server.directory / "request.json", "b", ARRAY)
    lines = [f"POST /v2/models/{model}/infer HTTP/1.1", "Host: localhost", f"Content-Length: {body.size}"]
    request = "\r\n".join([*lines, "", ""]).encode() + body.file.read_bytes()
    with socket.create_connection(("127.0.0.1", server.rest), timeout=30) as connection:

        def ask() -> None:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            if answer.status != 200 or b"outputs" not in answer.read():
                raise RuntimeError(f"{model} answered {answer.status}")

        ask()
        server.program.learn_idle()
        return _repeated(server, name, ask)


def _repeated(server: Server, name: str, ask: Callable[[], object]) -> Walk:
    recorded = [server.program.record(ask) for _ in range(REPEATS)]
    return commonest([walk(name, steps, server.program.idle) for steps in recorded])


def _rpc(server: Server) -> Iterator[Walk]:
    """The first request with a head, and one more with the same."""
    with grpc.insecure_channel(f"127.0.0.1:{server.rpc}") as channel:
        call = channel.unary_unary(METHOD)
        grpc.channel_ready_future(channel).result(30)
        server.program.learn_idle()
        first: list[list[Step]] = []
        second: list[list[Step]] = []
        for model in FRESH:
            message = payloads.as_grpc(server.directory / "request.pb", model, "b", ARRAY).file.read_bytes()
            for recorded in (first, second):
                recorded.append(server.program.record(partial(call, message, timeout=30)))
    for name, recordings in (("gRPC raw, first request", first), ("gRPC raw, second request", second)):
        yield commonest([walk(name, steps, server.program.idle) for steps in recordings])


def _changed(server: Server) -> Walk:
    """From config.json to the loaded model. The status port is polled meanwhile: its thread is left out."""
    server.program.learn_idle()
    before = set(server.program.idle_threads)
    server.program.learn_idle(server.status)
    asked = server.program.idle_threads - before
    found = []
    for streams in (2, 1, 2):

        def change(wanted: int = streams) -> None:
            server.configure(wanted)
            wait_for(lambda: server.streams(STREAMS) == wanted, f"{wanted} streams")

        steps = [step for step in server.program.record(change) if step.thread not in asked]
        found.append(walk("streams in config.json to the model", steps, server.program.idle))
    return commonest(found)
