"""What a pod mounts, with the fields that Kubernetes gives a volume and its mounts.

Drivers that Kubernetes has removed or replaced by CSI are left out: their storage comes by a
PersistentVolumeClaim.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from modelserver_operator.api.fields import DROP_NULLS, Quantity, Record, map_keys, unique
from modelserver_operator.api.pod.projections import (
    ConfigMapVolume,
    FieldVolume,
    ProjectedVolume,
    SecretVolume,
)
from modelserver_operator.api.pod.scheduling import LabelSelector, Texts, Whole, Word, Words
from modelserver_operator.api.pod.variables import Path

RESERVED = "modelserver-"
"""Volumes of the operator begin with this."""


class VolumeMount(Record):
    """A volume in the server's container."""

    name: Word
    """The volume."""
    mount_path: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """The directory in the container."""
    read_only: bool | None = None
    """Whether it is read-only."""
    recursive_read_only: Literal["Disabled", "IfPossible", "Enabled"] | None = None
    """Whether mounts below it are read-only, too."""
    sub_path: Path | None = None
    """A path in the volume. Default: its root."""
    sub_path_expr: Path | None = None
    """The same with $(VARIABLES)."""
    mount_propagation: Literal["None", "HostToContainer", "Bidirectional"] | None = None
    """Whether later mounts are seen."""


class Reference(Record):
    """An object in the same namespace."""

    name: Word | None = None
    """Its name."""


class EmptyDir(Record):
    """A directory that is deleted with the pod."""

    medium: Word | None = None
    """Memory: in the pod's memory. Default: on the node's disk."""
    size_limit: Quantity | None = None
    """The pod is evicted above it."""


class ClaimVolume(Record):
    """A PersistentVolumeClaim in the same namespace."""

    claim_name: Word
    """Its name."""
    read_only: bool | None = None
    """Whether it is read-only."""


HostPathType = Literal[
    "", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"
]


class HostPath(Record):
    """A path of the node."""

    path: Path
    """The path."""
    type: HostPathType | None = None
    """What must be there."""


class NFS(Record):
    """A directory of an NFS server."""

    server: Word
    """The server."""
    path: Path
    """The directory."""
    read_only: bool | None = None
    """Whether it is read-only."""


class ISCSI(Record):
    """An iSCSI disk."""

    target_portal: Word
    """The portal, e.g. 10.0.0.1:3260."""
    iqn: Word
    """The name of the target."""
    lun: Whole
    """The unit."""
    portals: Words | None = None
    """More portals."""
    iscsi_interface: Word | None = None
    """The interface. Default: default."""
    initiator_name: Word | None = None
    """The name of the initiator."""
    fs_type: Word | None = None
    """The file system."""
    read_only: bool | None = None
    """Whether it is read-only."""
    chap_auth_discovery: bool | None = None
    """Whether discovery uses CHAP."""
    chap_auth_session: bool | None = None
    """Whether sessions use CHAP."""
    secret_ref: Reference | None = None
    """The Secret for CHAP."""


class FibreChannel(Record):
    """A Fibre Channel disk."""

    target_wwns: Annotated[Words | None, Field(alias="targetWWNs")] = None
    """The targets."""
    wwids: Words | None = None
    """The identifiers, instead of targets and unit."""
    lun: Whole | None = None
    """The unit."""
    fs_type: Word | None = None
    """The file system."""
    read_only: bool | None = None
    """Whether it is read-only."""


class CSI(Record):
    """A volume that a CSI driver makes for the pod."""

    driver: Word
    """The driver."""
    fs_type: Word | None = None
    """The file system."""
    read_only: bool | None = None
    """Whether it is read-only."""
    node_publish_secret_ref: Reference | None = None
    """A Secret for the driver."""
    volume_attributes: Texts | None = None
    """The driver's own settings."""


class ImageVolume(Record):
    """The files of an image."""

    reference: Annotated[str, StringConstraints(max_length=512)] | None = None
    """The image."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When it is pulled."""


class ClaimMetadata(Record):
    """Labels and annotations of a claim."""

    labels: Texts | None = None
    """Its labels."""
    annotations: Texts | None = None
    """Its annotations."""


Amounts = Annotated[dict[str, Quantity], Field(max_length=8), DROP_NULLS]


class DataSource(Record):
    """What a new volume is filled with."""

    api_group: Word | None = None
    """The API group of its kind."""
    kind: Word
    """Its kind, e.g. VolumeSnapshot."""
    name: Word
    """Its name."""


class DataSourceReference(DataSource):
    """What a new volume is filled with."""

    namespace: Word | None = None
    """Its namespace. Default: the object's own."""


class StorageAmounts(Record):
    """The size of a volume."""

    requests: Amounts | None = None
    """At least."""
    limits: Amounts | None = None
    """At most."""


class ClaimSpec(Record):
    """The claim that is made for each pod."""

    access_modes: Words | None = None
    """E.g. ReadWriteOnce."""
    resources: StorageAmounts | None = None
    """The size of the volume."""
    storage_class_name: Word | None = None
    """The StorageClass."""
    volume_mode: Literal["Block", "Filesystem"] | None = None
    """Default: Filesystem."""
    volume_name: Word | None = None
    """An existing PersistentVolume."""
    volume_attributes_class_name: Word | None = None
    """The VolumeAttributesClass."""
    selector: LabelSelector | None = None
    """Which PersistentVolumes."""
    data_source: DataSource | None = None
    """What the volume is filled with."""
    data_source_ref: DataSourceReference | None = None
    """What the volume is filled with, of any kind."""


class ClaimTemplate(Record):
    """The claim that is made for each pod."""

    metadata: ClaimMetadata | None = None
    """Its labels and annotations."""
    spec: ClaimSpec
    """Its specification."""


class Ephemeral(Record):
    """A claim that is made for each pod and deleted with it."""

    volume_claim_template: ClaimTemplate | None = None
    """The claim."""


class Volume(Record):
    """A volume; beside the name exactly one field is set."""

    name: Annotated[
        str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    ]
    """Its name."""
    config_map: ConfigMapVolume | None = None
    """A ConfigMap as files."""
    secret: SecretVolume | None = None
    """A Secret as files."""
    empty_dir: EmptyDir | None = None
    """A directory that is deleted with the pod."""
    persistent_volume_claim: ClaimVolume | None = None
    """A PersistentVolumeClaim in the same namespace."""
    projected: ProjectedVolume | None = None
    """Several sources in one directory."""
    downward_api: Annotated[FieldVolume | None, Field(alias="downwardAPI")] = None
    """Fields of the pod as files."""
    ephemeral: Ephemeral | None = None
    """A claim that is made for each pod and deleted with it."""
    csi: CSI | None = None
    """A volume that a CSI driver makes for the pod."""
    image: ImageVolume | None = None
    """The files of an image."""
    host_path: HostPath | None = None
    """A path of the node."""
    nfs: NFS | None = None
    """A directory of an NFS server."""
    iscsi: ISCSI | None = None
    """An iSCSI disk."""
    fc: FibreChannel | None = None
    """A Fibre Channel disk."""


Volumes = Annotated[list[Volume], Field(max_length=32, json_schema_extra=map_keys("name")), unique("name")]
VolumeMounts = Annotated[
    list[VolumeMount], Field(max_length=64, json_schema_extra=map_keys("mountPath")), unique("mount_path")
]
