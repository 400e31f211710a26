"""What to do about a trouble that the cluster reports in its own words. Pure."""

_REMEDIES = (
    ("OOMKilled", "Raise resources.limits.memory."),
    ("InvalidImageName", "Correct image."),
    ("ErrImagePull", "Check image and imagePullSecrets, and whether the nodes reach the registry."),
    ("CreateContainerConfigError", "Create what pod.env and pod.envFrom refer to, or correct them."),
    ("FailedMount", "Create what the volume refers to, or correct uri or pod.volumes."),
    ("FailedAttachVolume", "Free the volume on its other node, or use a claim that several nodes may mount."),
    ("FailedCreatePodSandBox", "Check the network plugin and the runtime of the pod's node."),
    ("Unschedulable", "Lower resources, add or free a node, or correct the pod's selectors and tolerations."),
    ("TopologyAffinityError", "Request what fits one NUMA node, or relax that node's topologyManagerPolicy."),
    ("SMTAlignmentError", "Request a multiple of the CPUs of a core: that node gives out whole cores only."),
    ("UnexpectedAdmissionError", "Repair the device plugin or the kubelet of that node, or cordon the node."),
    ("OutOf", "Find out what else uses the resource on that node, request less, or cordon the node."),
    ("Evicted", "Raise the limit that was exceeded, or free the node."),
    ("exceeded quota", "Raise the quota, or request less."),
    ("is forbidden: User", "Give the operator this permission: the chart of its version contains it."),
    ("denied request", "Change the policy, or this object."),
    ("admission webhook", "Change the rule of the webhook, or this object."),
)
"""By a word of the report, the most specific one first."""


def with_remedy(report: str) -> str:
    """The report, and what to do where that is known."""
    remedy = next((text for word, text in _REMEDIES if word in report), "")
    return f"{report.rstrip('. ')}. {remedy}" if remedy else report
