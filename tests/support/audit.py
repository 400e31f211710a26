"""What the API server's own audit log says: every write, by whom, with which token, and when."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from devcluster import Cluster
from devcluster.plain import AUDIT_LOG

_CREDENTIAL = "authentication.kubernetes.io/credential-id"


@dataclass(frozen=True)
class Write:
    """One request that the API server has taken; the times are the API server's."""

    user: str
    token: str
    """Which token of the user: its JTI."""
    verb: str
    resource: str
    """With the subresource, e.g. modelservers/status."""
    namespace: str
    name: str
    received: datetime
    ended: datetime

    @property
    def what(self) -> tuple[str, str]:
        return self.verb, self.resource


class Audit:
    """The audit log of a cluster without a node, from now on."""

    def __init__(self, cluster: Cluster) -> None:
        self._path = cluster.directory / AUDIT_LOG
        self._begin = self._path.stat().st_size

    def writes(self, namespace: str | None = None) -> list[Write]:
        """What the API server accepted, dry runs left out, in the order in which it ended."""
        found = (_write(event) for event in self._events() if _is_taken(event))
        return [write for write in found if namespace in {None, write.namespace}]

    def _events(self) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as log:
            log.seek(self._begin)
            for line in log:
                if line.endswith(b"\n"):  # the last one may just be being written
                    yield json.loads(line)


def token_of(kubeconfig: Path) -> str:
    """The JTI of a kubeconfig's token, as `Write.token` has it."""
    token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"]


def now() -> datetime:
    """On the clock of the API server, which runs on this machine."""
    return datetime.now(UTC)


def _is_taken(event: dict[str, Any]) -> bool:
    is_done = event["stage"] == "ResponseComplete" and event["responseStatus"]["code"] < 300
    return is_done and "dryRun=" not in event["requestURI"] and "objectRef" in event


def _write(event: dict[str, Any]) -> Write:
    about, user = event["objectRef"], event["user"]
    resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
    return Write(
        user=user["username"],
        token=(user.get("extra") or {}).get(_CREDENTIAL, [""])[0].removeprefix("JTI="),
        verb=event["verb"],
        resource=resource,
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        received=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        ended=datetime.fromisoformat(event["stageTimestamp"]),
    )
