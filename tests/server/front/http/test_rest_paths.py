"""Methods and paths that lead nowhere: one error shape, the right code, never a 5xx."""

import gzip
import http.client
import json
import socket
from urllib.parse import quote

import pytest

from tests.support.server_process import ServerProcess, fetch, free_port

COLD = (
    "/v2",
    "/v1/config",
    "/v2/models/dummy",
    "/v2/models/dummy/versions/1/ready",
    "/v1/models/dummy/metadata",
)
STATUS = ("/v2/health/live", "/v2/health/ready", "/status", "/metrics")


def ask(server, method: str, path: str, body: bytes | None = None, **headers: str):
    """One exchange with the path sent exactly as written."""
    connection = http.client.HTTPConnection(server.rest, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def assert_error(body: bytes) -> None:
    document = json.loads(body)
    assert list(document) == ["error"]
    assert document["error"]


@pytest.mark.parametrize("path", [*COLD, *STATUS, "/openapi.json"])
def test_head_is_get_without_a_body(server, path):
    status, body, headers = ask(server, "HEAD", path)
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize("path", [*COLD, *STATUS])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_a_wrong_method_is_told_which_one_is_right(server, path, method):
    status, body, headers = ask(server, method, path)
    assert (status, headers["allow"]) == (405, "GET")
    assert_error(body)


@pytest.mark.parametrize("path", ["/v2/models/dummy/infer", "/v1/models/dummy:predict"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_inference_answers_post_only(server, path, method):
    status, body, headers = ask(server, method, path)
    assert (status, headers["allow"]) == (405, "POST")
    if method != "HEAD":
        assert_error(body)


ORDERS = (
    "/v2/models/dummy/infer",
    "/v1/models/dummy:predict",
    "/v1/config/reload",
    "/v2/repository/index",
    "/v2/repository/models/dummy/load",
)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        *((path, "GET, HEAD, OPTIONS") for path in [*COLD, *STATUS, "/openapi.json", "/docs"]),
        *((path, "OPTIONS, POST") for path in ORDERS),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Origin": "https://page.example"}])
def test_options_lists_the_methods_of_a_path(server, path, methods, headers):
    status, body, told = ask(server, "OPTIONS", path, **headers)
    assert (status, body, told["allow"]) == (204, b"", methods)
    assert "content-length" not in told
    assert told.get("access-control-allow-origin") == ("*" if headers else None)


def test_options_of_a_status_port_lists_its_methods_too(repository):
    port = str(free_port())
    model = ("--model_name", "m", "--model_path", str(repository / "dummy"))
    with ServerProcess(*model, "--status_port", port, grpc=False) as server:
        server.wait_ready()  # both ports listen before models load
        status, _, headers = fetch(f"http://127.0.0.1:{port}/status", method="OPTIONS")
        assert (status, headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        assert fetch(f"http://127.0.0.1:{port}/v2", method="OPTIONS")[0] == 404
        assert fetch(server.url("/metrics"), method="OPTIONS")[0] == 404  # not switched on


@pytest.mark.parametrize(
    "path",
    [
        "/", "/v3/models", "/v2/models//ready", "/v2/models/dummy/infer/more",
        "/v1/models/dummy/more/of/it", "/v2/repository/models/dummy/burn",
    ],
)  # fmt: skip
def test_options_of_what_is_not_there_is_a_404(server, path):
    status, body, headers = ask(server, "OPTIONS", path)
    assert (status, headers["allow"]) == (404, None)
    assert_error(body)


@pytest.mark.parametrize(
    "path",
    [
        "/", "//", "/v3/models", "/v2/../v2/models/dummy", "/v2/models/../../etc/passwd", "/v2/models/..",
        "/v2/models/%2e%2e", "/v2/models/dummy/versions", "/v2/models/dummy/infer/more",
        "/v2/models//ready",
        "/v2/models/dummy/versions/1/2", "/v1/models/dummy:guess", "/v2/models/%00", "/v2/models/%ff%fe",
        "/v2/models/%zz", "/v2/models/dummy%20", "/v2/models/dummy/versions/99", "/V2",
        "/v2/models/" + "x" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_there_is_a_404(server, method, path):
    status, body, _ = ask(server, method, path, b"{}" if method == "POST" else None)
    assert status in ((404,) if method == "GET" else (404, 405))
    assert_error(body)


@pytest.mark.parametrize("version", ["abc", "-1", "1.0", "%31a"])
def test_a_version_that_is_no_number_is_a_bad_request(server, version):
    for suffix in ("", "/ready"):
        status, body, _ = ask(server, "GET", f"/v2/models/dummy/versions/{version}{suffix}")
        assert status == 400
        assert_error(body)


@pytest.mark.parametrize("name", ["a model", "team/model", "größe", "100%", "a:predict"])
def test_any_name_is_addressed_percent_encoded(repository, tmp_path, name):
    path = tmp_path / "config.json"
    entry = {"name": name, "base_path": str(repository / "dummy")}
    path.write_text(json.dumps({"model_config_list": [{"config": entry}]}))
    body = {"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10}]}
    with ServerProcess("--config_path", str(path), grpc=False) as server:
        server.wait_ready()
        base = f"/v2/models/{quote(name, safe='')}"
        assert json.loads(server.get(base)[1])["name"] == name
        assert server.get(base + "/versions/1/ready")[0] == 200
        assert json.loads(server.post(base + "/infer", body)[1])["model_name"] == name
        assert server.get(f"/v1/models/{quote(name, safe='')}")[0] == 200


@pytest.mark.parametrize(
    "target",
    [
        "http://x:1", "http://x?a=b", "http://x:99999999/v2", "http://[::1/v2", "http:///v2", "v2", "?a", "#",
        "/v2\xff",
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_first", [True, False])
def test_a_target_that_is_no_path_is_a_400_and_nothing_for_the_log(server, target, is_first):
    """A proxy's absolute form may lack a path: its caller wants more than the end of the connection."""
    logged = len(server.log())
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=30) as caller:
        if not is_first:
            caller.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"".join(iter(lambda: caller.recv(1), b"}")).startswith(b"HTTP/1.1 200")
        caller.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))
        head, _, body = b"".join(iter(lambda: caller.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert_error(body)
    assert "Traceback" not in server.log()[logged:]


@pytest.mark.parametrize(
    "path", ["/v2/models/dummy/infer", "/v1/models/dummy:predict", "/v2/repository/index"]
)
def test_a_body_in_another_transfer_coding_than_chunks_is_a_501_that_names_it(server, path):
    packed = gzip.compress(b"{}")
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=30) as caller:
        headers = "Host: x\r\nConnection: close\r\nTransfer-Encoding: gzip, chunked"
        caller.sendall(f"POST {path} HTTP/1.1\r\n{headers}\r\n\r\n".encode())
        caller.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed))
        head, _, body = b"".join(iter(lambda: caller.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 501")
    assert "Transfer-Encoding gzip, chunked" in json.loads(body)["error"]


def test_an_absolute_target_is_answered_as_its_path(server):
    status, body, _ = ask(server, "GET", "http://proxy.example:81/v2?a=b")
    assert (status, json.loads(body)["name"]) == (200, "OpenVINO ModelServer")


def test_a_slash_at_the_end_changes_nothing(server):
    for path in ("/v2/", "/v1/config/", "/v2/models/dummy/", "/v2/models/dummy/ready/", "/v2/health/live/"):
        assert server.get(path)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "want"),
    [
        ("GET", "/v2/models/none", 404),
        ("GET", "/v2/models/dummy/versions/7", 404),
        ("GET", "/v2/models/dummy/versions/99999999999999999999", 404),
        ("GET", "/v2/models/dummy/versions/" + "9" * 5000, 404),
        ("POST", "/v2/models/dummy/versions/" + "9" * 5000 + "/infer", 404),
        ("GET", "/v2/models/dummy/versions/abc", 400),
        ("POST", "/v2/models/none/infer", 404),
        ("POST", "/v2/models/dummy/versions/abc/infer", 400),
        ("GET", "/v2/models/dummy/infer", 405),
        ("PUT", "/v2/models/dummy/infer", 405),
        ("POST", "/v2/health/ready", 405),
        ("POST", "/v2/models/dummy/ready", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v2/../etc/passwd", 404),
    ],
)
def test_unknown_things_are_404_and_wrong_methods_405(server, method, path, want):
    status, raw, headers = fetch(server.url(path), b"{}" if method != "GET" else None, method)
    assert (status, list(json.loads(raw))) == (want, ["error"])
    assert want != 405 or headers["Allow"]


@pytest.mark.parametrize("version", ["0", "2", "9223372036854775807", "9223372036854775808", "9" * 400])
def test_a_version_that_is_not_there_is_a_404(server, version):
    for path, body in (
        (f"/v2/models/dummy/versions/{version}", None),
        (f"/v2/models/dummy/versions/{version}/infer", b"{}"),
    ):
        assert fetch(server.url(path), body)[0] == 404


@pytest.mark.parametrize("version", ["-1", "1.0", "+1", "0x1", "%31%00", "a"])
def test_a_version_that_is_no_number_is_a_400(server, version):
    for path, body in (
        (f"/v2/models/dummy/versions/{version}", None),
        (f"/v2/models/dummy/versions/{version}/infer", b"{}"),
    ):
        assert fetch(server.url(path), body)[0] == 400


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/dummy/infer/more",
        "/v2/models/dummy/generate",
        "/v2/models//infer",
        "/v2/models/dummy/versions//infer",
        "/v2/models/two/words/infer",
        "/v3/models",
        "//v2/models/dummy/infer",
        "/v2/models/../models/dummy/infer",
    ],
)
def test_an_unknown_path_is_a_404_for_post_too(server, path):
    status, raw, _ = fetch(server.url(path), b"{}", "POST")
    assert (status, list(json.loads(raw))) == (404, ["error"])
