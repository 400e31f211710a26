"""Finds the status ports of all servers for Prometheus: Debian's package has no discovery for Kubernetes.

argv: the file that Prometheus reads. Runs in Prometheus' pod, with the rights of its service account.
"""

import json
import ssl
import sys
import time
import urllib.request
from pathlib import Path

TARGETS = Path(sys.argv[1])
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONTEXT = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
PODS = "https://kubernetes.default.svc/api/v1/pods?labelSelector=app.kubernetes.io/managed-by=modelserver-operator"


def servers() -> list[dict]:
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
    request = urllib.request.Request(PODS, headers=headers)
    with urllib.request.urlopen(request, timeout=5, context=CONTEXT) as answer:
        pods = json.load(answer)["items"]
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
            "labels": {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"]},
        }
        for pod in pods
        if pod["status"].get("phase") == "Running" and pod["status"].get("podIP")
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or []
        if port.get("name") == "status"
    ]


while True:
    unfinished = TARGETS.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(servers()))
    unfinished.replace(TARGETS)
    time.sleep(2)
