"""The API server asked directly, as the administrator of a local cluster: a request costs little.

For many requests of every kind; objects that are only read come from `Kubernetes`.
"""

import base64
import http.client
import json
import ssl
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import yaml

_SECONDS = 60


class AdminApi:
    """With the client certificate of the cluster's kubeconfig; each thread has a connection of its own."""

    def __init__(self, kubeconfig: str | Path) -> None:
        content = yaml.safe_load(Path(kubeconfig).read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self.url: str = cluster["server"]
        self.authority = _decoded(cluster["certificate-authority-data"])
        """The certificate of the API server's authority, as PEM."""
        self._context = ssl.create_default_context(cadata=self.authority)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
            pair.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
            pair.flush()
            self._context.load_cert_chain(pair.name)
        self._threads = threading.local()

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """The status of the answer, and its body; a body is sent as JSON."""
        text = None if body is None else json.dumps(body)
        try:
            return self._ask(method, path, text, headers or {})
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
            self.close()  # the API server ends a connection after 90 idle seconds
            return self._ask(method, path, text, headers or {})

    def connect(self) -> http.client.HTTPSConnection:
        """A connection more, for a watch."""
        return http.client.HTTPSConnection(urlsplit(self.url).netloc, context=self._context, timeout=_SECONDS)

    def close(self) -> None:
        """Close this thread's connection; its next request opens another."""
        if (connection := getattr(self._threads, "connection", None)) is not None:
            connection.close()
            del self._threads.connection

    def _ask(self, method: str, path: str, text: str | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if not hasattr(self._threads, "connection"):
            self._threads.connection = self.connect()
        self._threads.connection.request(method, path, text, dict(headers))
        answer = self._threads.connection.getresponse()
        return answer.status, answer.read()


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()
