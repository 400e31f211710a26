"""OpenVINO behind buffers and headers: the only place that imports it.

`Devices` says what exists, `load` turns files into a `LoadedModel`, and its `infer` runs requests.
"""

from modelserver.engine.devices import Devices
from modelserver.engine.loaded import Effect, LoadedModel
from modelserver.engine.loading import Source, load
from modelserver.engine.pool import Lease

__all__ = ["Devices", "Effect", "Lease", "LoadedModel", "Source", "load"]
