"""Files that a pod gets from the cluster: ConfigMaps and Secrets, its own fields, tokens, certificates."""

from typing import Annotated

from pydantic import Field, StringConstraints

from modelserver_operator.api.fields import Record
from modelserver_operator.api.pod.scheduling import LabelSelector, Texts, Whole, Word
from modelserver_operator.api.pod.variables import FieldReference, Path, ResourceReference

Mode = Annotated[int, Field(ge=0, le=0o777)]


class KeyToPath(Record):
    """A key as a file."""

    key: Word
    """The key."""
    path: Path
    """The file."""
    mode: Mode | None = None
    """Its permissions, as a decimal number in JSON."""


Items = Annotated[list[KeyToPath], Field(max_length=64)]


class ConfigMapFiles(Record):
    """Keys of a ConfigMap or Secret as files."""

    name: Word | None = None
    """Its name."""
    items: Items | None = None
    """Which keys. Default: all."""
    optional: bool | None = None
    """Whether the pod starts without it."""


class ConfigMapVolume(ConfigMapFiles):
    """A ConfigMap as files."""

    default_mode: Mode | None = None
    """Permissions of the files, as a decimal number in JSON."""


class SecretVolume(Record):
    """A Secret as files."""

    secret_name: Word | None = None
    """Its name."""
    items: Items | None = None
    """Which keys. Default: all."""
    optional: bool | None = None
    """Whether the pod starts without it."""
    default_mode: Mode | None = None
    """Permissions of the files, as a decimal number in JSON."""


class FieldFile(Record):
    """A field of the pod as a file."""

    path: Path
    """The file."""
    field_ref: FieldReference | None = None
    """A field of the pod."""
    resource_field_ref: ResourceReference | None = None
    """A limit or request of a container."""
    mode: Mode | None = None
    """Its permissions, as a decimal number in JSON."""


class FieldFiles(Record):
    """Fields of the pod as files."""

    items: Annotated[list[FieldFile], Field(max_length=64)] | None = None
    """Which fields."""


class FieldVolume(FieldFiles):
    """Fields of the pod as files."""

    default_mode: Mode | None = None
    """Permissions of the files, as a decimal number in JSON."""


class Token(Record):
    """A token of the pods' ServiceAccount as a file."""

    path: Path
    """The file."""
    audience: Annotated[str, StringConstraints(max_length=1024)] | None = None
    """For whom it is. Default: the API server."""
    expiration_seconds: Annotated[int, Field(ge=600, le=2**32)] | None = None
    """How long it is valid. Default: 3600."""


class TrustBundle(Record):
    """Certificates of a ClusterTrustBundle as a file."""

    path: Path
    """The file."""
    name: Word | None = None
    """The bundle."""
    signer_name: Word | None = None
    """All bundles of this signer."""
    label_selector: LabelSelector | None = None
    """Which bundles of the signer."""
    optional: bool | None = None
    """Whether the pod starts without it."""


class PodCertificate(Record):
    """A certificate for the pod as files."""

    signer_name: Word
    """Who signs it."""
    key_type: Word
    """E.g. ED25519."""
    credential_bundle_path: Path | None = None
    """One file with key and certificates."""
    key_path: Path | None = None
    """The file with the key."""
    certificate_chain_path: Path | None = None
    """The file with the certificates."""
    max_expiration_seconds: Whole | None = None
    """The longest validity."""
    user_annotations: Texts | None = None
    """For the signer."""


class Projection(Record):
    """One part of a projected volume; exactly one field is set."""

    config_map: ConfigMapFiles | None = None
    """Keys of a ConfigMap."""
    secret: ConfigMapFiles | None = None
    """Keys of a Secret."""
    downward_api: Annotated[FieldFiles | None, Field(alias="downwardAPI")] = None
    """Fields of the pod."""
    service_account_token: Token | None = None
    """A token of the ServiceAccount."""
    cluster_trust_bundle: TrustBundle | None = None
    """Certificates of a ClusterTrustBundle."""
    pod_certificate: PodCertificate | None = None
    """A certificate for the pod."""


class ProjectedVolume(Record):
    """Several sources in one directory."""

    sources: Annotated[list[Projection], Field(max_length=32)] | None = None
    """The sources."""
    default_mode: Mode | None = None
    """Permissions of the files, as a decimal number in JSON."""
