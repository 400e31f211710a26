"""Prometheus on a kind cluster, which scrapes the status ports of all servers."""

import json
import urllib.parse
from pathlib import Path
from typing import Any

from devcluster import Cluster, engine, load
from devcluster.build import prometheus
from devcluster.kubectl import Kubernetes

NAMESPACE = "monitoring"
CONFIGURATION = """
global: {scrape_interval: 2s}
scrape_configs:
- job_name: modelserver
  file_sd_configs: [{files: [/targets/targets.json], refresh_interval: 5s}]
"""
DISCOVERY = Path(__file__).with_name("discovery_inside.py").read_text()
MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: monitoring}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: prometheus, namespace: monitoring}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: prometheus}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: prometheus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: prometheus}
subjects:
- {kind: ServiceAccount, name: prometheus, namespace: monitoring}
---
apiVersion: v1
kind: Service
metadata: {name: prometheus, namespace: monitoring}
spec:
  selector: {app: prometheus}
  ports:
  - {port: 9090}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: prometheus, namespace: monitoring}
spec:
  selector:
    matchLabels: {app: prometheus}
  template:
    metadata:
      labels: {app: prometheus}
    spec:
      serviceAccountName: prometheus
      containers:
      - name: prometheus
        image: IMAGE
        args: [--config.file=/etc/scraped/prometheus.yml, --storage.tsdb.path=/data]
        resources: {requests: {cpu: 10m, memory: 64Mi}}
        readinessProbe:
          httpGet: {path: /-/ready, port: 9090}
        volumeMounts:
        - {name: configuration, mountPath: /etc/scraped}
        - {name: data, mountPath: /data}
        - {name: targets, mountPath: /targets}
      - name: discovery
        image: IMAGE
        command: [python3, -u, /etc/scraped/discovery.py, /targets/targets.json]
        resources: {requests: {cpu: 10m, memory: 32Mi}}
        volumeMounts:
        - {name: configuration, mountPath: /etc/scraped}
        - {name: targets, mountPath: /targets}
      volumes:
      - name: configuration
        configMap: {name: prometheus}
      - name: data
        emptyDir: {}
      - name: targets
        emptyDir: {}
"""


def install(cluster: Cluster) -> None:
    """Install it and wait until it is ready."""
    image = prometheus.image(engine.ensure())
    load(cluster.name, image)
    configuration = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "prometheus", "namespace": NAMESPACE},
        "data": {"prometheus.yml": CONFIGURATION, "discovery.py": DISCOVERY},
    }
    kubernetes = cluster.kubernetes(NAMESPACE)
    kubernetes.apply(f"{MANIFEST.replace('IMAGE', image)}---\n{json.dumps(configuration)}")
    kubernetes.kubectl("rollout", "status", "deployment/prometheus", "--timeout=120s", timeout=150)


def query(kubernetes: Kubernetes, expression: str) -> list[dict[str, Any]]:
    """The vector that an expression is now."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services/prometheus:9090/proxy/api/v1/query"
    question = urllib.parse.urlencode({"query": expression})
    answer = json.loads(kubernetes.kubectl("get", "--raw", f"{path}?{question}"))
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found
