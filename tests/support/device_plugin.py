"""A device plugin for tests: `device_plugin.py --resource example.dev/npu --count 2 --failing-file FILE`.

With `--device-file dri/renderD128 --group 109` it makes such a file on the node, one that reads as empty and
takes what is written, and hands it out; it removes the file when it ends.

It needs grpcio and protobuf, as in the server's image, and nothing of this project; support/devices.py runs
it in a pod. It speaks v1beta1 of the kubelet's API over the kubelet's real sockets. While the failing file
exists, Allocate fails with its text; the kubelet rejects the pod with UnexpectedAdmissionError then.
"""

import argparse
import contextlib
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

SOCKETS = Path("/var/lib/kubelet/device-plugins")
KUBELET = "kubelet.sock"
VERSION, PACKAGE = "v1beta1", "v1beta1"
_MESSAGES: dict[str, list[tuple[int, str, str, bool]]] = {
    "Empty": [],
    "DevicePluginOptions": [],
    "RegisterRequest": [
        (1, "version", "", False), (2, "endpoint", "", False), (3, "resource_name", "", False),
    ],
    "Device": [(1, "ID", "", False), (2, "health", "", False)],
    "ListAndWatchResponse": [(1, "devices", "Device", True)],
    "ContainerAllocateRequest": [(1, "devices_ids", "", True)],
    "AllocateRequest": [(1, "container_requests", "ContainerAllocateRequest", True)],
    # As on the wire: an entry of a map is a message of a key and a value.
    "Entry": [(1, "key", "", False), (2, "value", "", False)],
    "DeviceSpec": [
        (1, "container_path", "", False), (2, "host_path", "", False), (3, "permissions", "", False),
    ],
    "ContainerAllocateResponse": [(1, "envs", "Entry", True), (3, "devices", "DeviceSpec", True)],
    "AllocateResponse": [(1, "container_responses", "ContainerAllocateResponse", True)],
}  # fmt: skip
"""Of api.proto in k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1 what is used here: number, name and message of
each field (no message: a string), and whether it is repeated."""


def _pool() -> DescriptorPool:
    file = FileDescriptorProto(name="deviceplugin.proto", package=PACKAGE, syntax="proto3")
    for message, fields in _MESSAGES.items():
        entry: DescriptorProto = file.message_type.add(name=message)
        for number, name, kind, is_repeated in fields:
            field: FieldDescriptorProto = entry.field.add(name=name, number=number)
            field.label = field.LABEL_REPEATED if is_repeated else field.LABEL_OPTIONAL
            field.type = field.TYPE_MESSAGE if kind else field.TYPE_STRING
            if kind:
                field.type_name = f".{PACKAGE}.{kind}"
    pool = DescriptorPool()
    pool.Add(file)
    return pool


_POOL = _pool()
Type: dict[str, Any] = {
    name: GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _MESSAGES
}
"""The classes of the messages."""


class Plugin:
    """The service DevicePlugin for one resource."""

    def __init__(self, resource: str, count: int, failing: Path, file: str = "") -> None:
        self.resource = resource
        self._file = file
        self.ended = threading.Event()
        self._devices = [Type["Device"](ID=f"device-{number}", health="Healthy") for number in range(count)]
        self._failing = failing

    def options(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        return Type["DevicePluginOptions"]()

    def list_and_watch(self, _request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """All devices; the stream stays open, since the kubelet takes its end for that of the plugin."""
        yield Type["ListAndWatchResponse"](devices=self._devices)
        while context.is_active() and not self.ended.wait(1):
            pass

    def allocate(self, request: Any, context: grpc.ServicerContext) -> Any:
        with contextlib.suppress(FileNotFoundError):
            context.abort(grpc.StatusCode.UNAVAILABLE, self._failing.read_text().strip() or "it is broken")
        answer = Type["AllocateResponse"]()
        for wanted in request.container_requests:
            names = Type["Entry"](key="DEVICES", value=",".join(wanted.devices_ids))
            path = f"/dev/{self._file}"
            spec = Type["DeviceSpec"](container_path=path, host_path=path, permissions="rw")
            answer.container_responses.add(envs=[names], devices=[spec] if self._file else [])
        return answer

    def handler(self) -> grpc.GenericRpcHandler:
        def unary(function: Callable[..., Any], request: str) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(function, Type[request].FromString, _bytes)

        methods = {
            "GetDevicePluginOptions": unary(self.options, "Empty"),
            "Allocate": unary(self.allocate, "AllocateRequest"),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                self.list_and_watch, Type["Empty"].FromString, _bytes
            ),
        }
        return grpc.method_handlers_generic_handler(f"{PACKAGE}.DevicePlugin", methods)


def _bytes(message: Any) -> bytes:
    content: bytes = message.SerializeToString()
    return content


def register(sockets: Path, endpoint: str, resource: str) -> None:
    """Tell the kubelet where this plugin listens; raises grpc.RpcError."""
    # The kubelet takes no socket's path for the name of a host.
    with grpc.insecure_channel(
        f"unix://{sockets / KUBELET}", [("grpc.default_authority", "localhost")]
    ) as channel:
        call = channel.unary_unary(f"/{PACKAGE}.Registration/Register", _bytes, Type["Empty"].FromString)
        request = Type["RegisterRequest"](version=VERSION, endpoint=endpoint, resource_name=resource)
        call(request, timeout=10, wait_for_ready=True)


def serve(plugin: Plugin, sockets: Path) -> None:
    """Until it is ended. A kubelet that starts removes all sockets: then everything begins again."""
    endpoint = f"{plugin.resource.replace('/', '_')}.sock"
    while not plugin.ended.is_set():
        (sockets / endpoint).unlink(missing_ok=True)
        server = grpc.server(ThreadPoolExecutor(8))
        server.add_generic_rpc_handlers((plugin.handler(),))
        server.add_insecure_port(f"unix://{sockets / endpoint}")
        server.start()
        register(sockets, endpoint, plugin.resource)
        while (sockets / endpoint).exists() and not plugin.ended.wait(1):
            pass
        server.stop(1).wait()
    (sockets / endpoint).unlink(missing_ok=True)


@contextlib.contextmanager
def device_file(directory: Path, name: str, group: int) -> Iterator[None]:
    """A character device like /dev/null, for its group alone; nothing without a name."""
    if not name:
        yield
        return
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mknod(path, stat.S_IFCHR | 0o660, os.makedev(1, 3))
    path.chmod(0o660)  # whatever the umask
    os.chown(path, 0, group)
    try:
        yield
    finally:
        path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resource", required=True, help="e.g. example.dev/npu")
    parser.add_argument("--count", type=int, default=1, help="how many devices there are")
    parser.add_argument("--failing-file", type=Path, default=Path("/state/failing"))
    parser.add_argument("--sockets", type=Path, default=SOCKETS)
    parser.add_argument("--devices", type=Path, default=Path("/node-dev"), help="the node's /dev")
    parser.add_argument("--device-file", default="", help="e.g. dri/renderD128, which is made and handed out")
    parser.add_argument("--group", type=int, default=0, help="the group of that file")
    given = parser.parse_args()
    plugin = Plugin(given.resource, given.count, given.failing_file, given.device_file)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: plugin.ended.set())
    with device_file(given.devices, given.device_file, given.group):
        serve(plugin, given.sockets)


if __name__ == "__main__":
    main()
