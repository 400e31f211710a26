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
from dataclasses import dataclass, field, replace
from typing import Any

from modelserver.errors import ConfigError
from modelserver.tuning.device import families, is_virtual
from modelserver.tuning.legacy import Translation, translation
from modelserver.tuning.machine import Machine
from modelserver.tuning.wish import Wanted, Wish, read

MAX_NIREQ = 100_000
_DECIDED = frozenset({"PERFORMANCE_HINT", "NUM_STREAMS", "ENABLE_CPU_PINNING"})
"""Properties that the rules below decide, the user's own wishes included; all others are passed on."""


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
    translated: Translation | None = field(default=None, compare=False)
    """Where the names of the properties come from."""

    def as_written(self, message: str) -> str:
        """OpenVINO's message, with the keys that the user wrote for the property names in it."""
        return message if self.translated is None else self.translated.explain(message)


@dataclass(frozen=True)
class _Parallelism:
    """How many inferences run at one time."""

    hint: str | None = None
    streams: int | str | None = None
    nireq: int | None = None
    hint_requests: int | None = None
    """PERFORMANCE_HINT_NUM_REQUESTS, where the user did not write it."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Pinning:
    is_on: bool
    reason: str
    warnings: tuple[str, ...] = ()


def plan(wish: Wish, machine: Machine, neighbours: Neighbours) -> Plan:
    """Every rule of the table; raises ConfigError naming what contradicts what."""
    wanted = read(wish)
    threads = _threads(wanted, machine, neighbours)
    chosen = _with_requests(_streams_or_hint(wanted, threads, machine.numa_nodes), wanted, threads)
    pinning = _pinning(wanted, machine, neighbours)
    warnings = (*chosen.warnings, *pinning.warnings, *_thread_warnings(wanted, threads, machine))
    return Plan(
        wish.device,
        _properties(wanted, threads, chosen, is_pinned=pinning.is_on),
        chosen.hint,
        chosen.nireq,
        pinning.is_on,
        pinning.reason,
        warnings,
        wanted.translated,
    )


def check(wish: Wish) -> None:
    """Raise ConfigError for a wish that no machine can follow."""
    try:
        plan(wish, Machine((0,), 1, None), Neighbours())
    except (TypeError, ValueError) as error:
        raise ConfigError(f"plugin_config cannot be read: {error}") from error


def count_neighbours(loads: Sequence[tuple[Wish, int]], exclusive_cpus: int | None) -> Neighbours:
    """Who shares the CPUs when each of these is loaded in that many versions."""
    sharing = sum(count for wish, count in loads if not _has_own_threads(wish))
    return Neighbours(max(1, sum(count for _, count in loads)), max(1, sharing), exclusive_cpus)


def _has_own_threads(wish: Wish) -> bool:
    """A wish that contradicts itself is refused when its model is loaded, not here."""
    try:
        return Wanted(wish, translation(wish.plugin_config)).has_own_threads
    except ConfigError:
        return False


def _threads(wanted: Wanted, machine: Machine, neighbours: Neighbours) -> int:
    """Threads for this model: its own, or its part of what there is."""
    if "INFERENCE_NUM_THREADS" in wanted.config:
        return _positive(wanted.config["INFERENCE_NUM_THREADS"], wanted.key("INFERENCE_NUM_THREADS"))
    if wanted.has_own_threads:
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


def _thread_warnings(wanted: Wanted, threads: int, machine: Machine) -> tuple[str, ...]:
    if threads <= machine.threads:
        return ()
    key = wanted.key("INFERENCE_NUM_THREADS")
    return (f"{key} {threads} is more than the {machine.threads} CPUs of this process",)


def _streams_or_hint(wanted: Wanted, threads: int, numa_nodes: int) -> _Parallelism:
    """One of the two, never both."""
    if wanted.streams is not None:
        return _explicit_streams(wanted, threads, numa_nodes)
    if wanted.hint is not None:
        return _Parallelism(hint=wanted.hint)
    if wanted.wish.expected_clients is not None:
        return _for_clients(wanted.wish.expected_clients, threads)
    return _Parallelism(hint="THROUGHPUT")


def _explicit_streams(wanted: Wanted, threads: int, numa_nodes: int) -> _Parallelism:
    name = str(wanted.streams).upper()
    if name == "AUTO":
        return _Parallelism(streams="AUTO")
    streams = numa_nodes if name == "NUMA" else _positive(wanted.streams, "streams")
    if families(wanted.wish.device) != ("CPU",) or streams <= threads:
        return _Parallelism(streams=streams)
    warning = f"{streams} streams on {threads} CPUs: OpenVINO makes no more streams than threads"
    return _Parallelism(streams=streams, warnings=(warning,))


def _for_clients(clients: int, threads: int) -> _Parallelism:
    if clients <= 1:
        return _Parallelism(hint="LATENCY")
    limit = max(1, clients // 2)
    return _Parallelism(streams=max(n for n in range(1, threads + 1) if threads % n == 0 and n <= limit))


def _with_requests(chosen: _Parallelism, wanted: Wanted, threads: int) -> _Parallelism:
    """How many infer requests the pool holds, and what that means for the streams."""
    clients = wanted.wish.expected_clients
    if clients is not None and wanted.hint is not None:
        chosen = replace(chosen, nireq=clients, hint_requests=clients)
    elif clients is not None and isinstance(chosen.streams, int):
        chosen = replace(chosen, nireq=max(chosen.streams, clients))
    nireq = wanted.wish.nireq
    return chosen if nireq is None else _with_nireq(replace(chosen, nireq=nireq), nireq, wanted, threads)


def _with_nireq(chosen: _Parallelism, nireq: int, wanted: Wanted, threads: int) -> _Parallelism:
    """The user's own number: it caps what was derived, and contradicts a smaller number of streams."""
    if nireq > MAX_NIREQ:
        raise ConfigError("Nireq parameter too high")
    _positive(nireq, "nireq")
    if isinstance(chosen.streams, int) and nireq < chosen.streams:
        if isinstance(wanted.streams, int):
            key = wanted.key("NUM_STREAMS") if wanted.wish.streams is None else "streams"
            raise ConfigError(
                f"nireq {nireq} is below {key} {chosen.streams}: streams without a request would idle;"
                f" set nireq to {chosen.streams} or more"
            )
        warning = f"nireq {nireq} is below the {chosen.streams} streams derived: streams are capped to it"
        return replace(chosen, streams=nireq, warnings=(*chosen.warnings, warning))
    if chosen.hint == "THROUGHPUT" and nireq < threads:
        warning = f"nireq {nireq} caps the streams that THROUGHPUT would choose"
        return replace(chosen, hint_requests=nireq, warnings=(*chosen.warnings, warning))
    return chosen


def _pinning(wanted: Wanted, machine: Machine, neighbours: Neighbours) -> _Pinning:
    """Pinned threads help one model alone on its own CPUs and halve everything else."""
    if "ENABLE_CPU_PINNING" in wanted.config:
        is_on = str(wanted.config["ENABLE_CPU_PINNING"]).upper() in ("YES", "TRUE", "1")
        warning = "pinning is forced for more than one model: they will sit on the same CPUs"
        is_harmful = is_on and neighbours.loaded > 1
        return _Pinning(is_on, "plugin_config says so", (warning,) if is_harmful else ())
    reason = _reason_against_pinning(wanted.wish.device, machine, neighbours)
    if reason is not None:
        return _Pinning(is_on=False, reason=reason)
    return _Pinning(is_on=True, reason=f"one model runs alone on {neighbours.exclusive_cpus} exclusive CPUs")


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


def _properties(wanted: Wanted, threads: int, chosen: _Parallelism, *, is_pinned: bool) -> dict[str, Any]:
    """The properties for the device as it was named; what the user wrote wins."""
    device = wanted.wish.device
    properties = {name: value for name, value in wanted.config.items() if name not in _DECIDED}
    if chosen.hint_requests is not None:
        properties.setdefault("PERFORMANCE_HINT_NUM_REQUESTS", chosen.hint_requests)
    if chosen.hint is not None:
        properties["PERFORMANCE_HINT"] = chosen.hint
    streams = {} if chosen.streams is None else {"NUM_STREAMS": chosen.streams}
    cpu = {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": is_pinned}
    is_batch = device.startswith("BATCH:")  # hands everything on to its one device
    if is_virtual(device) and not is_batch:
        return _through_device_properties(device, properties, streams, cpu)
    is_cpu = device == "CPU" or (is_batch and families(device) == ("CPU",))
    return properties | (cpu if is_cpu else {}) | streams


def _through_device_properties(
    device: str, properties: dict[str, Any], streams: dict[str, Any], cpu: dict[str, Any]
) -> dict[str, Any]:
    """AUTO, HETERO and MULTI hand properties on to each device by name."""
    per_device = dict.fromkeys(families(device) or ("CPU",), streams)
    passed_on = {"DEVICE_PROPERTIES"}
    if "CPU" in per_device:
        per_device["CPU"] = streams | cpu
        passed_on.add("INFERENCE_NUM_THREADS")
    for name, settings in dict(properties.get("DEVICE_PROPERTIES", {})).items():
        per_device[name] = per_device.get(name, {}) | dict(settings)
    known = {name: settings for name, settings in per_device.items() if settings}
    rest = {name: value for name, value in properties.items() if name not in passed_on}
    return rest | ({"DEVICE_PROPERTIES": known} if known else {})
