"""Which cases a run of pytest is to test: those that are not deselected, so that `-k` makes it short."""

import pytest

FOLDER = "tests/chaos/"


def asked(session: pytest.Session, parameter: str) -> set[str]:
    """The values of this parameter among the selected tests of this folder."""
    found = [item.callspec.params for item in session.items if FOLDER in item.nodeid and _has(item)]
    return {params[parameter] for params in found if parameter in params}


def _has(item: pytest.Item) -> bool:
    return hasattr(item, "callspec")
