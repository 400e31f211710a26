"""Quantities as Kubernetes reads them; the values were read from the API server's own CEL library."""

from decimal import Decimal

import pytest

from modelserver_operator.api import parse
from modelserver_operator.api.fields import quantity
from modelserver_operator.errors import Invalid
from tests.support.modelservers import cpu, model_server
from tests.support.objects import NO_QUANTITIES


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e9", "1000000000"),
        ("129e6", "129000000"),
        ("8.589934592e+09", "8589934592"),
        ("1e0", "1"),
        ("+1", "1"),
        (".5", "0.5"),
        ("1.", "1"),
        ("1E", "1e18"),
        ("1E3", "1000"),
        ("2000000u", "2"),
        ("1e-3", "0.001"),
        ("1e-12", "1e-9"),
        ("0.1n", "1e-9"),
        ("1.0000000001", "1.000000001"),
        ("1e99", "1e99"),
        ("007", "7"),
        ("0", "0"),
        ("1.5Ki", "1536"),
        ("9Ei", str(2**63 - 1)),
        ("500m", "0.5"),
    ],
)
def test_the_value_is_that_of_kubernetes(text: str, value: str):
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", NO_QUANTITIES)
def test_what_is_not_a_quantity_is_refused_naming_the_field(text: str):
    with pytest.raises(Invalid, match=r"spec\.resources\.limits\.cpu: .* a quantity such as 2, 500m, 8Gi"):
        parse(model_server(**cpu(text)))


def test_a_fraction_without_quotes_is_refused_saying_so():
    with pytest.raises(Invalid, match=r"0\.5 is not allowed; .*; put it in quotes"):
        parse(model_server(**cpu(0.5)))
