"""KServe's Python SDK around an OpenVINO model: the peer that is measured. Runs in its environment.

argv: HTTP port, gRPC port, model file, name. One infer request, called where the SDK calls `predict`, on its
loop: for a model this small nothing costs less.
"""

import logging
import sys
from typing import Any

import openvino as ov
from kserve import Model, ModelServer
from kserve.protocol.infer_type import InferOutput, InferRequest, InferResponse


class OpenVinoModel(Model):  # type: ignore[misc]
    """The smallest model server that the SDK allows."""

    def __init__(self, name: str, file: str) -> None:
        super().__init__(name)
        compiled = ov.Core().compile_model(file, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
        self._request = compiled.create_infer_request()
        self._output = compiled.output(0).any_name
        self.ready = True

    def predict(self, payload: InferRequest, _headers: Any = None, _response_headers: Any = None) -> Any:
        array = payload.inputs[0].as_numpy()
        result = self._request.infer({0: array}, share_inputs=True)[0]
        # An array is encoded once, when the SDK writes the answer; data set here would be turned twice.
        output = InferOutput(self._output, list(result.shape), "FP32", data=result)
        # Over gRPC the SDK sends arrays raw by itself, and fails if it is asked to.
        wants_binary = payload.use_binary_outputs and not payload.from_grpc
        return InferResponse(payload.id or "", self.name, [output], use_binary_outputs=wants_binary)


def main() -> None:
    http_port, grpc_port, file, name = sys.argv[1:]
    logging.getLogger("uvicorn.access").addFilter(lambda _: False)  # ours writes no access log either
    server = ModelServer(
        http_port=int(http_port), grpc_port=int(grpc_port), workers=1, enable_latency_logging=False,
        access_log_format=None,
    )  # fmt: skip
    server.start([OpenVinoModel(name, file)])


main()
