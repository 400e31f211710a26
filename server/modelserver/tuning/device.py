"""What a device string names; the operator reads the same grammar (its api/devices.py)."""

_VIRTUAL = ("AUTO", "HETERO", "MULTI", "BATCH")


def families(device: str) -> tuple[str, ...]:
    """The families that a device string names: AUTO:GPU.0,CPU gives GPU and CPU, AUTO:-GPU none."""
    head, _, rest = device.partition(":")
    names = rest.split(",") if rest else ([] if head in _VIRTUAL else [head])
    named = (name.strip() for name in names if not name.strip().startswith("-"))
    return tuple(dict.fromkeys(name.partition(".")[0].partition("(")[0] for name in named))


def is_virtual(device: str) -> bool:
    """Whether the device only distributes work to others."""
    return device.partition(":")[0] in _VIRTUAL


def is_automatic(device: str) -> bool:
    """Whether OpenVINO chooses among several devices, and may choose another one later."""
    return is_virtual(device) and not device.startswith("BATCH")
