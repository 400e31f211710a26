"""The two Services: one with a cluster IP, and a headless one for clients that balance load themselves."""

from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer


def service(server: ModelServer) -> dict[str, Any]:
    """The Service that clients use."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": server.name, "annotations": dict(server.spec.service.annotations)},
        "spec": {
            "type": server.spec.service.type,
            "selector": naming.selector(server.name),
            "ports": _client_ports(server),
        },
    }


def headless_service(server: ModelServer) -> dict[str, Any]:
    """kube-proxy balances connections, and gRPC keeps one: round_robin needs every pod in `dns:///NAME`.

    Only this one has the status port, which no key or certificate protects: a Service of type LoadBalancer
    would publish it.
    """
    ports = [*_client_ports(server), _port("status", server.spec.ports.status, "http")]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": naming.headless(server.name)},
        "spec": {"clusterIP": "None", "selector": naming.selector(server.name), "ports": ports},
    }


def _client_ports(server: ModelServer) -> list[dict[str, Any]]:
    ports = server.spec.ports
    return [_port("grpc", ports.grpc, "kubernetes.io/h2c"), _port("rest", ports.rest, "http")]


def _port(name: str, number: int, protocol: str) -> dict[str, Any]:
    return {"name": name, "port": number, "targetPort": name, "protocol": "TCP", "appProtocol": protocol}
