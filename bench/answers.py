"""Whether a server answers in the encoding it was asked for, and rightly, before its CPU time is taken.

A peer that was asked for raw tensors and answers in JSON does other work than ours.
"""

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from bench.payloads import HEADER, Body
from bench.peers import Peer
from modelserver import proto

METHOD = "/inference.GRPCInferenceService/ModelInfer"
TIMEOUT_SECONDS = 30
Array = NDArray[np.float32]


class WrongAnswerError(Exception):
    """The answer has another encoding or other numbers than were asked for."""


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    content: bytes
    json_length: int | None
    """How much of it is JSON, if raw tensors follow."""


@dataclass(frozen=True)
class Requests:
    """The same request in every encoding."""

    text: Body
    binary: Body
    message: Body


def check(peer: Peer, requests: Requests, expected: Array) -> None:
    """Ask in every encoding; raises WrongAnswerError."""
    check_text(_post(peer.infer_url, requests.text), expected)
    check_binary(_post(peer.infer_url, requests.binary), expected)
    check_message(_call(peer.address, requests.message), expected)


def check_text(reply: Reply, expected: Array) -> None:
    """Numbers as text, and nothing behind the JSON."""
    if reply.json_length is not None:
        raise WrongAnswerError("JSON was asked for, and raw tensors came")
    _same(np.array(_output(reply.content).get("data"), np.float32), expected)


def check_binary(reply: Reply, expected: Array) -> None:
    """A raw tensor of exactly this size behind the JSON, and no number in it."""
    if reply.json_length is None:
        raise WrongAnswerError("raw tensors were asked for, and JSON came")
    head, raw = reply.content[: reply.json_length], reply.content[reply.json_length :]
    output = _output(head)
    announced = (output.get("parameters") or {}).get("binary_data_size")
    if "data" in output or announced != expected.nbytes or len(raw) != expected.nbytes:
        raise WrongAnswerError(f"no raw tensor of {expected.nbytes} bytes: {head!r} and {len(raw)} bytes")
    _same(np.frombuffer(raw, np.float32), expected)


def check_message(answer: bytes, expected: Array) -> None:
    """Raw contents."""
    message = proto.ModelInferResponse.FromString(answer)
    if len(message.raw_output_contents) != 1:
        raise WrongAnswerError("raw contents were sent, and the answer has none")
    _same(np.frombuffer(message.raw_output_contents[0], np.float32), expected)


def _output(text: bytes) -> dict[str, Any]:
    (output,) = json.loads(text)["outputs"]
    found: dict[str, Any] = output
    return found


def _same(found: Array, expected: Array) -> None:
    if found.size != expected.size or not np.allclose(found.ravel(), expected.ravel()):
        raise WrongAnswerError(f"{found.ravel()[:10]} came, {expected.ravel()[:10]} was expected")


def _post(url: str, body: Body) -> Reply:
    request = urllib.request.Request(url, body.file.read_bytes(), body.headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        length = answer.headers.get(HEADER)
        return Reply(answer.read(), None if length is None else int(length))


def _call(address: str, body: Body) -> bytes:
    with grpc.insecure_channel(address) as channel:
        answer: bytes = channel.unary_unary(METHOD)(body.file.read_bytes(), timeout=TIMEOUT_SECONDS)
    return answer
