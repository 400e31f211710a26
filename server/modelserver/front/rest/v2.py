"""KServe v2 inference over REST."""

import re
from collections.abc import Mapping, Sequence

from modelserver.codec import v2_json
from modelserver.front.rest.infer import Answer, Route
from modelserver.telemetry.labels import API, Method
from modelserver.tensors import Request, Response, Spec


class V2Exchange:
    """JSON, and behind it the binary extension's raw tensors."""

    def __init__(self, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        self._body = body
        self._header = headers.get(v2_json.HEADER.encode())
        self._decoded: v2_json.Decoded

    @property
    def text_bytes(self) -> int:
        """The JSON in front of the raw tensors."""
        if self._header is None:
            return len(self._body)
        return (
            min(int(self._header), len(self._body))
            if self._header.isdigit() and len(self._header) < 19
            else 0
        )

    def decode(self, _inputs: Sequence[Spec]) -> Request:
        """The protocol names datatypes and shapes itself."""
        header = None if self._header is None else self._header.decode("latin-1")
        self._decoded = v2_json.decode(self._body, header)
        return self._decoded.request

    def encode(self, response: Response) -> Answer:
        """JSON alone, or with raw tensors behind it."""
        body, json_length = v2_json.encode(response, self._decoded)
        if json_length is None:
            return Answer(body)
        return Answer(body, ((v2_json.HEADER, str(json_length)),), "application/octet-stream")


ROUTE = Route(
    re.compile(rb"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?/infer/?"),
    API.KSERVE,
    Method.MODEL_INFER,
    V2Exchange,
)
