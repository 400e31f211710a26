"""From model files to a model that answers: read, shape, compile, warm up."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import openvino as ov

from modelserver.admission import LiveLimits
from modelserver.engine.devices import Devices
from modelserver.engine.elements import datatype_of, reason
from modelserver.engine.info import model_info
from modelserver.engine.loaded import Description, Effect, LoadedModel
from modelserver.engine.names import Names
from modelserver.engine.probing import smallest, zeros
from modelserver.engine.reading import has_fixed_sizes, name_of, names_of, read
from modelserver.engine.shaping import layouts, shape_model
from modelserver.errors import InferenceFailed, LoadFailed
from modelserver.settings.config_file import Shaping
from modelserver.signature import Signature, Spec
from modelserver.tuning.device import is_virtual
from modelserver.tuning.plan import Plan

INLINE_SECONDS = 100e-6
"""Below this an inference costs less than handing it to another thread and back."""
CANDIDATE_SECONDS = 1e-3
"""Above this in a stream, on a busy machine too, it will not be below that on the loop."""
SPREAD_CPUS = 1.3
"""CPU seconds per second of a model that more than one thread works on."""
SEARCH_SECONDS = 50e-3
"""How long a quick inference is looked for, without what interruptions took: each counts as the quickest."""
SEARCH_LIMIT_SECONDS = 0.3
"""With them: on a busy machine most inferences are interrupted."""
TWICE_BYTES = 1 << 20
"""Weights that may be in memory twice for a moment."""


@dataclass(frozen=True)
class Source:
    """What a model is loaded from."""

    model: Path
    shaping: Shaping
    plan: Plan
    names: Names = field(default_factory=Names)


def load(
    devices: Devices, source: Source, limits: LiveLimits, spread_cpus: float = SPREAD_CPUS
) -> LoadedModel:
    """Runs in a thread of its own; raises LoadFailed with OpenVINO's reason."""
    plan = source.plan
    devices.require(plan.device)
    try:
        devices.require_properties(plan)
        shaping = source.names.translate(source.shaping)
        network = read(devices.core, source.model)
        info = model_info(network)
        network = shape_model(network, shaping)
        compiled = devices.core.compile_model(network, plan.device, dict(plan.properties))
    except (RuntimeError, TypeError, ValueError) as error:
        text = plan.as_written(reason(error))
        unsupported = "Plugin config contains unsupported keys: " if "Unsupported property" in text else ""
        raise LoadFailed(f"{source.model.name}: {unsupported}{text}") from error
    signature = Signature(*source.names.rename(*_specs(compiled, network, shaping)))
    loaded = LoadedModel(compiled, Description(signature, info), _effect(compiled, plan), limits)
    seconds = _warm_up(loaded, CANDIDATE_SECONDS)
    if _may_run_inline(network, plan, seconds):
        loaded = _inline(devices.core, network, plan, loaded, spread_cpus)
    return loaded


def _may_run_inline(network: ov.Model, plan: Plan, seconds: float | None) -> bool:
    """Whether compiling it once more, for the event loop, may be worth it.

    Streams that the user asked for are used; free shapes could be of any size, and one inside that did not
    fit once leaves the graph unusable; big weights are not kept twice.
    """
    if plan.device != "CPU" or "NUM_STREAMS" in plan.properties or seconds is None:
        return False
    if seconds > CANDIDATE_SECONDS or not has_fixed_sizes(network):
        return False
    constants = (node for node in network.get_ops() if isinstance(node, ov.op.Constant))
    return int(sum(node.get_byte_size() for node in constants)) <= TWICE_BYTES


def _inline(
    core: ov.Core, network: ov.Model, plan: Plan, loaded: LoadedModel, spread_cpus: float
) -> LoadedModel:
    """The model for the event loop if it is quick there, otherwise the one that is loaded.

    One request at a time needs no stream: waking a stream's thread costs most of a small inference.
    Exclusive requests do not even enter a stream's arena, which binds the thread and sets it free again
    each time; but nothing holds them back from all CPUs, so a model that spreads does not run like that.
    The effect that is reported stays the first one: a bigger model would have it.
    """
    for exclusive in (True, False):
        properties = {**plan.properties, "NUM_STREAMS": 0, "EXCLUSIVE_ASYNC_REQUESTS": exclusive}
        try:
            compiled = core.compile_model(network, plan.device, properties)
            bare = loaded.inlined(compiled)
            seconds = _warm_up(bare, INLINE_SECONDS)
        except (RuntimeError, LoadFailed):
            continue
        is_quick = seconds is not None and seconds < INLINE_SECONDS
        if is_quick and not (exclusive and _spreads(bare, spread_cpus)):
            loaded.close()
            return bare
        bare.close()
    return loaded


def _spreads(loaded: LoadedModel, limit: float) -> bool:
    """Whether other threads work along: more CPU seconds per second than the limit.

    Other work of this process looks the same: then it counts as spreading, which costs little.
    """
    arrays, shares = [zeros(spec, smallest(spec)) for spec in loaded.signature.inputs], []
    for _ in range(9):
        started, used = time.perf_counter(), time.process_time()
        for _ in range(10):
            loaded.run_once(arrays)
        shares.append((time.process_time() - used) / (time.perf_counter() - started))
    return median(shares) > limit


def _specs(
    compiled: ov.CompiledModel, network: ov.Model, shaping: Shaping
) -> tuple[tuple[Spec, ...], tuple[Spec, ...]]:
    """Names are the network's: compiled, two outputs of one tensor may both have the name of the second."""
    known = layouts(network, shaping)
    inputs, outputs = (
        tuple(_spec(port, named, known) for port, named in zip(ports, names, strict=True))
        for ports, names in ((compiled.inputs, network.inputs), (compiled.outputs, network.outputs))
    )
    return inputs, outputs


def _spec(port: Any, named: ov.Output, known: Mapping[str, str]) -> Spec:
    name, shape = name_of(named), port.get_partial_shape()
    if shape.rank.is_dynamic:
        raise LoadFailed(f"tensor {name} has no fixed number of dimensions; set --shape")
    dims = tuple((dim.get_min_length(), dim.get_max_length()) for dim in shape)
    return Spec(name, names_of(named), datatype_of(port.get_element_type()), dims, known[name])


def _effect(compiled: ov.CompiledModel, plan: Plan) -> Effect:
    """What the device made of the wish, read back from it."""
    optimal = int(_property(compiled, "OPTIMAL_NUMBER_OF_INFER_REQUESTS") or 1)
    streams = optimal if is_virtual(plan.device) else _property(compiled, "NUM_STREAMS")
    threads = _property(compiled, "INFERENCE_NUM_THREADS")
    return Effect(
        execution_devices=tuple(_property(compiled, "EXECUTION_DEVICES") or ()),
        streams=None if streams is None else int(streams),
        nireq=plan.nireq or optimal,
        threads=None if threads is None else int(threads),
        hint=plan.hint,
        pinning=bool(_property(compiled, "ENABLE_CPU_PINNING")),
    )


def _property(compiled: ov.CompiledModel, name: str) -> Any:
    try:
        return compiled.get_property(name)
    except RuntimeError:
        return None  # not every device has every property


def _warm_up(loaded: LoadedModel, enough: float) -> float | None:
    """A few real inferences; how long the quickest took, in seconds. What fails is closed.

    At least three, and more until one takes less than `enough` seconds or the time for it ends.
    Zeros may be no valid input where sizes are free, so only a model of fixed shapes must succeed.
    """
    arrays = [zeros(spec, smallest(spec)) for spec in loaded.signature.inputs]
    try:
        first = _timed(loaded, arrays)
        loaded.first_seconds = loaded.first_seconds or first
        end = time.perf_counter() + SEARCH_LIMIT_SECONDS
        quickest = min(_timed(loaded, arrays) for _ in range(3))
        spent = 0.0
        while quickest >= enough and spent < SEARCH_SECONDS and time.perf_counter() < end:
            quickest = min(quickest, _timed(loaded, arrays))
            spent += quickest
    except (RuntimeError, InferenceFailed) as error:
        if all(spec.fixed is not None for spec in loaded.signature.inputs):
            loaded.close()
            raise LoadFailed(f"the first inference failed: {reason(error)}") from error
        return None
    return quickest


def _timed(loaded: LoadedModel, arrays: list[np.ndarray[Any, Any]]) -> float:
    started = time.perf_counter()
    loaded.run_once(arrays)
    return time.perf_counter() - started
