"""An API server on loopback that holds one Lease, as the synchronous client asks for it."""

import contextlib
import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kubernetes import client

HOLDER = "holderIdentity"


def moment() -> str:
    """Now, as Kubernetes writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LeaseApi(ThreadingHTTPServer):
    """The Lease is replaced only by a newer state of itself."""

    def __init__(self, holder: str, duration: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        metadata = {"name": "modelserver-operator", "namespace": "n", "uid": "u", "resourceVersion": "1"}
        self.lease: dict[str, Any] = {"metadata": metadata, "spec": {}}
        self.renew(holder, duration)

    def renew(self, holder: str, duration: int) -> None:
        """As the holder does it."""
        now = moment()
        spec = {HOLDER: holder, "leaseDurationSeconds": duration, "acquireTime": now, "renewTime": now}
        self.put({**self.lease, "spec": spec})

    def put(self, lease: dict[str, Any]) -> None:
        """Store it as the next version."""
        version = str(int(self.lease["metadata"]["resourceVersion"]) + 1)
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": version}}

    def holder(self) -> str:
        """Who holds it."""
        return str(self.lease["spec"].get(HOLDER) or "")


class _Handler(BaseHTTPRequestHandler):
    server: LeaseApi

    def do_GET(self) -> None:
        self._answer(200)

    def do_PUT(self) -> None:
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if wanted["metadata"]["resourceVersion"] != self.server.lease["metadata"]["resourceVersion"]:
            self._answer(409)
            return
        self.server.put(wanted)
        self._answer(200)

    def _answer(self, code: int) -> None:
        body = json.dumps(self.server.lease).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@contextlib.contextmanager
def lease_api(holder: str, duration: int) -> Iterator[tuple[LeaseApi, client.ApiClient]]:
    """The server, and a connection to it."""
    with LeaseApi(holder, duration) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{server.server_address[1]}"
        configuration.retries = False
        try:
            yield server, client.ApiClient(configuration)
        finally:
            server.shutdown()
            thread.join()
