"""What a device string names, read once for all: the image, the device plugin's resources, the verdicts.

The server reads the same grammar (its tuning/device.py); tests/contract/test_devices.py compares both.
"""

import re
from dataclasses import dataclass

ACCELERATORS = ("NPU", "GPU")
"""In the order in which they decide about the image."""
_AUTOMATIC = {"AUTO", "HETERO", "MULTI"}
_NAME = re.compile(r"(-?)([A-Z]+)(?:\.([0-9]+))?(?:\([0-9]+\))?")


@dataclass(frozen=True)
class Named:
    """One device of a device string."""

    family: str
    """CPU, GPU or NPU."""
    index: int | None = None
    """Which one of several."""


@dataclass(frozen=True)
class DeviceForm:
    """A device string in its parts."""

    head: str
    """AUTO, HETERO, MULTI or BATCH; empty where the string is a device itself."""
    named: tuple[Named, ...] = ()
    excluded: tuple[Named, ...] = ()

    @property
    def is_automatic(self) -> bool:
        """Whether OpenVINO chooses among several."""
        return self.head in _AUTOMATIC

    def families(self) -> tuple[str, ...]:
        """The families that are named, each once."""
        return tuple(dict.fromkeys(device.family for device in self.named))

    def may_use(self, family: str) -> bool:
        """Whether models may run on a device of the family: AUTO alone takes any that is not excluded."""
        if self.named:
            return family in self.families()
        return self.is_automatic and Named(family) not in self.excluded

    def count(self, family: str) -> int:
        """How many devices of the family there must be for the highest index to exist; 0: none is named."""
        return max((1 + (device.index or 0) for device in self.named if device.family == family), default=0)


def read_device(text: str) -> DeviceForm:
    """Read a device string that the schema admits."""
    head, colon, rest = text.partition(":")
    if not colon and text in _AUTOMATIC:
        return DeviceForm(text)
    named: list[Named] = []
    excluded: list[Named] = []
    for minus, family, index in _NAME.findall(rest if colon else text):
        device = Named(family, int(index) if index else None)
        (excluded if minus else named).append(device)
    return DeviceForm(head if colon else "", tuple(named), tuple(excluded))
