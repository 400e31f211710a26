"""Which devices exist, and a refusal when the one asked for does not: never a silent fallback."""

from pathlib import Path

import openvino as ov

from modelserver.engine.reason import reason
from modelserver.errors import LoadFailed
from modelserver.tuning import families


class Devices:
    """OpenVINO's core and what it found on this machine."""

    def __init__(self, cache_dir: str | None, cpu_extension: Path | None = None) -> None:
        self.core = ov.Core()
        # A memory-mapped weights file that is overwritten in place kills the process with SIGBUS.
        self.core.set_property({"ENABLE_MMAP": False})
        if cache_dir:
            self._use_cache(cache_dir)
        if cpu_extension is not None:
            self._extend(cpu_extension)
        self.names: tuple[str, ...] = tuple(self.core.available_devices)

    def _use_cache(self, directory: str) -> None:
        try:
            self.core.set_property({"CACHE_DIR": directory})
        except RuntimeError as error:
            raise LoadFailed(f"cache_dir {directory} cannot be used: {reason(error)}") from error

    def _extend(self, library: Path) -> None:
        try:
            self.core.add_extension(str(library.absolute()))
        except RuntimeError as error:
            raise LoadFailed(f"cpu_extension {library} cannot be loaded: {reason(error)}") from error

    def require(self, device: str) -> None:
        """Raise LoadFailed unless every device that `device` names is there."""
        present = {name.partition(".")[0] for name in self.names}
        missing = [name for name in families(device) if name not in present]
        if missing:
            raise LoadFailed(
                f"Device {device} is not available: {', '.join(missing)} not found on this machine,"
                f" which has {', '.join(self.names) or 'none'}. Check the image, device files and driver."
            )
