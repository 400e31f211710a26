"""One grammar: what the API server admits is what the operator reads, and nothing else."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from modelserver_operator.api import Spec, parse
from modelserver_operator.errors import Invalid, SourceNotSupported
from tests.support.admission import Admission
from tests.support.modelservers import model_server
from tests.support.objects import bodies, is_nested

pytestmark = pytest.mark.api


def read(body: dict[str, Any]) -> tuple[Spec | None, str]:
    """What the operator reads, or what it says against it; a source of a later version is no fault."""
    try:
        return parse(body).spec, ""
    except SourceNotSupported:
        return None, ""
    except Invalid as error:
        return None, str(error)


def rounded(value: Any) -> Any:
    """As the API server has it: a number that 64 bits do not hold is a float."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    is_big = isinstance(value, int) and not -(2**63) <= value < 2**63
    return float(value) if is_big else value


def compare(admission: Admission, body: dict[str, Any], count: Counter[str]) -> None:
    stored, message = admission.create(body)
    spec, fault = read(rounded(body))
    count["refused" if fault else "read"] += 1

    assert (stored is None) == bool(fault), f"API server: {message or 'admits'}\noperator: {fault or 'reads'}"
    if stored is not None:
        assert read(rounded(stored)) == (spec, "")


def agree(admission: Admission, examples: int) -> Counter[str]:
    count: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(bodies().filter(lambda body: not is_nested(body)))
    def every(body: dict[str, Any]) -> None:
        compare(admission, body, count)

    every()
    return count


def test_a_number_that_64_bits_do_not_hold_is_read_as_the_api_server_stores_it(admission: Admission):
    compare(admission, model_server(pluginConfig={"a": 2**64}), Counter())


def test_the_api_server_and_the_operator_agree_on_every_object(admission: Admission):
    count = agree(admission, 200)

    assert min(count["read"], count["refused"]) > 20, count


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_they_agree_on_ten_thousand_objects(admission: Admission):
    count = agree(admission, 10_000)

    assert min(count["read"], count["refused"]) > 1000, count
