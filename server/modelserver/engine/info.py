"""What the author of a model says about it in its file: labels, sizes, thresholds, how to prepare images."""

import logging
from collections.abc import Mapping
from typing import Any

import openvino as ov
import orjson

LOG = logging.getLogger(__name__)
MAX_BYTES = 1 << 18
"""Clients get all of it with every metadata answer, made on the event loop."""
_KEY = "model_info"
"""Of a file's rt_info OVMS tells this part; the rest is about the conversion."""


def model_info(model: ov.Model) -> Mapping[str, Any]:
    """Texts by name, nested as in the file; empty where there is nothing, or nothing that can be shown."""
    try:
        if not model.has_rt_info([_KEY]):
            return {}
        info = _plain(model.get_rt_info([_KEY]))
        if not isinstance(info, dict):
            return {}
        size = len(orjson.dumps(info))
    except (RuntimeError, TypeError, ValueError) as error:  # no UTF-8, nested without end
        LOG.warning("metadata of model %s: %s is left out: %s", model.get_friendly_name(), _KEY, error)
        return {}
    if size > MAX_BYTES:
        name = model.get_friendly_name()
        LOG.warning("metadata of model %s: %s is left out: it has more than %d bytes", name, _KEY, MAX_BYTES)
        return {}
    return info


def _plain(value: Any) -> Any:
    """OpenVINO wraps each value, but not the maps around them."""
    value = getattr(value, "value", value)
    if hasattr(value, "items"):
        return {str(name): _plain(item) for name, item in value.items()}
    return str(value)
