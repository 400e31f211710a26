"""What an error becomes: status, headers and body, whichever route it comes from."""

import asyncio
import json

import pytest
from starlette.exceptions import HTTPException

from modelserver import errors
from modelserver.front.http.errors import error_answer, method_not_allowed

CLOSE = {"connection": "close"}


def answer_to(error, method="POST", path="/v2/a%20b"):
    answer = error_answer(error, {"method": method, "raw_path": path.encode()})
    headers = {name: value for name, value in answer.headers if not name.startswith("content-")}
    return answer.status, headers, json.loads(answer.body)["error"] if answer.body else None


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (errors.InvalidRequest("m"), (400, {}, "m")),
        (errors.NotFound("m"), (404, {}, "m")),
        (errors.TooLarge("m"), (413, CLOSE, "m")),
        (errors.Overloaded("m"), (429, {"retry-after": "1"}, "m")),
        (errors.NotReady("m"), (503, {}, "m")),
        (HTTPException(404), (404, {}, "There is nothing at /v2/a b")),
        (HTTPException(405, headers={"Allow": "GET"}), (405, {"allow": "GET"}, "/v2/a b answers GET only")),
        (asyncio.CancelledError(), (503, CLOSE, "The server is stopping")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_has_one_answer(error, want):
    assert answer_to(error) == want


def test_an_unexpected_error_is_logged_and_its_text_is_not_sent(caplog):
    status, headers, message = answer_to(RuntimeError("secret"))
    assert (status, headers) == (500, {})
    assert "secret" not in message
    assert "secret" in caplog.text


def test_by_options_the_refusal_of_a_method_lists_the_methods():
    assert answer_to(method_not_allowed("GET"), "OPTIONS") == (204, {"allow": "GET, HEAD, OPTIONS"}, None)
    assert answer_to(method_not_allowed("POST"), "OPTIONS") == (204, {"allow": "OPTIONS, POST"}, None)
