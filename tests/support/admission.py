"""The API server's admission, asked directly: kubectl would take a second for each object."""

import json
from typing import Any

from devcluster.admin import AdminApi

DRY_RUN = "dryRun=All&fieldValidation=Strict"


class Admission:
    """As the administrator of a kubeconfig with a client certificate."""

    def __init__(self, kubeconfig: str) -> None:
        self._api = AdminApi(kubeconfig)

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
        status, document = self._api.ask(method, path, body, headers)
        return status, json.loads(document)

    def close(self) -> None:
        self._api.close()
