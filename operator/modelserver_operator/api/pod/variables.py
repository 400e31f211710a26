"""The server's environment variables, with the fields that Kubernetes gives them."""

from typing import Annotated

from pydantic import Field, StringConstraints

from modelserver_operator.api.fields import Quantity, Record, map_keys, unique
from modelserver_operator.api.pod.scheduling import Word

Path = Annotated[str, StringConstraints(max_length=4096)]


class KeyReference(Record):
    """A key of a ConfigMap or Secret in the same namespace."""

    name: Word | None = None
    """The name of the ConfigMap or Secret."""
    key: Word
    """The key."""
    optional: bool | None = None
    """Whether the pod starts without it."""


class FieldReference(Record):
    """A field of the pod."""

    field_path: Path
    """E.g. metadata.name or status.podIP."""
    api_version: Word | None = None
    """The version of the path. Default: v1."""


class FileKeyReference(Record):
    """A variable from a file on a volume."""

    volume_name: Word
    """The volume."""
    path: Path
    """The file."""
    key: Word
    """The variable in the file."""
    optional: bool | None = None
    """Whether the pod starts without it."""


class ResourceReference(Record):
    """A limit or request of a container."""

    resource: Word
    """E.g. limits.cpu."""
    container_name: Word | None = None
    """The container. Default: the server's."""
    divisor: Quantity | None = None
    """The unit. Default: 1."""


class VariableSource(Record):
    """Where a variable's value comes from; exactly one field is set."""

    field_ref: FieldReference | None = None
    """A field of the pod."""
    resource_field_ref: ResourceReference | None = None
    """A limit or request of a container."""
    config_map_key_ref: KeyReference | None = None
    """A key of a ConfigMap."""
    secret_key_ref: KeyReference | None = None
    """A key of a Secret."""
    file_key_ref: FileKeyReference | None = None
    """A variable from a file."""


class Variable(Record):
    """An environment variable."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    """Its name."""
    value: Annotated[str, StringConstraints(max_length=32768)] | None = None
    """Its value."""
    value_from: VariableSource | None = None
    """Where its value comes from."""


class WholeReference(Record):
    """A ConfigMap or Secret as a whole."""

    name: Word | None = None
    """Its name."""
    optional: bool | None = None
    """Whether the pod starts without it."""


class VariablesSource(Record):
    """Every key of a ConfigMap or Secret as a variable."""

    prefix: Word | None = None
    """Put before each name."""
    config_map_ref: WholeReference | None = None
    """The ConfigMap."""
    secret_ref: WholeReference | None = None
    """The Secret."""


Variables = Annotated[
    list[Variable], Field(max_length=128, json_schema_extra=map_keys("name")), unique("name")
]
VariablesSources = Annotated[list[VariablesSource], Field(max_length=32)]
