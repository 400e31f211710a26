"""What is in a namespace: asked as the administrator, over a connection that costs little."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from devcluster.admin import AdminApi
from devcluster.kubectl import current_condition

OURS = "app.kubernetes.io/managed-by=modelserver-operator"
OBJECTS = "/apis/modelserver.dev/v1alpha1/namespaces/{}/modelservers"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
KINDS = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ControllerRevision": "/apis/apps/v1/namespaces/{}/controllerrevisions",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
}
_PATCH = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
HASH = "modelserver.dev/desired-hash"


class Api(AdminApi):
    """Objects as JSON; a refusal fails the test."""

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return self._done("GET", f"{path}?{urlencode(query)}" if query else path)

    def items(self, path: str, selector: str = "") -> list[dict[str, Any]]:
        return self.get(path, labelSelector=selector)["items"]

    def create(self, path: str, body: dict) -> dict[str, Any]:
        return self._done("POST", path, body)

    def patch(self, path: str, body: dict | list) -> dict[str, Any]:
        return self._done("PATCH", path, body, _JSON_PATCH if isinstance(body, list) else _PATCH)

    def delete(self, path: str) -> dict[str, Any]:
        return self._done("DELETE", path, {"propagationPolicy": "Background"})

    def _done(
        self, method: str, path: str, body: dict | list | None = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        status, text = self.ask(method, path, body, {"Content-Type": content_type})
        document = json.loads(text)
        assert status < 300, f"{method} {path}: {document.get('message')}"
        return document


@dataclass(frozen=True)
class World:
    """One namespace with the object `server` in it."""

    api: Api
    namespace: str

    def path(self, template: str, name: str = "") -> str:
        return template.format(self.namespace) + (f"/{name}" if name else "")

    def object(self) -> dict[str, Any] | None:
        found = self.api.items(self.path(OBJECTS))
        return found[0] if found else None

    def condition(self, kind: str) -> dict[str, Any]:
        """A condition that speaks of the object as it is now; else an empty one."""
        found = self.object()
        return current_condition(found, kind) if found else {}

    def child(self, kind: str, name: str) -> dict[str, Any]:
        return self.api.get(self.path(KINDS[kind], name))

    def leave_lease(self, identity: str, seconds: int) -> None:
        """The Lease as an earlier container of the same pod has just left it."""
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": identity, "leaseDurationSeconds": seconds, "acquireTime": now, "renewTime": now,
        }  # fmt: skip
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "modelserver-operator"},
            "spec": spec,
        }
        self.api.create(self.path(LEASES), body)

    def is_carried_out(self) -> bool:
        """Whether the children are there, Kubernetes has followed them, and the status speaks of that."""
        found = self.object()
        children = {kind: self.api.items(self.path(path), OURS) for kind, path in KINDS.items()}
        if found is None:
            return not any(children.values())
        counts = {kind: len(children[kind]) for kind in ("ConfigMap", "Service", "Deployment")}
        if counts != {"ConfigMap": 1, "Service": 2, "Deployment": 1}:
            return False
        wanted = found["spec"].get("replicas", 1)
        scaling = (len(children["PodDisruptionBudget"]), len(children["HorizontalPodAutoscaler"]))
        if scaling != (wanted > 1, "autoscaling" in found["spec"]) or not self._has_scaled(children):
            return False
        (deployment,) = children["Deployment"]
        status, said = deployment.get("status") or {}, found.get("status") or {}
        made = sum(item["spec"]["replicas"] for item in children["ReplicaSet"])
        return (
            self.condition("Applied").get("status") == "True"
            and deployment["spec"]["replicas"] == wanted
            and status.get("observedGeneration") == deployment["metadata"]["generation"]
            and status.get("updatedReplicas") == said.get("updatedReplicas") == wanted
            and made == status.get("replicas") == said.get("replicas")
        )

    def _has_scaled(self, children: dict[str, list[dict[str, Any]]]) -> bool:
        """Whether Kubernetes has looked at each autoscaler, which takes it 15 s, and the status says so."""
        said = self.condition("Autoscaled").get("message", "")
        scalers = children["HorizontalPodAutoscaler"]
        looked = all((item.get("status") or {}).get("conditions") for item in scalers)
        # No pod ever is, here.
        return not scalers or (looked and "no pod is ready" in said)

    def state(self) -> dict[str, Any]:
        """All that is said about the object, and all that was made of it, in words of no time and place."""
        found = self.object()
        uids = {found["metadata"]["uid"]: "the object"} if found else {}
        state: dict[str, Any] = {}
        if found is not None:
            state["object"] = {
                "generation": found["metadata"]["generation"],
                "spec": found["spec"],
                "status": _timeless(found.get("status") or {}),
            }
        for kind, path in KINDS.items():
            for item in self.api.items(self.path(path), "" if kind == "ControllerRevision" else OURS):
                number = f" {item['revision']}" if kind == "ControllerRevision" else ""
                name = number or item["metadata"]["name"]
                state[f"{kind} {name.strip()}"] = _child(kind, item, uids)
        return json.loads(json.dumps(state).replace(self.namespace, "NAMESPACE"))


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key != "lastTransitionTime"}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _child(kind: str, item: dict[str, Any], uids: dict[str, str]) -> dict[str, Any]:
    metadata = item["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != HASH}
    spec = dict(item.get("spec") or {})
    for given in ("clusterIP", "clusterIPs"):
        if spec.get(given) not in (None, "None", ["None"]):
            spec[given] = "given"
    owners = [
        (owner["kind"], owner["name"], uids.get(owner["uid"], "another"))
        for owner in metadata.get("ownerReferences") or []
    ]
    if kind == "ReplicaSet":
        return {"replicas": spec["replicas"]}
    return {
        "labels": metadata.get("labels") or {},
        "annotations": annotations,
        "owners": owners,
        "spec": spec,
        "data": item.get("data"),
    }
