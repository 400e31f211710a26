"""OpenVINO behind buffers and headers: the only place that imports it.

`Devices` says what exists, `load` turns files into a `LoadedModel`, and its `infer` runs requests.
"""

from modelserver.engine.devices import Devices
from modelserver.engine.loaded import LoadedModel
from modelserver.engine.loading import load
from modelserver.engine.pool import Passage

__all__ = ["Devices", "LoadedModel", "Passage", "load"]
