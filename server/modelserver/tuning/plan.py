"""From what the user wishes and what the machine has to OpenVINO's properties. Pure, and nowhere else.

| wish             | properties                                                                    |
|------------------|-------------------------------------------------------------------------------|
| hint             | PERFORMANCE_HINT                                                              |
| streams          | NUM_STREAMS: the number, AUTO, or one per NUMA node                           |
| neither          | PERFORMANCE_HINT=THROUGHPUT                                                   |
| expected clients | one: LATENCY; more: streams = largest divisor of the cores ≤ half the clients |
| nireq            | as given, at least an explicit number of streams; caps derived streams        |

Threads are always passed (OpenVINO reads the affinity mask once and does not know quotas), and
threads are pinned only where that was measured to help: one model alone on exclusive CPUs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelserver.errors import ConfigError
from modelserver.tuning.legacy import translate
from modelserver.tuning.machine import Machine

HINTS = ("LATENCY", "THROUGHPUT", "CUMULATIVE_THROUGHPUT")
MAX_NIREQ = 100_000
_VIRTUAL = ("AUTO", "HETERO", "MULTI", "BATCH")


@dataclass(frozen=True)
class Wish:
    """What the user asked for, for one model."""

    device: str = "CPU"
    hint: str | None = None
    streams: int | str | None = None
    expected_clients: int | None = None
    nireq: int | None = None
    plugin_config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Neighbours:
    """Who shares the CPUs inside this server, this model's own versions included."""

    loaded: int = 1
    sharing: int = 1
    """How many of the loaded ones have no threads or streams of their own."""
    exclusive_cpus: int | None = None
    """How many exclusive CPUs the operator says this pod has."""


@dataclass(frozen=True)
class Plan:
    """What to compile with, and why. Two are equal when a model is loaded alike, whatever the reasons."""

    device: str
    properties: Mapping[str, Any]
    hint: str | None
    nireq: int | None
    """None: as many infer requests as the device calls optimal."""
    pinning: bool
    pinning_reason: str = field(compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)


@dataclass
class _Draft:
    """A plan in the making."""

    wish: Wish
    config: dict[str, Any]
    cores: int
    nodes: int
    streams: int | str | None = None
    hint: str | None = None
    is_hint_given: bool = False
    nireq: int | None = None
    warnings: list[str] = field(default_factory=list)


def plan(wish: Wish, machine: Machine, neighbours: Neighbours) -> Plan:
    """Every rule of the table, in order; raises ConfigError naming what contradicts what."""
    config = translate(wish.plugin_config)
    _refuse_contradictions(wish, config)
    draft = _Draft(wish, config, _share(wish, config, machine, neighbours), machine.numa_nodes)
    _choose_streams(draft)
    _choose_requests(draft)
    pinning, reason = _choose_pinning(draft, machine, neighbours)
    _warn_about_threads(draft, machine)
    return Plan(
        wish.device,
        _properties(draft, pinning),
        draft.hint,
        draft.nireq,
        pinning,
        reason,
        tuple(draft.warnings),
    )


def check(wish: Wish) -> None:
    """Raise ConfigError for a wish that no machine can follow."""
    try:
        plan(wish, Machine((0,), 1, None), Neighbours())
    except (TypeError, ValueError) as error:
        raise ConfigError(f"plugin_config cannot be read: {error}") from error


def count_neighbours(loads: Sequence[tuple[Wish, int]], exclusive_cpus: int | None) -> Neighbours:
    """Who shares the CPUs when each of these is loaded in so many versions."""
    sharing = sum(count for wish, count in loads if not _has_own_threads(wish))
    return Neighbours(max(1, sum(count for _, count in loads)), max(1, sharing), exclusive_cpus)


def _has_own_threads(wish: Wish) -> bool:
    """Whether this model was given threads or streams explicitly, so that it does not share.

    A wish that cannot be followed is told when its model is loaded, not here.
    """
    try:
        config = translate(wish.plugin_config)
    except ConfigError:
        return False
    return wish.streams is not None or "NUM_STREAMS" in config or "INFERENCE_NUM_THREADS" in config


def families(device: str) -> tuple[str, ...]:
    """The device families that a device string names: AUTO:GPU.0,CPU gives GPU and CPU."""
    head, _, rest = device.partition(":")
    names = rest.split(",") if rest else ([] if head in _VIRTUAL else [head])
    return tuple(
        dict.fromkeys(name.strip().lstrip("-").partition(".")[0].partition("(")[0] for name in names)
    )


def is_virtual(device: str) -> bool:
    """Whether the device only distributes work to others."""
    return device.partition(":")[0] in _VIRTUAL


def _refuse_contradictions(wish: Wish, config: Mapping[str, Any]) -> None:
    """Two settings that decide the same thing are refused, both named as they were written."""
    written_streams = _written(wish.plugin_config, config, "NUM_STREAMS")
    written_hint = _written(wish.plugin_config, config, "PERFORMANCE_HINT")
    given_hint = ("hint" if wish.hint else None, written_hint)
    given_streams = ("streams" if wish.streams is not None else None, written_streams)
    names = [name for name in (*given_hint, *given_streams) if name]
    if len(names) > 1:
        raise ConfigError(f"{' and '.join(names)} must not be used together: keep one of them")
    hint = wish.hint or config.get("PERFORMANCE_HINT")
    if hint is not None and hint not in HINTS:
        raise ConfigError(f"unknown performance hint {hint!r}: use one of {', '.join(HINTS)}")
    if str(config.get("ENABLE_CPU_RESERVATION", "NO")).upper() not in ("NO", "FALSE", "0"):
        raise ConfigError(
            "ENABLE_CPU_RESERVATION is not supported: it makes every later model fail to compile; remove it"
        )


def _written(raw: Mapping[str, Any], config: Mapping[str, Any], name: str) -> str | None:
    """The key as the user wrote it, e.g. CPU_THROUGHPUT_STREAMS for NUM_STREAMS."""
    if name not in config:
        return None
    return next(key for key in raw if name in translate({key: raw[key]}))


def _share(wish: Wish, config: Mapping[str, Any], machine: Machine, neighbours: Neighbours) -> int:
    """Threads for this model: its own, or its part of what there is."""
    if "INFERENCE_NUM_THREADS" in config:
        return _positive(config["INFERENCE_NUM_THREADS"], "INFERENCE_NUM_THREADS")
    if wish.streams is not None or "NUM_STREAMS" in config:
        return machine.threads
    return max(1, machine.threads // max(1, neighbours.sharing))


def _positive(value: Any, name: str) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigError(f"{name} must be a whole number of at least 1, not {value!r}")
    return number


def _choose_streams(draft: _Draft) -> None:
    """Streams or a hint, never both."""
    wish = draft.wish
    wanted = wish.streams if wish.streams is not None else draft.config.pop("NUM_STREAMS", None)
    draft.hint = wish.hint or draft.config.pop("PERFORMANCE_HINT", None)
    draft.is_hint_given = draft.hint is not None
    if wanted is not None:
        draft.streams = _resolve_streams(draft, wanted)
    elif draft.hint is None and wish.expected_clients is not None:
        _derive_from_clients(draft, wish.expected_clients)
    elif draft.hint is None:
        draft.hint = "THROUGHPUT"


def _resolve_streams(draft: _Draft, wanted: int | str) -> int | str:
    name = str(wanted).upper()
    if name == "AUTO":
        return "AUTO"
    streams = draft.nodes if name == "NUMA" else _positive(wanted, "streams")
    if families(draft.wish.device) == ("CPU",) and streams > draft.cores:
        draft.warnings.append(
            f"{streams} streams on {draft.cores} CPUs: OpenVINO makes no more streams than threads"
        )
    return streams


def _derive_from_clients(draft: _Draft, clients: int) -> None:
    if clients <= 1:
        draft.hint = "LATENCY"
        return
    limit = max(1, clients // 2)
    draft.streams = max(n for n in range(1, draft.cores + 1) if draft.cores % n == 0 and n <= limit)


def _choose_requests(draft: _Draft) -> None:
    """How many infer requests the pool holds, and what that means for the streams."""
    wish, clients = draft.wish, draft.wish.expected_clients
    if wish.nireq is not None:
        _obey_nireq(draft, wish.nireq)
    elif clients is not None and draft.is_hint_given:
        draft.nireq = clients
    elif clients is not None and isinstance(draft.streams, int):
        draft.nireq = max(draft.streams, clients)
    if clients is not None and draft.is_hint_given:
        draft.config.setdefault("PERFORMANCE_HINT_NUM_REQUESTS", clients)


def _obey_nireq(draft: _Draft, nireq: int) -> None:
    if nireq > MAX_NIREQ:
        raise ConfigError("Nireq parameter too high")
    draft.nireq = _positive(nireq, "nireq")
    if isinstance(draft.streams, int) and nireq < draft.streams:
        if isinstance(_wished_streams(draft.wish), int):
            raise ConfigError(
                f"nireq {nireq} is below streams {draft.streams}: streams without a request would idle;"
                f" set nireq to {draft.streams} or more"
            )
        draft.warnings.append(
            f"nireq {nireq} is below the {draft.streams} streams derived: streams are capped to it"
        )
        draft.streams = nireq
    elif draft.hint == "THROUGHPUT" and nireq < draft.cores:
        draft.warnings.append(f"nireq {nireq} caps the streams that THROUGHPUT would choose")
        draft.config.setdefault("PERFORMANCE_HINT_NUM_REQUESTS", nireq)


def _wished_streams(wish: Wish) -> int | str | None:
    """AUTO and NUMA are answered by the machine, a number is the user's own."""
    return wish.streams if wish.streams is not None else translate(wish.plugin_config).get("NUM_STREAMS")


def _choose_pinning(draft: _Draft, machine: Machine, neighbours: Neighbours) -> tuple[bool, str]:
    """Pinned threads help one model alone on its own CPUs and halve everything else."""
    if "ENABLE_CPU_PINNING" in draft.config:
        wanted = str(draft.config.pop("ENABLE_CPU_PINNING")).upper() in ("YES", "TRUE", "1")
        if wanted and neighbours.loaded > 1:
            draft.warnings.append("pinning is forced for more than one model: they will sit on the same CPUs")
        return wanted, "plugin_config says so"
    reason = _reason_against_pinning(draft.wish.device, machine, neighbours)
    if reason is not None:
        return False, reason
    return True, f"one model runs alone on {neighbours.exclusive_cpus} exclusive CPUs"


def _reason_against_pinning(device: str, machine: Machine, neighbours: Neighbours) -> str | None:
    exclusive, allowed = neighbours.exclusive_cpus, len(machine.affinity)
    if device != "CPU":
        return f"device {device} is not the CPU alone"
    if exclusive is None:
        return "nobody said that the CPUs are exclusive (--exclusive_cpus)"
    if allowed != exclusive:
        return f"{exclusive} exclusive CPUs were announced but the kernel allows {allowed}"
    if exclusive >= machine.online:
        return "the CPUs are all there are on the machine, so they cannot be exclusive"
    if neighbours.loaded > 1:
        return f"{neighbours.loaded} models share the CPUs and would be pinned to the same ones"
    return None


def _warn_about_threads(draft: _Draft, machine: Machine) -> None:
    if draft.cores > machine.threads:
        draft.warnings.append(
            f"INFERENCE_NUM_THREADS {draft.cores} is more than the {machine.threads} CPUs of this process"
        )


def _properties(draft: _Draft, pinning: bool) -> dict[str, Any]:
    """The properties for the device as it was named; what the user wrote wins."""
    device, properties = draft.wish.device, dict(draft.config)
    if draft.hint is not None:
        properties["PERFORMANCE_HINT"] = draft.hint
    is_batch = device.startswith("BATCH:")  # hands everything on to its one device
    if device == "CPU" or (is_batch and families(device) == ("CPU",)):
        properties["INFERENCE_NUM_THREADS"] = draft.cores
        properties["ENABLE_CPU_PINNING"] = pinning
    if is_virtual(device) and not is_batch:
        return _through_device_properties(draft, properties, pinning)
    if draft.streams is not None:
        properties["NUM_STREAMS"] = draft.streams
    return properties


def _through_device_properties(draft: _Draft, properties: dict[str, Any], pinning: bool) -> dict[str, Any]:
    """AUTO, HETERO and MULTI hand properties on to each device by name."""
    per_device: dict[str, dict[str, Any]] = {name: {} for name in families(draft.wish.device) or ("CPU",)}
    if draft.streams is not None:
        for settings in per_device.values():
            settings["NUM_STREAMS"] = draft.streams
    if "CPU" in per_device:
        threads = properties.pop("INFERENCE_NUM_THREADS", draft.cores)
        per_device["CPU"] |= {"INFERENCE_NUM_THREADS": int(threads), "ENABLE_CPU_PINNING": pinning}
    for name, settings in dict(properties.pop("DEVICE_PROPERTIES", {})).items():
        per_device[name] = per_device.get(name, {}) | dict(settings)
    known = {name: settings for name, settings in per_device.items() if settings}
    return properties | ({"DEVICE_PROPERTIES": known} if known else {})
