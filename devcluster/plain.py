"""A control plane without a node: etcd, kube-apiserver and chosen extras, as plain processes.

Ready in a few seconds, and needs neither root nor an engine. Pods are accepted but never run, unless
kwok simulates their nodes. RBAC is on; kubeadm makes the credentials, so they are those of a real cluster.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devcluster import karpenter
from devcluster.build import programs, upstream
from devcluster.errors import NotReady
from devcluster.host import ports
from devcluster.host.process import Runner, last_lines, owned_by
from devcluster.host.waiting import wait_until
from devcluster.state import Cluster

EXTRAS = ("controller-manager", "scheduler", "kwok", "karpenter")
SERVICE_SUBNET = "10.96.0.0/16"
# Of simulated pods: reserved for benchmarks, so that nobody else ever answers for them.
_POD_SUBNET = "198.18.0.1/15"
# kubeadm refuses a loopback address here. This one is reserved for documentation, and never used:
# every program below is given the loopback address.
ADVERTISED = "192.0.2.1"
AUDIT_LOG = "audit.log"
# Every write that has ended: by whom, of what, when. Reads are most of the requests and change nothing.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "None"},
    ],
}


@dataclass(frozen=True)
class ControlPlane:
    """A cluster with the ports on which its programs listen."""

    cluster: Cluster
    port: int
    etcd_client: int
    etcd_peer: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificates(self) -> Path:
        return self.cluster.directory / "pki"

    def runner(self) -> Runner:
        return Runner(self.cluster.owner)

    def start(self, program: str, *flags: str) -> None:
        log = self.cluster.directory / f"{program}.log"
        self.runner().start([self.cluster.binaries / program, *flags], log)


def start(cluster: Cluster) -> None:
    plane = ControlPlane(cluster, *ports.free(3))
    _issue_credentials(plane)
    _start_etcd(plane)
    _start_api_server(plane)
    _wait(plane, "kube-apiserver", cluster.is_answering)
    extras = cluster.options.extras
    if "controller-manager" in extras:
        _start_controller_manager(plane)
    if "scheduler" in extras:
        plane.start(
            "kube-scheduler", *_as_client(plane, "scheduler"), "--leader-elect=false", "--secure-port=0"
        )
    if "kwok" in extras:
        _start_kwok(plane)
    if "karpenter" in extras:
        karpenter.start(cluster)
    if "controller-manager" in extras:
        # Until this account exists, the API server refuses pods in the namespace.
        account = ("get", "serviceaccount", "default")
        _wait(plane, "kube-controller-manager", lambda: cluster.kubernetes().succeeds(*account))


def _issue_credentials(plane: ControlPlane) -> None:
    directory = plane.cluster.directory
    configuration = directory / "kubeadm.json"
    configuration.write_text("\n---\n".join(json.dumps(document) for document in _kubeadm_documents(plane)))
    kubeadm = plane.cluster.binaries / "kubeadm"
    runner = plane.runner()
    runner.run([kubeadm, "init", "phase", "certs", "all", "--config", configuration])
    phase: list[str | Path] = [kubeadm, "init", "phase", "kubeconfig", "all", "--config", configuration]
    runner.run([*phase, "--kubeconfig-dir", directory])
    # The only one whose rights do not depend on an object in the cluster.
    (directory / "super-admin.conf").rename(plane.cluster.kubeconfig)


def _kubeadm_documents(plane: ControlPlane) -> list[dict[str, object]]:
    version = "kubeadm.k8s.io/v1beta4"
    return [
        {
            "apiVersion": version,
            "kind": "ClusterConfiguration",
            "clusterName": plane.cluster.name,
            "kubernetesVersion": programs.kubernetes_version(plane.cluster.options.kubernetes),
            "certificatesDir": str(plane.certificates),
            "controlPlaneEndpoint": f"127.0.0.1:{plane.port}",
            "encryptionAlgorithm": "ECDSA-P256",
            "networking": {"serviceSubnet": SERVICE_SUBNET},
            "apiServer": {"certSANs": ["127.0.0.1", "localhost"]},
        },
        {
            "apiVersion": version,
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": ADVERTISED, "bindPort": plane.port},
            "nodeRegistration": {"name": plane.cluster.name, "criSocket": "unix:///nonexistent"},
        },
    ]


def _start_etcd(plane: ControlPlane) -> None:
    pki = plane.certificates / "etcd"
    client, peer = f"https://127.0.0.1:{plane.etcd_client}", f"http://127.0.0.1:{plane.etcd_peer}"
    plane.start(
        "etcd",
        f"--name={plane.cluster.name}",
        f"--data-dir={plane.cluster.directory / 'etcd'}",
        "--unsafe-no-fsync",  # the data is deleted with the cluster
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={plane.cluster.name}={peer}",
        "--client-cert-auth",
        f"--trusted-ca-file={pki / 'ca.crt'}",
        f"--cert-file={pki / 'server.crt'}",
        f"--key-file={pki / 'server.key'}",
    )


def _start_api_server(plane: ControlPlane) -> None:
    pki = plane.certificates
    policy = plane.cluster.directory / "audit-policy.json"
    policy.write_text(json.dumps(_AUDIT_POLICY))
    plane.start(
        "kube-apiserver",
        "--bind-address=127.0.0.1",
        f"--secure-port={plane.port}",
        f"--advertise-address={ADVERTISED}",
        "--endpoint-reconciler-type=none",
        f"--etcd-servers=https://127.0.0.1:{plane.etcd_client}",
        f"--etcd-cafile={pki / 'etcd' / 'ca.crt'}",
        f"--etcd-certfile={pki / 'apiserver-etcd-client.crt'}",
        f"--etcd-keyfile={pki / 'apiserver-etcd-client.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--service-cluster-ip-range={SERVICE_SUBNET}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        *_aggregation(pki),
        f"--audit-policy-file={policy}",
        f"--audit-log-path={plane.cluster.directory / AUDIT_LOG}",
    )


def _aggregation(pki: Path) -> list[str]:
    """Flags with which the API server forwards requests to extension API servers."""
    return [
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
        "--enable-aggregator-routing",
    ]


def _start_controller_manager(plane: ControlPlane) -> None:
    pki = plane.certificates
    plane.start(
        "kube-controller-manager",
        *_as_client(plane, "controller-manager"),
        "--leader-elect=false",
        "--secure-port=0",
        "--use-service-account-credentials",
        # The default of 20 requests per second costs seconds at the start, and minutes with many objects.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        # Tests of autoscalers would wait for 15 s again and again.
        "--horizontal-pod-autoscaler-sync-period=2s",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
    )


def _start_kwok(plane: ControlPlane) -> None:
    stages = upstream.kwok_stages(plane.cluster.binaries)
    plane.start(
        "kwok",
        f"--kubeconfig={plane.cluster.kubeconfig}",
        f"--config={stages}",
        "--manage-all-nodes",
        "--node-lease-duration-seconds=40",
        f"--cidr={_POD_SUBNET}",
    )
    for number in range(plane.cluster.options.nodes):
        plane.cluster.kubectl("create", "-f", "-", stdin=json.dumps(simulated_node(f"kwok-{number}")))


def simulated_node(name: str) -> dict[str, object]:
    """A node that exists only in the API; kwok reports its pods as running immediately."""
    amounts = {"cpu": "64", "memory": "256Gi", "pods": "1000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"},
        },
        "status": {"allocatable": amounts, "capacity": amounts, "phase": "Running"},
    }


def _as_client(plane: ControlPlane, component: str) -> list[str]:
    file = plane.cluster.directory / f"{component}.conf"
    return [
        f"--kubeconfig={file}",
        f"--authentication-kubeconfig={file}",
        f"--authorization-kubeconfig={file}",
        f"--master={plane.url}",
    ]


def _wait(plane: ControlPlane, program: str, condition: Callable[[], bool], seconds: float = 60) -> None:
    def is_running() -> bool:
        # The kernel keeps 15 characters of a name; a program is called setsid until setsid has executed it.
        names = {process.program for process in owned_by(plane.cluster.owner)}
        return bool(names & {program[:15], "setsid"})

    wait_until(lambda: condition() or not is_running(), seconds)
    if condition():
        return
    what = f"was not ready within {seconds:.0f} s" if is_running() else "exited unexpectedly"
    log = plane.cluster.directory / f"{program}.log"
    raise NotReady(f"{program} {what}. Last log lines:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return last_lines(log.read_text(errors="replace"), 10) if log.exists() else "(no log)"
