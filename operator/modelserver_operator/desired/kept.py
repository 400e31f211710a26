"""The pod template and the config.json of an object, as they were made, with the values of their inputs.

An operator of another version, or with other default images, would make both differently. What is kept is
used until its own inputs change or the object asks for an upgrade: an operator's upgrade replaces no pod.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer
from modelserver_operator.desired.accelerators import Allotment, Amounts, allot, demands
from modelserver_operator.desired.config import Configuration, configuration, read_configuration
from modelserver_operator.desired.deployment import devices_of, pod_template
from modelserver_operator.desired.images import Images
from modelserver_operator.desired.inputs import config_inputs, template_inputs

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Kept:
    """The data of a ControllerRevision."""

    template: Raw
    template_inputs: Raw
    config: Configuration
    config_inputs: Raw
    upgrade: str = ""
    """The value of the annotation that was followed last."""
    strict_image: str = ""
    """The image of a server that refuses the key unknownKeys, from before the templates were kept."""
    resources: Amounts = field(default_factory=dict)
    """What was chosen for its GPUs and NPUs; empty where nothing had to be, or nothing was advertised."""
    awaits_resources: bool = False
    """Whether nothing was: it is made again when a node advertises what it needs."""
    groups: tuple[int, ...] = ()
    """Groups of device files that were learned from servers."""

    @property
    def devices(self) -> tuple[str, ...]:
        """What the pods get from device plugins."""
        return devices_of(self.template)

    @property
    def image(self) -> str:
        """The server's image."""
        return image_of(self.template)

    def data(self) -> dict[str, Any]:
        """As it is stored; `read_kept` reads it."""
        data: dict[str, Any] = {
            "template": dict(self.template),
            "config": self.config.text,
            "inputs": {"template": dict(self.template_inputs), "config": dict(self.config_inputs)},
        }
        optional = {
            "upgrade": self.upgrade, "strictImage": self.strict_image, "resources": dict(self.resources),
            "groups": list(self.groups), "awaitsResources": self.awaits_resources,
        }  # fmt: skip
        return data | {key: value for key, value in optional.items() if value}


def read_kept(text: str) -> Kept | None:
    """The data of a ControllerRevision, as JSON; None when it is not this operator's."""
    try:
        data = json.loads(text)
        kept = Kept(
            template=data["template"],
            template_inputs=data["inputs"]["template"],
            config=read_configuration(data["config"]),
            config_inputs=data["inputs"]["config"],
            upgrade=data.get("upgrade", ""),
            strict_image=data.get("strictImage", ""),
            resources={str(name): int(count) for name, count in data.get("resources", {}).items()},
            groups=tuple(int(group) for group in data.get("groups", ())),
            awaits_resources=bool(data.get("awaitsResources")),
        )
        is_whole = bool(kept.image)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return kept if is_whole else None


def rendered(
    server: ModelServer, images: Images, allotment: Allotment | None = None, *, is_strict: bool = False
) -> Kept:
    """As this operator renders both; Invalid: config.json would be too large."""
    allotment = allotment or allot(server.spec)
    return Kept(
        template=pod_template(server, images, allotment),
        template_inputs=template_inputs(server.spec),
        config=configuration(server.spec, is_strict=is_strict),
        config_inputs=config_inputs(server.spec),
        upgrade=server.upgrade,
        resources=allotment.resources if allotment.is_chosen and demands(server.spec) else {},
        groups=allotment.groups,
        awaits_resources=not allotment.is_chosen,
    )


def with_groups(kept: Kept, groups: tuple[int, ...]) -> Kept:
    """The same with these groups, too; all else stays as it was made."""
    new = tuple(sorted({*kept.groups, *groups}))
    if new == kept.groups:
        return kept
    spec = kept.template["spec"]
    security = dict(spec.get("securityContext") or {})
    security["supplementalGroups"] = sorted({*security.get("supplementalGroups", ()), *new})
    template = {**kept.template, "spec": {**spec, "securityContext": security}}
    return replace(kept, template=template, groups=new)


def image_of(template: Raw) -> str:
    """The image of the server's container; empty when there is none."""
    containers = (template.get("spec") or {}).get("containers") or []
    return next((str(c.get("image") or "") for c in containers if c.get("name") == naming.CONTAINER), "")
