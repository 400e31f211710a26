"""Claims on what DRA drivers give, with the fields that Kubernetes gives them in a Pod."""

from typing import Annotated

from pydantic import Field, StringConstraints

from modelserver_operator.api.fields import Name, Record, map_keys, unique


class ResourceClaim(Record):
    """A claim: one that exists, or one that is made for each pod. Exactly one of the two is set."""

    name: Annotated[
        str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    ]
    """Its name within the pod."""
    resource_claim_name: Name | None = None
    """An existing ResourceClaim in this namespace, which all replicas share."""
    resource_claim_template_name: Name | None = None
    """A ResourceClaimTemplate in this namespace, from which each pod gets a claim of its own."""


ResourceClaims = Annotated[
    list[ResourceClaim], Field(max_length=16, json_schema_extra=map_keys("name")), unique("name")
]
