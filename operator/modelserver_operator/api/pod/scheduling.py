"""Where pods may run: tolerations, affinity and spreading, with the fields that Kubernetes gives them."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from modelserver_operator.api.fields import DROP_NULLS, Record, map_keys, unique

Key = Annotated[str, StringConstraints(max_length=317)]
Word = Annotated[str, StringConstraints(max_length=253)]
Words = Annotated[list[Word], Field(max_length=64)]
Texts = Annotated[
    dict[str, Annotated[str, StringConstraints(max_length=4096)]], Field(max_length=64), DROP_NULLS
]
Whole = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Weight = Annotated[int, Field(ge=1, le=100)]
Seconds = Annotated[int, Field(ge=-(2**53), le=2**53)]
_TERMS = 32


class Toleration(Record):
    """A taint that pods tolerate."""

    key: Key | None = None
    """The taint's key. Unset, with operator Exists: every taint."""
    operator: Literal["Exists", "Equal", "Lt", "Gt"] | None = None
    """How value is compared. Default: Equal."""
    value: Word | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect. Unset: every effect."""
    toleration_seconds: Seconds | None = None
    """How long a NoExecute taint is tolerated. Unset: forever."""


class LabelRequirement(Record):
    """A condition on one label."""

    key: Key
    """The label's key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label's value is compared."""
    values: Words | None = None
    """The values for In and NotIn."""


class LabelSelector(Record):
    """Objects by their labels; every condition must hold."""

    match_labels: Annotated[dict[str, Word], Field(max_length=64), DROP_NULLS] | None = None
    """Labels and their values."""
    match_expressions: Annotated[list[LabelRequirement], Field(max_length=_TERMS)] | None = None
    """Conditions on labels."""


class TopologySpreadConstraint(Record):
    """How evenly pods are spread over parts of the cluster."""

    max_skew: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """How many more pods a part may have than another."""
    topology_key: Key
    """The node label whose values are the parts, e.g. topology.kubernetes.io/zone."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """Whether a pod waits when it would make the spread worse than maxSkew."""
    label_selector: LabelSelector | None = None
    """The pods that are counted."""
    match_label_keys: Words | None = None
    """Pod labels whose values must equal those of the new pod, e.g. pod-template-hash."""
    min_domains: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """The least number of parts."""
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes outside of affinity and nodeSelector are counted. Default: Honor (they are not)."""
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes with untolerated taints are counted. Default: Ignore (they are)."""


class NodeRequirement(Record):
    """A condition on one label or field of a node."""

    key: Key
    """The key of the label or the path of the field."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How the value is compared."""
    values: Words | None = None
    """The values to compare with."""


class NodeTerm(Record):
    """Nodes for which all conditions hold."""

    match_expressions: Annotated[list[NodeRequirement], Field(max_length=_TERMS)] | None = None
    """Conditions on labels."""
    match_fields: Annotated[list[NodeRequirement], Field(max_length=_TERMS)] | None = None
    """Conditions on fields: metadata.name."""


class NodeSelector(Record):
    """Nodes that fit at least one term."""

    node_selector_terms: Annotated[list[NodeTerm], Field(min_length=1, max_length=_TERMS)]
    """The terms."""


class PreferredNodes(Record):
    """Nodes that are preferred."""

    weight: Weight
    """How strongly, from 1 to 100."""
    preference: NodeTerm
    """Which nodes."""


class NodeAffinity(Record):
    """Nodes by their labels."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """Nodes that are allowed."""
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredNodes], Field(max_length=_TERMS)] | None
    ) = None
    """Nodes that are preferred."""


class PodTerm(Record):
    """Pods, and the part of the cluster in which they count."""

    topology_key: Key
    """The node label whose values are the parts, e.g. kubernetes.io/hostname."""
    label_selector: LabelSelector | None = None
    """The pods."""
    namespaces: Words | None = None
    """Their namespaces. Default: the object's own."""
    namespace_selector: LabelSelector | None = None
    """Their namespaces by label."""
    match_label_keys: Words | None = None
    """Pod labels whose values must equal those of the new pod."""
    mismatch_label_keys: Words | None = None
    """Pod labels whose values must differ from those of the new pod."""


class PreferredPods(Record):
    """Pods next to which, or away from which, is preferred."""

    weight: Weight
    """How strongly, from 1 to 100."""
    pod_affinity_term: PodTerm
    """Which pods."""


class PodAffinity(Record):
    """Nearness to other pods, or distance from them."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[list[PodTerm], Field(max_length=_TERMS)] | None
    ) = None
    """What must hold."""
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredPods], Field(max_length=_TERMS)] | None
    ) = None
    """What is preferred."""


class Affinity(Record):
    """Nodes and pods near which, or away from which, the pods run."""

    node_affinity: NodeAffinity | None = None
    """Nodes by their labels."""
    pod_affinity: PodAffinity | None = None
    """Near these pods."""
    pod_anti_affinity: PodAffinity | None = None
    """Away from these pods."""


Tolerations = Annotated[list[Toleration], Field(max_length=64)]
TopologySpreadConstraints = Annotated[
    list[TopologySpreadConstraint],
    Field(max_length=16, json_schema_extra=map_keys("topologyKey", "whenUnsatisfiable")),
    unique("topology_key", "when_unsatisfiable"),
]
Manifest = dict[str, Any]


def manifest(record: Record) -> Manifest:
    """The record as a part of a manifest: exactly the fields that the object sets."""
    return record.model_dump(by_alias=True, exclude_unset=True)
