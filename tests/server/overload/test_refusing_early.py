"""A full queue refuses before anything is made ready for a request that could not even wait."""

import socket
import threading

import grpc
import numpy as np
import pytest

from modelserver import proto
from tests.support import models
from tests.support.server_process import ServerProcess
from tests.support.waiting import until


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A server whose only infer request is at work, with no queue."""
    base = tmp_path_factory.mktemp("busy") / "slow"
    models.save(models.slow(1024, 400), base / "1")
    arguments = ("--model_name", "slow", "--model_path", str(base), "--metrics_enable")
    with ServerProcess(*arguments, "--nireq", "1", "--streams", "1", "--queue_size", "0") as server:
        server.wait_ready()
        yield server


def active(server) -> float:
    page = server.get("/metrics")[1].decode()
    name = "ovms_infer_req_active{"
    return next(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name))


def occupied(server):
    """Starts one long inference and gives the thread that waits for it."""
    request = proto.ModelInferRequest(model_name="slow")
    request.inputs.add(name="x", datatype="FP32", shape=[64, 1024])
    request.raw_input_contents.append(np.zeros((64, 1024), np.float32).tobytes())

    def ask() -> None:
        with grpc.insecure_channel(server.grpc) as channel:
            rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
            rpc(request.SerializeToString(), timeout=120)

    asking = threading.Thread(target=ask)
    asking.start()
    until("an inference at work", lambda: active(server) == 1, timeout=60)
    return asking


@pytest.mark.parametrize("length", ["1000000", "100\r\nContent-Encoding: gzip"])
def test_a_long_body_is_not_even_read_when_the_queue_is_full(busy, length):
    head = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()

    def refused_unsent() -> bool:
        asking = occupied(busy)
        with socket.create_connection(("127.0.0.1", busy.rest_port), timeout=10) as wire:
            wire.sendall(head)
            try:
                answer = wire.recv(65536)
            except TimeoutError:
                answer = b""
        asking.join(120)
        return answer.startswith(b"HTTP/1.1 429")

    assert any(refused_unsent() for _ in range(5))


def test_a_body_is_not_decoded_when_the_queue_is_full(busy):
    """Nonsense is a 400 when there is time to look at it, and a 429 when there is none."""
    assert busy.post("/v2/models/slow/infer", b"nonsense")[0] == 400

    def refused_unread() -> bool:
        asking = occupied(busy)
        status, _, headers = busy.post("/v2/models/slow/infer", b"nonsense")
        asking.join(120)
        return (status, headers["retry-after"]) == (429, "1")

    # The long inference may end before the nonsense arrives on a machine that is very slow.
    assert any(refused_unread() for _ in range(5))
