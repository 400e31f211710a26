"""The API server's admission, asked directly: kubectl would take a second for each object."""

import base64
import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

DRY_RUN = "dryRun=All&fieldValidation=Strict"


class Admission:
    """As the administrator of a kubeconfig with a client certificate.

    The connection is kept from question to question; the API server ends it after 90 idle seconds.
    """

    def __init__(self, kubeconfig: str, directory: Path) -> None:
        content = yaml.safe_load(Path(kubeconfig).read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        context = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
        pair = directory / "client.pem"
        pair.write_text(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
        context.load_cert_chain(pair)
        address = urlsplit(cluster["server"])
        self._connection = http.client.HTTPSConnection(address.netloc, context=context, timeout=30)

    def create(self, body: dict[str, Any], namespace: str = "default") -> tuple[dict[str, Any] | None, str]:
        """The object as it would be stored, or None and the message of the refusal."""
        path = f"/apis/modelserver.dev/v1alpha1/namespaces/{namespace}/modelservers?{DRY_RUN}"
        status, document = self._ask("POST", path, body, {"Content-Type": "application/json"})
        assert status in {201, 400, 422}, document
        return (document, "") if status == 201 else (None, document["message"])

    def patch(self, path: str, body: dict[str, Any], user: str) -> str:
        """A dry run as this user, without the reading that kubectl does first: the refusal."""
        headers = {"Content-Type": "application/strategic-merge-patch+json", "Impersonate-User": user}
        status, document = self._ask("PATCH", f"{path}?dryRun=All", body, headers)
        return "" if status == 200 else str(document["message"])

    def delete(self, path: str, user: str) -> str:
        """A dry run of a deletion as this user: the refusal."""
        status, document = self._ask("DELETE", f"{path}?dryRun=All", {}, {"Impersonate-User": user})
        return "" if status == 200 else str(document["message"])

    def _ask(
        self, method: str, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        try:
            return self._exchange(method, path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
            self._connection.close()  # the next request opens a new one; a dry run may be repeated
            return self._exchange(method, path, body, headers)

    def _exchange(
        self, method: str, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        self._connection.request(method, path, json.dumps(body), headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self) -> None:
        self._connection.close()


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()
