"""The pods' ServiceAccount: an identity for image pulls and clouds, without an API token."""

from typing import Any

from modelserver_operator.api import ModelServer


def service_account(server: ModelServer) -> dict[str, Any] | None:
    """None when the object names an existing one."""
    if server.spec.pod.service_account_name:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": server.name, "annotations": dict(server.spec.service_account.annotations)},
        "automountServiceAccountToken": False,
    }
