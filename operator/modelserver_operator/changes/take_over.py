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
from modelserver_operator.desired.config import Configuration, configuration, read_configuration
from modelserver_operator.desired.inputs import config_inputs, template_inputs
from modelserver_operator.desired.kept import Kept, image_of

Raw = Mapping[str, Any]


def is_running(server: ModelServer, children: Observed, previous: Status) -> bool:
    """Whether what runs is what the object asks for, in the words of the operator that made it."""
    deployment = children.get(("Deployment", server.name))
    if deployment is None or deployment.owner_uid != server.uid:
        return False
    return any(
        condition.type == ConditionType.APPLIED
        and condition.status == "True"
        and condition.observed_generation == server.generation
        for condition in previous.conditions
    )


def as_it_runs(server: ModelServer, deployment: Raw | None, config_map: Raw | None) -> Kept | None:
    """From the live objects; None when the Deployment has no whole pod template of the operator's.

    Invalid: config.json is missing, and a new one would be too large.
    """
    template = owned_template(deployment) if deployment else {}
    if not _is_whole(template):
        return None
    config = _configuration(config_map) or configuration(server.spec, is_strict=True)
    return Kept(
        template=template,
        template_inputs=template_inputs(server.spec),
        config=config,
        config_inputs=config_inputs(server.spec),
        upgrade=server.upgrade,
        strict_image=image_of(template) if config.is_strict else "",
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
