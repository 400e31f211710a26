"""Which devices exist, and a refusal when the one asked for does not: never a silent fallback."""

from pathlib import Path

import openvino as ov

from modelserver.engine.elements import reason
from modelserver.errors import LoadFailed
from modelserver.tuning.device import families, is_virtual
from modelserver.tuning.plan import Plan

# Taken by OpenVINO's core itself, so that no device lists them.
_OF_THE_CORE = frozenset({
    "ALLOW_AUTO_BATCHING", "AUTO_BATCH_TIMEOUT", "CACHE_DIR", "CACHE_MODE", "DEVICE_PROPERTIES",
    "ENABLE_MMAP",
})  # fmt: skip


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
        """Raise LoadFailed unless every device that `device` names is there, or AUTO may choose another."""
        present = {name.partition(".")[0] for name in self.names}
        missing = [name for name in families(device) if name not in present]
        if missing and not self._chooses_another(device, missing):
            raise LoadFailed(
                f"Device {device} is not available: {', '.join(missing)} not found on this machine,"
                f" which has {', '.join(self.names) or 'none'}. Check the image, device files and driver."
            )

    def _chooses_another(self, device: str, missing: list[str]) -> bool:
        """Whether AUTO has a device left of those it names, in an image that could run the missing ones."""
        is_choice = device.partition(":")[0] == "AUTO" and len(missing) < len(families(device))
        return is_choice and all(map(self._loads_plugin, missing))

    def _loads_plugin(self, family: str) -> bool:
        """Whether this image has the libraries of a device; without them even AUTO fails."""
        try:
            return bool(self.core.get_versions(family))
        except RuntimeError:
            return False

    def require_properties(self, plan: Plan) -> None:
        """Raise LoadFailed for a property that nobody behind a virtual device knows: it would be dropped."""
        device, properties = plan.device, plan.properties
        if not is_virtual(device):
            return
        behind = families(device) or self.names
        known = self._known(device.partition(":")[0]).union(*map(self._known, behind))
        unknown = properties.keys() - known
        for name, settings in properties.get("DEVICE_PROPERTIES", {}).items():
            unknown |= settings.keys() - self._known(name)
        if unknown:
            raise LoadFailed(
                "Plugin config contains unsupported keys: "
                + plan.as_written(f"{', '.join(sorted(unknown))} for {device}")
            )

    def _known(self, device: str) -> frozenset[str]:
        return _OF_THE_CORE | frozenset(self.core.get_property(device, "SUPPORTED_PROPERTIES"))
