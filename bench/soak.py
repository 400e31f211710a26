"""Endurance: inferences of mixed shapes and encodings through reloads under load, then cancelled calls.

Writes bench/results/<date>-soak.json and its table in docs/performance.md.
"""

import argparse
import contextlib
import http.client
import json
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil

from bench import machine, models, render
from bench.peers import Peer, ours
from modelserver import proto

RESULTS = Path(__file__).with_name("results")
GAUGES = ("ovms_current_requests", "ovms_infer_req_active", "modelserver_queue_waiting")
METHOD = "/inference.GRPCInferenceService/ModelInfer"
PROBE_SECONDS = 60


@dataclass
class Endurance:
    """What one run saw."""

    inferences: int = 0
    failures: list[str] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    handles: list[tuple[int, int]] = field(default_factory=list)
    """Threads and descriptors after each cycle."""

    def look_at(self, pid: int) -> None:
        """Remember what the process holds now."""
        process = psutil.Process(pid)
        self.rss_mib.append(round(process.memory_info().rss / 2**20, 1))
        self.handles.append((process.num_threads(), process.num_fds()))


class Clients:
    """One kept connection per protocol."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._http = http.client.HTTPConnection("127.0.0.1", peer.rest_port, timeout=60)
        self.channel = grpc.insecure_channel(peer.address)
        self._ask = self.channel.unary_unary(METHOD)

    def close(self) -> None:
        self._http.close()
        self.channel.close()

    def json(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Numbers as text."""
        item = {"name": "b", "shape": array.shape, "datatype": "FP32", "data": array.ravel().tolist()}
        said, _ = self._post(json.dumps({"inputs": [item]}).encode(), {})
        return np.array(json.loads(said)["outputs"][0]["data"], np.float32).reshape(array.shape)

    def binary(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The binary extension both ways."""
        item = {"name": "b", "shape": array.shape, "datatype": "FP32"}
        item["parameters"] = {"binary_data_size": array.nbytes}
        head = json.dumps({"inputs": [item], "parameters": {"binary_data_output": True}}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        said, length = self._post(head + array.tobytes(), headers)
        return np.frombuffer(said[int(length or 0) :], np.float32).reshape(array.shape)

    def grpc(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Raw contents."""
        answer = proto.ModelInferResponse.FromString(self._ask(message(self._peer.model, array), timeout=60))
        return np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(array.shape)

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[bytes, str | None]:
        self._http.request("POST", f"/v2/models/{self._peer.model}/infer", body, headers)
        answer = self._http.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {said[:200]!r}")
        return said, answer.headers["Inference-Header-Content-Length"]


def message(model: str, array: np.ndarray[Any, Any]) -> bytes:
    """A serialized ModelInferRequest."""
    request = proto.ModelInferRequest(model_name=model, raw_input_contents=[array.tobytes()])
    request.inputs.add(name="b", datatype="FP32", shape=array.shape)
    return bytes(request.SerializeToString())


def endure(peer: Peer, config: Path, cycles: int, inferences: int) -> Endurance:
    """In each cycle the model is reloaded with other settings while it is asked."""
    seen, clients, random = Endurance(), Clients(peer), np.random.default_rng(6)
    with contextlib.closing(clients):
        for cycle in range(cycles):
            configure(config, peer.model, nireq=2 + cycle % 2)
            reload = threading.Thread(target=_reload, args=(peer, seen))
            reload.start()
            for number in range(inferences):
                _ask_once((clients.json, clients.binary, clients.grpc)[number % 3], random, seen)
            reload.join()
            seen.look_at(peer.pid)
    return seen


def _ask_once(ask: Any, random: np.random.Generator, seen: Endurance) -> None:
    array = random.random(tuple(random.integers(1, 33, 2)), np.float32)
    try:
        if not np.allclose(ask(array), array + 1, rtol=1e-2):
            seen.failures.append(f"{ask.__name__}: a wrong answer for {array.shape}")
    except (RuntimeError, OSError, http.client.HTTPException, grpc.RpcError) as error:
        seen.failures.append(f"{ask.__name__}: {error}")
    seen.inferences += 1


def _reload(peer: Peer, seen: Endurance) -> None:
    url = f"http://127.0.0.1:{peer.rest_port}/v1/config/reload"
    try:
        request = urllib.request.Request(url, b"", method="POST")
        urllib.request.urlopen(request, timeout=120).close()  # noqa: S310 - loopback
    except OSError as error:
        seen.failures.append(f"reload: {error}")


def configure(config: Path, model: str, **settings: int) -> None:
    """Write a config.json with one model, whole or not at all."""
    entry = {"name": model, "base_path": str(config.parent / model), **settings}
    unfinished = config.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"model_config_list": [{"config": entry}]}))
    unfinished.replace(config)


def cancel(peer: Peer, calls: int) -> int:
    """Half of the calls are cancelled over gRPC, the other half hang up over REST; how many there were."""
    array = np.ones((64, 1024), np.float32)
    body = message(peer.model, array)
    with grpc.insecure_channel(peer.address) as channel:
        ask = channel.unary_unary(METHOD)
        ask(body, timeout=PROBE_SECONDS)
        for _ in range(calls // 2):
            waiting = ask.future(body)
            _hang_up(peer, array)
            waiting.cancel()
    return calls // 2 * 2


def _hang_up(peer: Peer, array: np.ndarray[Any, Any]) -> None:
    item = {"name": "b", "shape": array.shape, "datatype": "FP32"}
    item["parameters"] = {"binary_data_size": array.nbytes}
    head = json.dumps({"inputs": [item]}).encode()
    lines = [
        f"POST /v2/models/{peer.model}/infer HTTP/1.1", "Host: 127.0.0.1",
        f"Inference-Header-Content-Length: {len(head)}", f"Content-Length: {len(head) + array.nbytes}",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", peer.rest_port)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + head + array.tobytes())


def gauges(peer: Peer) -> dict[str, float]:
    """What the server says is in process, over all models."""
    with urllib.request.urlopen(f"http://127.0.0.1:{peer.rest_port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    found = {
        name: [float(line.split()[-1]) for line in lines if line.startswith(name + "{")] for name in GAUGES
    }
    return {name: sum(values) for name, values in found.items()}


def settled(peer: Peer, seconds: float = PROBE_SECONDS) -> dict[str, float]:
    """The gauges, as soon as they are 0, or as they still are after that many seconds."""
    end = time.monotonic() + seconds
    while any((now := gauges(peer)).values()) and time.monotonic() < end:
        time.sleep(0.1)
    return now


@contextlib.contextmanager
def configured(directory: Path, model: str) -> Iterator[tuple[Peer, Path]]:
    """Our server with a config.json of one model."""
    config = directory / "config.json"
    configure(config, model)
    with ours(directory / model, directory, config=config) as peer:
        yield peer, config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--inferences", type=int, default=1000, help="per cycle")
    parser.add_argument("--cancelled", type=int, default=200)
    options = parser.parse_args()
    facts = machine.facts()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        directory = Path(name)
        models.save(models.dummy((-1, -1)), directory / "dynamic")
        models.save(models.slow(), directory / "slow")
        with configured(directory, "dynamic") as (peer, config):
            seen = endure(peer, config, options.cycles, options.inferences)
        with ours(directory / "slow", directory) as peer:
            cancelled = cancel(peer, options.cancelled)
            left = settled(peer)
    document = {
        "machine": facts, "inferences": seen.inferences, "failed": len(seen.failures),
        "failures": seen.failures[:20], "rss_mib": seen.rss_mib, "handles": seen.handles,
        "cancelled": cancelled, "gauges": left,
    }  # fmt: skip
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-soak.json"
    file.write_text(json.dumps(document) + "\n")
    render.write(document, "soak", file)
    print(render.endurance(document))


if __name__ == "__main__":
    main()
