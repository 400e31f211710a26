"""The server's config.json: models with their tuning resolved, and the revision of its content.

{hint, streams, expectedClients} is one choice (`rules.tuning_choice`); device and nireq fall back field by
field; pluginConfig merges by key and the model wins.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import Model, ModelServer, Spec
from modelserver_operator.api.rules import tuning_choice
from modelserver_operator.errors import Invalid

DEFAULT_POLL_SECONDS = 1
DEFAULT_REQUEST_TIMEOUT = 60
MAX_CONFIG_BYTES = 400_000
"""It is stored twice, in the ConfigMap and in a ControllerRevision with more beside it; etcd takes 1.5 MB."""
UNKNOWN_KEYS = "unknownKeys"


@dataclass(frozen=True)
class Configuration:
    """The text of config.json and its revision, a hash of the content; servers report the one they serve."""

    revision: str
    text: str

    def content(self) -> dict[str, Any]:
        """What it says, without the revision and without how unknown keys are treated."""
        document = json.loads(self.text)
        return {key: value for key, value in document.items() if key not in {"revision", UNKNOWN_KEYS}}

    @property
    def is_strict(self) -> bool:
        """Whether a server refuses keys in it that it does not know."""
        return UNKNOWN_KEYS not in json.loads(self.text)


def configuration(spec: Spec, *, is_strict: bool = False) -> Configuration:
    """Rendered and hashed once; the hash covers everything but the revision itself.

    `is_strict`: for a server that refuses the key by which later ones ignore what they do not know.
    Invalid: it is too large.
    """
    content = {
        **({} if is_strict else {UNKNOWN_KEYS: "warn"}),
        "server": _server(spec),
        "model_config_list": [{"config": _model(spec, model)} for model in spec.models],
    }
    revision = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    text = json.dumps({"revision": revision, **content}, indent=2, sort_keys=True) + "\n"
    if len(text) > MAX_CONFIG_BYTES:
        raise Invalid(
            f"spec.models: their config.json would have {len(text)} bytes, at most {MAX_CONFIG_BYTES} are "
            "possible; serve some of the models with another ModelServer"
        )
    return Configuration(revision, text)


def read_configuration(text: str) -> Configuration:
    """A configuration as it was written; ValueError or KeyError when it is none."""
    return Configuration(str(json.loads(text)["revision"]), text)


def config_map(server: ModelServer, config: Configuration) -> dict[str, Any]:
    """The ConfigMap. It is mounted as a directory, so that a change reaches the running server."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": naming.config_map(server.name)},
        "data": {naming.CONFIG_FILE: config.text},
    }


def request_timeout(spec: Spec) -> int:
    """How long a request may wait; the pod's grace period allows for it."""
    return spec.server.request_timeout_seconds or DEFAULT_REQUEST_TIMEOUT


def _server(spec: Spec) -> dict[str, Any]:
    """Settings that change without a restart."""
    poll = spec.poll_interval_seconds
    settings = {
        "file_system_poll_wait_seconds": DEFAULT_POLL_SECONDS if poll is None else poll,
        "request_timeout_seconds": request_timeout(spec),
        "queue_size": spec.server.queue_size,
        "max_request_bytes": spec.server.max_request_bytes,
    }
    return {key: value for key, value in settings.items() if value is not None}


def _model(spec: Spec, model: Model) -> dict[str, Any]:
    choice = tuning_choice(spec, model)
    config = {
        "name": model.name,
        "base_path": base_path(model.uri),
        "target_device": model.device or spec.device,
        "model_version_policy": _policy(model),
        "hint": choice.hint,
        "streams": choice.streams,
        "expected_clients": choice.expected_clients,
        "nireq": model.nireq or spec.nireq,
        "plugin_config": {**(spec.plugin_config or {}), **(model.plugin_config or {})} or None,
        "batch_size": model.batch_size,
        "shape": model.shape,
        "layout": model.layout,
        "precision": model.precision,
        "color_format": model.color_format,
        "mean": model.mean,
        "scale": model.scale,
    }
    return {key: value for key, value in config.items() if value is not None}


def base_path(uri: str) -> str:
    """The model's path in the server: a claim is mounted at /models/CLAIM."""
    scheme, _, rest = uri.partition("://")
    return f"{naming.MODELS_DIRECTORY}/{rest}".rstrip("/") if scheme == "pvc" else rest


def _policy(model: Model) -> dict[str, Any]:
    policy = model.version_policy
    if policy.versions is not None:
        return {"specific": {"versions": policy.versions}}
    return {"all": {}} if policy.all else {"latest": {"num_versions": policy.latest or 1}}
