"""Condition types, their reasons, and the verdict every check answers with."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Type(StrEnum):
    """Claims about an object, in the order they are shown."""

    ACCEPTED = "Accepted"
    APPLIED = "Applied"
    AVAILABLE = "Available"
    MODELS_SERVED = "ModelsServed"
    EXCLUSIVE_CPUS = "ExclusiveCPUs"
    DEVICE_BOUND = "DeviceBound"
    READY = "Ready"


class Reason(StrEnum):
    """Why a condition is as it is; docs/operator.md explains each."""

    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    SOURCE_NOT_SUPPORTED = "SourceNotSupported"

    APPLIED = "Applied"
    NAME_TAKEN = "NameTaken"
    REFUSED = "Refused"
    PAUSED = "Paused"

    PODS_READY = "PodsReady"
    NO_POD_READY = "NoPodReady"
    SCALED_TO_ZERO = "ScaledToZero"

    SERVED = "Served"
    MODEL_NOT_SERVED = "ModelNotServed"
    OLD_CONFIGURATION = "OldConfiguration"
    POD_UNREACHABLE = "PodUnreachable"

    EXCLUSIVE = "Exclusive"
    NOT_REQUESTED = "NotRequested"
    FRACTIONAL_CPU = "FractionalCPU"
    NOT_GUARANTEED = "NotGuaranteed"
    INJECTED_CONTAINER = "InjectedContainer"
    NODE_POLICY_NONE = "NodePolicyNone"

    BOUND = "Bound"
    AUTOMATIC = "Automatic"
    OTHER_DEVICE = "OtherDevice"

    READY = "Ready"
    STARTING = "Starting"
    SCALING = "Scaling"
    ROLLING_OUT = "RollingOut"
    REPLACING_IN_PLACE = "ReplacingInPlace"
    ROLLOUT_STUCK = "RolloutStuck"
    PODS_FAILING = "PodsFailing"


@dataclass(frozen=True)
class Verdict:
    """A condition's content."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str


def holds(reason: Reason, message: str = "") -> Verdict:
    """The claim is true."""
    return Verdict("True", reason, message)


def fails(reason: Reason, message: str) -> Verdict:
    """The claim is false."""
    return Verdict("False", reason, message)


def unknown(reason: Reason, message: str) -> Verdict:
    """Nobody could be asked."""
    return Verdict("Unknown", reason, message)
