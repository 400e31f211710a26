"""The configuration of kind, kubeadm and the kubelets, as data; it depends on nothing but the arguments."""

import json
from collections.abc import Mapping
from pathlib import Path

from devcluster.state import Options

Document = dict[str, object]

NODE_PORTS = range(30080, 30090)
# Under the static policy the shared pool gets this amount rounded up to whole CPUs, while the sum of
# the requests on the node is reduced only by the amount itself. So on two CPUs one pod can own a CPU
# and the control plane still fits.
_RESERVED = {"cpu": "500m", "memory": "256Mi"}
_RESERVED_OF_WORKER = {"cpu": "300m", "memory": "256Mi"}
_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")


def configuration(
    name: str, options: Options, directory: Path, node_ports: Mapping[int, int], processors: int
) -> Document:
    """The configuration of kind; `directory` holds the `files`, node_ports maps NodePorts to loopback."""
    mappings = [
        {"containerPort": port, "hostPort": host, "listenAddress": "127.0.0.1"}
        for port, host in node_ports.items()
    ]
    control_plane: Document = {
        "role": "control-plane",
        "extraMounts": [_mount(directory / "patches", "/kind/patches")],
        "extraPortMappings": mappings,
    }
    online = [_mount(directory / "cpus-online", "/sys/devices/system/cpu/online")]
    worker: Document = {
        "role": "worker",
        "extraMounts": [
            _mount(directory / "patches-worker", "/kind/patches"),
            *([] if options.narrowed else online),
        ],
    }
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": name,
        "nodes": [control_plane] + [worker] * (options.nodes - 1),
        "kubeadmConfigPatches": [json.dumps(patch) for patch in _kubeadm_patches(options, processors)],
    }


def cpus_of_worker(processors: int) -> str:
    """The CPUs of a second node: those that the first node never assigns exclusively."""
    last = processors // 2 - 1
    return "0" if last <= 0 else f"0-{last}"


def files(options: Options, processors: int) -> dict[str, str]:
    """The files that are mounted into the nodes, by path below the cluster's directory."""
    written = {
        f"patches/{component}+strategic.json": json.dumps(_small_request(component))
        for component in _CONTROL_PLANE
    }
    written["patches/corednsdeployment+strategic.json"] = json.dumps(_one_small_coredns())
    if options.nodes == 2:
        written["patches-worker/kubeletconfiguration+strategic.json"] = json.dumps(_worker_kubelet())
    if options.nodes == 2 and not options.narrowed:
        # The kubelet reads the machine's CPUs from this file, and would assign some that it may not use.
        written["cpus-online"] = f"{cpus_of_worker(processors)}\n"
    return written


def _kubeadm_patches(options: Options, processors: int) -> list[Document]:
    kubelet: Document = {
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "kubeReserved": _reserved(options, processors),
    }
    if options.cpu_policy == "static":
        kubelet |= {"cpuManagerPolicy": "static", "topologyManagerPolicy": "single-numa-node"}
    patches = {"patches": {"directory": "/kind/patches"}}
    documents: list[Document] = [kubelet, {"kind": "InitConfiguration", **patches}]
    if options.nodes == 2:
        documents.append({"kind": "JoinConfiguration", **patches})
    return documents


def _reserved(options: Options, processors: int) -> dict[str, str]:
    """With a second node, the first must not assign the CPUs of the second."""
    if options.nodes == 1 or processors < 4:
        return _RESERVED
    return {**_RESERVED, "cpu": f"{processors // 2 * 1000 - 500}m"}


def _small_request(component: str) -> Document:
    """A small request, because the control plane's own leave no room for a pod with a whole CPU."""
    return {"spec": {"containers": [{"name": component, "resources": {"requests": {"cpu": "10m"}}}]}}


def _one_small_coredns() -> Document:
    container = {"name": "coredns", "resources": {"requests": {"cpu": "10m"}}}
    return {"spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}}}


def _worker_kubelet() -> Document:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cpuManagerPolicy": "none",
        "topologyManagerPolicy": "none",
        "kubeReserved": _RESERVED_OF_WORKER,
    }


def _mount(source: Path, target: str) -> Document:
    return {"hostPath": str(source), "containerPath": target, "readOnly": True}
