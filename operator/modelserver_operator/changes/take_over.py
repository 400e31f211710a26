"""An object whose template is not kept yet, but runs: what runs is kept, so that no pod is replaced. Pure.

Such an object was carried out by an operator from before the templates were kept, or its ControllerRevisions
were deleted.
"""

from collections.abc import Mapping
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer, Status
from modelserver_operator.api.status import ConditionType
from modelserver_operator.changes.owned import owned_template
from modelserver_operator.changes.plan import Observed
from modelserver_operator.changes.templates import History, new_stored
from modelserver_operator.desired.config import Configuration, configuration, read_configuration
from modelserver_operator.desired.inputs import config_inputs, template_inputs
from modelserver_operator.desired.kept import Kept, image_of

Raw = Mapping[str, Any]


def has_pods(server: ModelServer, children: Observed) -> bool:
    """Whether anything may run: the object has a Deployment."""
    deployment = children.get(("Deployment", server.name))
    return deployment is not None and deployment.owner_uid == server.uid


def running_revision(server: ModelServer, children: Observed) -> str:
    """The revision of config.json as it is; empty when it is not known."""
    child = children.get(("ConfigMap", naming.config_map(server.name)))
    config = _configuration(child.body) if child is not None else None
    return config.revision if config else ""


def taken_over(
    server: ModelServer, previous: Status, deployment: Raw | None, config_map: Raw | None
) -> History:
    """What runs, if it is what the object asks for; Invalid: config.json is lost and too large to make."""
    template = owned_template(deployment) if deployment else {}
    config = _configuration(config_map) or configuration(server.spec, is_strict=True)
    strict_image = image_of(template) if config.is_strict else ""
    if not (_is_whole(template) and _was_applied(server, previous)):
        return History(strict_image=strict_image)
    kept = Kept(
        template=template,
        template_inputs=template_inputs(server.spec),
        config=config,
        config_inputs=config_inputs(server.spec),
        upgrade=server.upgrade,
        strict_image=strict_image,
    )
    return History(current=new_stored(server, kept), is_stored=False)


def _was_applied(server: ModelServer, status: Status) -> bool:
    """In the words of the operator that made it."""
    return any(
        condition.type == ConditionType.APPLIED
        and condition.status == "True"
        and condition.observed_generation == server.generation
        for condition in status.conditions
    )


def _is_whole(template: Raw) -> bool:
    """What another client has changed by force belongs to it: a pod cannot be made from the rest."""
    containers = (template.get("spec") or {}).get("containers") or []
    own: Raw = next((item for item in containers if item.get("name") == naming.CONTAINER), {})
    return bool(own.get("image") and own.get("args"))


def _configuration(config_map: Raw | None) -> Configuration | None:
    try:
        return read_configuration(((config_map or {}).get("data") or {})[naming.CONFIG_FILE])
    except (KeyError, ValueError, TypeError):
        return None
