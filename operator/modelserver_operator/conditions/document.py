"""The status as the document that is written: complete where it fits, shorter where it does not. Pure.

An API server refuses a status as a whole, for its size (etcd takes 1.5 MiB) or for one value that the schema
does not allow. What is written fits 64 KiB; where even that is refused, a minimal status says so.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from modelserver_operator.api import Condition, Status
from modelserver_operator.api.schema import Schema, without_unknown
from modelserver_operator.api.status import ConditionType, ModelReport, Reason, shorten

LIMIT = 64 * 1024
_STEPS = ((1024, 64), (256, 32), (128, 8), (64, 2), (32, 1))
"""Characters of a model's error, and versions of a model: the first step that fits is taken."""
_TEXTS = {"message", "error", "time"}
_DIGITS = re.compile(r"\d+")
_OWN = set(ConditionType)


def document(status: Status) -> dict[str, Any]:
    """At most 64 KiB of it."""
    for length, versions in _STEPS:
        found = whole(_shorter(status, length, versions))
        if len(json.dumps(found, ensure_ascii=False).encode()) <= LIMIT:
            break
    return found


def whole(status: Status) -> dict[str, Any]:
    """All of it."""
    return status.model_dump(by_alias=True, exclude_none=True)


def misfit(written: Mapping[str, Any]) -> str:
    """What the CRD's schema does not allow in it; empty when it allows everything."""
    try:
        Status.model_validate(written)
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:8])
    return ""


def _shorter(status: Status, length: int, versions: int) -> Status:
    if length == _STEPS[0][0]:
        return status
    update: dict[str, Any] = {
        "conditions": [
            item.model_copy(update={"message": shorten(item.message, max(256, length))})
            for item in status.conditions
        ],
        "models": [_shorter_model(model, length, versions) for model in status.models or []] or None,
    }
    if status.tuning:
        warnings = [shorten(text, 2 * length) for text in status.tuning.warnings or []]
        update["tuning"] = status.tuning.model_copy(update={"warnings": warnings or None})
    if status.last_failure:
        message = shorten(status.last_failure.message, max(256, length))
        update["last_failure"] = status.last_failure.model_copy(update={"message": message})
    return status.model_copy(update=update)


def _shorter_model(model: ModelReport, length: int, limit: int) -> ModelReport:
    """Versions that are not served come first, then the newest."""
    by_weight = sorted(model.versions, key=lambda v: (v.error is not None, v.version))
    kept = sorted(by_weight[-limit:], key=lambda v: v.version)
    omitted = (model.versions_omitted or 0) + len(model.versions) - len(kept)
    return model.model_copy(
        update={
            "versions": [
                v.model_copy(update={"error": shorten(v.error, length) if v.error else None}) for v in kept
            ],
            "versions_omitted": omitted or None,
            "error": shorten(model.error, length) if model.error else None,
        }
    )


def read_status(raw: Mapping[str, Any], own: Schema) -> Status:
    """What was written last, by this operator or one of another version; without what others added."""
    known = without_unknown(raw, own)
    known["conditions"] = [item for item in known.get("conditions") or [] if item.get("type") in _OWN]
    try:
        return Status.model_validate(known)
    except ValidationError:
        return Status()


def minimal(status: Status, problem: Condition) -> Status:
    """No text but what is wrong, and no list but the conditions: this, every CRD of this API takes."""
    others = [
        item.model_copy(update={"message": ""}) for item in status.conditions if item.type != problem.type
    ]
    return Status(
        observed_generation=problem.observed_generation,
        replicas=status.replicas,
        ready_replicas=status.ready_replicas,
        updated_replicas=status.updated_replicas,
        selector=status.selector,
        conditions=[*others, problem],
    )


def not_ready(reason: Reason, message: str, generation: int, previous: Status, now: str) -> Condition:
    """Ready=False for a reason that lies in the operator or the API server, not in the pods."""
    before = next((c for c in previous.conditions if c.type == ConditionType.READY), None)
    since = before.last_transition_time if before and before.status == "False" else now
    return Condition(
        type=ConditionType.READY,
        status="False",
        reason=reason,
        message=shorten(message),
        observed_generation=generation,
        last_transition_time=since,
    )


def says_the_same(one: Any, other: Any) -> bool:
    """Whether two documents differ in nothing but figures within texts, e.g. the free memory of a moment."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            _same_text(one[key], other[key]) if key in _TEXTS else says_the_same(one[key], other[key])
            for key in one
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(says_the_same, one, other))
    return bool(one == other)


def _same_text(one: str, other: str) -> bool:
    return _DIGITS.sub("0", one) == _DIGITS.sub("0", other)
