"""Runs calls through clients of TensorFlow Serving; it is started in those clients' own environment.

Arguments: which client, and the server's address. JSON in: a list of calls. JSON out: their answers.
"""

import base64
import json
import sys

import grpc
import numpy as np
import ovmsclient
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


def to_array(told):
    if told["dtype"] == "bytes":
        return np.array([base64.b64decode(one) for one in told["values"]]).reshape(told["shape"])
    return np.frombuffer(base64.b64decode(told["values"]), told["dtype"]).reshape(told["shape"])


def from_array(array):
    if array.dtype.kind in "SO":
        values = [base64.b64encode(bytes(one)).decode() for one in array.ravel().tolist()]
        return {"dtype": "bytes", "shape": array.shape, "values": values}
    values = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": array.shape, "values": values}


TYPES = {
    "float32": types_pb2.DT_FLOAT,
    "float64": types_pb2.DT_DOUBLE,
    "float16": types_pb2.DT_HALF,
    "int32": types_pb2.DT_INT32,
    "int64": types_pb2.DT_INT64,
    "uint8": types_pb2.DT_UINT8,
}


class Ovmsclient:
    """Both of its clients have the same methods."""

    def __init__(self, client):
        self._client = client

    def predict(self, inputs, **asked):
        outputs = self._client.predict({name: to_array(one) for name, one in inputs.items()}, **asked)
        if not isinstance(outputs, dict):
            outputs = {"": outputs}
        return {name: from_array(one) for name, one in outputs.items()}

    def status(self, **asked):
        return self._client.get_model_status(**asked)

    def metadata(self, **asked):
        return self._client.get_model_metadata(**asked)


class Stubs:
    """tensorflow-serving-api."""

    def __init__(self, address):
        channel = grpc.insecure_channel(address)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(channel)

    def predict(self, inputs, **asked):
        request = self._asking(predict_pb2.PredictRequest(), **asked)
        for name, one in inputs.items():
            array, tensor = to_array(one), request.inputs[name]
            for size in array.shape:
                tensor.tensor_shape.dim.add(size=size)
            if one["dtype"] == "bytes":
                tensor.dtype = types_pb2.DT_STRING
                tensor.string_val.extend(array.ravel().tolist())
            else:
                tensor.dtype = TYPES[one["dtype"]]
                tensor.tensor_content = array.tobytes()
        answer = self._prediction.Predict(request, 20)
        return {name: from_array(self._array(tensor)) for name, tensor in answer.outputs.items()}

    def _array(self, tensor: tensor_pb2.TensorProto):
        shape = [dim.size for dim in tensor.tensor_shape.dim]
        if tensor.dtype == types_pb2.DT_STRING:
            return np.array(list(tensor.string_val), object).reshape(shape)
        names = {number: name for name, number in TYPES.items()}
        return np.frombuffer(tensor.tensor_content, names[tensor.dtype]).reshape(shape)

    def status(self, **asked):
        request = self._asking(get_model_status_pb2.GetModelStatusRequest(), **asked)
        answer = self._model.GetModelStatus(request, 20)
        return {
            one.version: {
                "state": get_model_status_pb2.ModelVersionStatus.State.Name(one.state),
                "error_code": one.status.error_code,
                "error_message": one.status.error_message,
            }
            for one in answer.model_version_status
        }

    def metadata(self, **asked):
        request = self._asking(get_model_metadata_pb2.GetModelMetadataRequest(), **asked)
        request.metadata_field.append("signature_def")
        answer = self._prediction.GetModelMetadata(request, 20)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        if not answer.metadata["signature_def"].Unpack(signatures):
            raise ValueError(answer)
        signature = signatures.signature_def["serving_default"]
        told = {"model_version": answer.model_spec.version.value}
        for kind in ("inputs", "outputs"):
            told[kind] = {
                name: {
                    "shape": [dim.size for dim in info.tensor_shape.dim],
                    "dtype": types_pb2.DataType.Name(info.dtype),
                }
                for name, info in getattr(signature, kind).items()
            }
        return told

    def reload(self):
        answer = self._model.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(), 20)
        return answer.status.error_code

    @staticmethod
    def _asking(request, model_name, model_version=0):
        request.model_spec.name = model_name
        request.model_spec.version.value = model_version
        return request


def made(kind, address):
    if kind == "stubs":
        return Stubs(address)
    make = {"http": ovmsclient.make_http_client, "grpc": ovmsclient.make_grpc_client}[kind]
    return Ovmsclient(make(address))


def answered(client, call):
    try:
        return getattr(client, call.pop("method"))(**call)
    except grpc.RpcError as error:
        return {"error": error.code().name, "message": error.details()}
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer
        return {"error": type(error).__name__, "message": str(error)}


def main():
    client = made(*sys.argv[1:])
    json.dump([answered(client, call) for call in json.load(sys.stdin)], sys.stdout)


main()
