"""An object that is not accepted any more goes on in its last accepted form."""

from typing import Any

import pytest

from modelserver_operator.errors import Invalid, SourceNotSupported
from modelserver_operator.observed.accepted import Accepted
from tests.support.modelservers import model_server

KEY = ("default", "server")
WRONG = {"models": [{"name": "m", "uri": "s3://bucket/m"}]}


def body(generation: int = 1, uid: str = "u", **spec: Any) -> dict[str, Any]:
    found = model_server(**spec)
    found["metadata"] |= {"namespace": "default", "uid": uid, "generation": generation}
    return found


def test_what_was_accepted_last_stays_in_effect_but_for_replicas_and_pauses():
    accepted = Accepted()
    accepted.read(KEY, body(hint="LATENCY"))

    server, rejection = accepted.read(KEY, body(2, **WRONG, replicas=3, paused=True))

    assert rejection is not None
    assert isinstance(rejection.error, SourceNotSupported)
    assert (rejection.generation, server.generation) == (2, 1)
    assert (server.spec.hint, server.spec.replicas, server.spec.paused) == ("LATENCY", 3, True)
    assert server.spec.models[0].uri.startswith("pvc://")
    assert accepted.read(KEY, body(3))[1] is None


def test_what_only_shows_when_it_is_rendered_is_a_reason_too():
    def check(server: Any) -> None:
        if server.spec.replicas > 1:
            raise Invalid("too large")

    accepted = Accepted(check)
    accepted.read(KEY, body())

    server, rejection = accepted.read(KEY, body(2, replicas=2))

    assert rejection is not None
    assert (str(rejection.error), server.spec.replicas) == ("too large", 2)


@pytest.mark.parametrize("is_forgotten", [True, False])
def test_another_object_of_the_same_name_does_not_inherit_it(is_forgotten: bool):
    accepted = Accepted()
    accepted.read(KEY, body())
    if is_forgotten:
        accepted.forget(KEY)

    with pytest.raises(SourceNotSupported):
        accepted.read(KEY, body(uid="u" if is_forgotten else "v", **WRONG))
