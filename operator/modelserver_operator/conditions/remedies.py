"""What to do about a trouble that the cluster reports in its own words. Pure."""

import re

_REMEDIES = (
    ("OOMKilled", "Raise resources.limits.memory."),
    ("InvalidImageName", "Correct image."),
    ("ErrImagePull", "Check image and imagePullSecrets, and whether the nodes reach the registry."),
    ("CreateContainerConfigError", "Create what pod.env and pod.envFrom refer to, or correct them."),
    ("FailedMount", "Create what the volume refers to, or correct uri or pod.volumes."),
    ("FailedAttachVolume", "Free the volume on its other node, or use a claim that several nodes may mount."),
    ("FailedCreatePodSandBox", "Check the network plugin and the runtime of the pod's node."),
    (r'persistentvolumeclaim "[^"]*" not found', "Create the claim in this namespace, or correct uri."),
    ("unbound immediate PersistentVolumeClaims", "See kubectl describe pvc why the claim has no volume."),
    (
        r"Insufficient [a-z0-9.-]+/",
        "Install the device plugin that offers this resource, free one on a node, or correct accelerator.",
    ),
    ("Unschedulable", "Lower resources, add or free a node, or correct the pod's selectors and tolerations."),
    ("TopologyAffinityError", "Request what fits one NUMA node, or relax that node's topologyManagerPolicy."),
    ("SMTAlignmentError", "Request a multiple of the CPUs of a core: that node gives out whole cores only."),
    ("UnexpectedAdmissionError", "Repair the device plugin or the kubelet of that node, or cordon the node."),
    ("OutOf", "Find out what else uses the resource on that node, request less, or cordon the node."),
    (r"Model path .* cannot be read: No such file", "Correct uri, or copy the model there."),
    (
        r"Permission denied",
        (
            "Make the files readable for the server's user (65532; on OpenShift one of the namespace), or "
            "set pod.fsGroup to a group that may read them."
        ),
    ),
    (r"model_version_policy is not in", "Copy that version there, or correct versionPolicy."),
    (r"Incorrect weights in bin file", "Copy all files of that version again."),
    (r"for property key", "Correct pluginConfig."),
    ("Evicted", "Raise the limit that was exceeded, or free the node."),
    ("exceeded quota", "Raise the quota, or request less."),
    ("is forbidden: User", "Give the operator this permission: the chart of its version contains it."),
    ("denied request", "Change the policy, or this object."),
    ("admission webhook", "Change the rule of the webhook, or this object."),
)
"""By a pattern of the report, the most specific one first."""


def with_remedy(report: str) -> str:
    """The report, and what to do where that is known."""
    remedy = next((text for pattern, text in _REMEDIES if re.search(pattern, report)), "")
    if not remedy:
        return report
    report = report.rstrip(". ")
    return f"{report}{'' if report.endswith('!') else '.'} {remedy}"
