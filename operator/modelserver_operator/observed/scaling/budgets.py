"""Disruption budgets that others have made. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Budget:
    """Somebody else's PodDisruptionBudget."""

    name: str
    labels: tuple[tuple[str, str], ...]
    """matchLabels."""
    expressions: tuple[tuple[str, str, tuple[str, ...]], ...]
    """matchExpressions: key, operator and values."""

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether it counts a pod with these labels; a selector without conditions counts every pod."""
        is_equal = all(labels.get(key) == value for key, value in self.labels)
        return is_equal and all(_holds(item, labels) for item in self.expressions)


def read_budget(body: Raw) -> Budget | None:
    """None for one that selects nothing, and for the operator's own."""
    metadata = body["metadata"]
    selector = (body.get("spec") or {}).get("selector")
    if selector is None or naming.is_ours(metadata) or metadata.get("deletionTimestamp"):
        return None
    expressions = selector.get("matchExpressions") or []
    return Budget(
        metadata["name"],
        tuple(sorted((selector.get("matchLabels") or {}).items())),
        tuple((item["key"], item["operator"], tuple(item.get("values") or ())) for item in expressions),
    )


def selecting(server: ModelServer, budgets: tuple[Budget, ...]) -> str:
    """The name of one that counts the object's pods; empty: none does."""
    labels = {**server.spec.pod.labels, **naming.selector(server.name)}
    return next((budget.name for budget in budgets if budget.selects(labels)), "")


def _holds(expression: tuple[str, str, tuple[str, ...]], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) == (operator == "Exists")
    return (labels.get(key) in values) == (operator == "In")
