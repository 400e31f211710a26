"""Browsers: OVMS's CORS options, on every route."""

import pytest

from tests.support.server_process import ServerProcess, fetch

INFER = "/v2/models/dummy/infer"
BODY = {"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10}]}
PAGE = "https://page.example"


@pytest.fixture(scope="module")
def choosy(repository):
    """Allows one origin, one method and one header."""
    arguments = ("--allowed_origins", PAGE, "--allowed_methods", "POST", "--allowed_headers", "x-mine")
    model = ("--model_name", "dummy", "--model_path", str(repository / "dummy"))
    with ServerProcess(*model, *arguments, "--allow_credentials", "true", grpc=False) as running:
        yield running.wait_ready()


def preflight(server, origin: str, method: str = "POST", headers: str = "content-type"):
    asked = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": headers}
    return fetch(server.url(INFER), method="OPTIONS", Origin=origin, **asked)


def test_by_default_every_page_may_infer(server):
    status, _, headers = server.post(INFER, BODY, Origin=PAGE)
    assert (status, headers["access-control-allow-origin"]) == (200, "*")
    status, _, headers = preflight(server, PAGE, headers="content-type,inference-header-content-length")
    assert status == 200
    assert "POST" in headers["access-control-allow-methods"]
    assert "inference-header-content-length" in headers["access-control-allow-headers"]


def test_errors_and_cold_routes_carry_the_headers_too(server):
    for path in ("/v2/models/nobody", "/v2/health/ready", "/v1/config"):
        assert fetch(server.url(path), Origin=PAGE)[2]["access-control-allow-origin"] == "*"


def test_without_an_origin_nothing_is_added(server):
    assert "access-control-allow-origin" not in server.get("/v2")[2]


def test_only_the_named_page_is_let_in(choosy):
    status, _, headers = preflight(choosy, PAGE, headers="x-mine")
    assert (status, headers["access-control-allow-origin"]) == (200, PAGE)
    assert headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in choosy.post(INFER, BODY, Origin="https://other.example")[2]


@pytest.mark.parametrize(
    ("origin", "method", "headers"),
    [("https://other.example", "POST", "x-mine"), (PAGE, "DELETE", "x-mine"), (PAGE, "POST", "x-other")],
)
def test_a_refused_preflight_is_an_error_of_the_usual_shape(choosy, origin, method, headers):
    status, body, _ = preflight(choosy, origin, method, headers)
    assert status == 400
    assert body.startswith(b'{"error":')
