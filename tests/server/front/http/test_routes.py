"""The HTTP table: what it matches is what it documents."""

import json
import re

import pytest

from modelserver.front.rest import openapi
from modelserver.front.rest.infer import Inference
from modelserver.front.rest.route import Route
from modelserver.front.rest.routes import ROUTES
from tests.support.server_process import fetch

OPERATIONS = [
    (path, method.upper())
    for path, methods in openapi.document(ROUTES)["paths"].items()
    for method in methods
]


def filled(path):
    """The path with something in place of its parts."""
    return re.sub(r"{(\w+)}", lambda part: "1" if part[1] == "version" else "dummy", path)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_documented_operation_is_a_route_of_the_server(server, path, method):
    status, _, headers = fetch(server.url(filled(path)), method="OPTIONS")
    assert status == 204
    assert method in headers["allow"].split(", ")


def test_the_document_is_what_the_table_says(server):
    assert json.loads(server.get("/openapi.json")[1]) == openapi.document(ROUTES)


@pytest.mark.parametrize("route", [one for one in ROUTES if isinstance(one.handler, Inference)])
def test_the_pattern_of_a_hot_route_matches_just_its_paths(route):
    for path in route.paths:
        match = route.pattern.fullmatch(path.format(model="a%2Fb", version="7"))
        assert match["model"] == "a%2Fb"
        assert match["version"] == ("7" if "version" in path else None)
        assert bool(route.pattern.fullmatch(path.format(model="m", version="7") + "/")) == route.slash
        assert not route.pattern.fullmatch(path.format(model="m/n", version="7"))


def test_what_stands_in_brackets_may_be_left_out():
    async def handler():
        """Nothing."""

    assert Route("GET", "/a/{x}[/b/{y}]/c", handler).paths == ("/a/{x}/c", "/a/{x}/b/{y}/c")
    assert Route("GET", "/a", handler).paths == ("/a",)
