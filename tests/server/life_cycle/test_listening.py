"""The addresses a server listens on: both families, each address once, and hosts without IPv6."""

import contextlib
import json
import socket
import sys
from pathlib import Path
from urllib.error import URLError

import grpc
import pytest

from modelserver.errors import BindFailed
from modelserver.front.addresses import addresses, grpc_targets
from modelserver.front.http.server import bind
from tests.support import without_ipv6
from tests.support.server_process import ServerProcess, fetch, free_port, run_to_end
from tests.support.waiting import until

LOOPBACK = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
WITHOUT_IPV6 = (sys.executable, str(Path(without_ipv6.__file__)))


def answering(port: int) -> set[str]:
    """The loopback addresses at which somebody listens."""
    found = set()
    for host, family in LOOPBACK.items():
        with socket.socket(family) as caller, contextlib.suppress(OSError):
            caller.connect((host, port))
            found.add(host)
    return found


def is_ready(url: str) -> bool:
    with contextlib.suppress(URLError):
        return fetch(url)[0] == 200
    return False


def is_served(target: str) -> bool:
    with grpc.insecure_channel(target) as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
    return True


@pytest.mark.parametrize("hosts", ["", "0.0.0.0,::", "::,0.0.0.0", "0.0.0.0, 127.0.0.1"])
def test_all_three_ports_listen_on_every_address_of_a_list_that_overlaps(repository, hosts):
    """Without a list it is every address of both families: a cluster may have either, or both."""
    status_port = free_port()
    listed = ("--rest_bind_address", hosts, "--grpc_bind_address", hosts) if hosts else ()
    model = ("--model_name", "m", "--model_path", str(repository / "dummy"))
    with ServerProcess(*model, "--status_port", str(status_port), *listed) as server:
        ready = f"http://127.0.0.1:{status_port}/v2/health/ready"
        until("readiness", lambda: is_ready(ready))
        wanted = set(LOOPBACK) if "::" in (hosts or "::") else {"127.0.0.1"}
        for port in (server.rest_port, status_port):
            assert answering(port) == wanted
        for host in sorted(wanted):
            name = f"[{host}]" if ":" in host else host
            assert json.loads(fetch(f"http://{name}:{server.rest_port}/v2/models/m")[1])["name"] == "m"
            assert is_served(f"{name}:{server.grpc_port}")
        server.terminate()
        assert server.wait() == 0


@pytest.mark.parametrize(
    ("hosts", "listened", "reached"),
    [
        (("0.0.0.0",), ["0.0.0.0"], ["127.0.0.1"]),
        (("::",), ["[::]"], ["127.0.0.1", "::1"]),
        (("[::]",), ["[::]"], ["127.0.0.1", "::1"]),
        (("0.0.0.0", "::"), ["0.0.0.0", "[::]"], ["127.0.0.1", "::1"]),
        (("::", "127.0.0.1", "::1"), ["[::]"], ["127.0.0.1", "::1"]),
        (("127.0.0.1", "0.0.0.0", "::1"), ["0.0.0.0", "[::1]"], ["127.0.0.1", "::1"]),
        (("127.0.0.1", "127.0.0.1"), ["127.0.0.1"], ["127.0.0.1"]),
        (("127.0.0.1", "::ffff:127.0.0.1"), ["127.0.0.1"], ["127.0.0.1"]),
        (("::1",), ["[::1]"], ["::1"]),
        (("0",), ["0.0.0.0"], ["127.0.0.1"]),
    ],
    ids=str,
)
def test_an_address_that_another_one_covers_is_not_listened_on_twice(hosts, listened, reached):
    port = free_port()
    assert [str(one) for one in addresses(hosts, port)] == [f"{host}:{port}" for host in listened]
    with contextlib.ExitStack() as stack:
        for listener in bind(hosts, port):
            stack.enter_context(listener)
        assert answering(port) == set(reached)


@pytest.mark.parametrize(
    ("hosts", "targets"),
    [
        (("0.0.0.0", "::"), ["0.0.0.0:7"]),
        (("127.0.0.1", "::"), ["[::]:7"]),
        (("0.0.0.0", "::1"), ["0.0.0.0:7"]),
        (("127.0.0.1", "::1"), ["127.0.0.1:7", "[::1]:7"]),
    ],
)
def test_grpc_gets_one_wildcard_because_it_takes_either_for_both_families(hosts, targets):
    assert grpc_targets(addresses(hosts, 7)) == targets


def test_a_name_is_listened_on_at_all_its_addresses_that_this_host_has():
    port = free_port()
    with contextlib.ExitStack() as stack:
        for listener in bind(("localhost", "127.0.0.1"), port):
            stack.enter_context(listener)
        known = {one[4][0] for one in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
        assert "127.0.0.1" in answering(port)
        assert answering(port) <= known


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 64])
def test_a_name_without_an_address_is_refused_by_name(host):
    with pytest.raises(BindFailed, match=f"Cannot listen on {host}:7: "):
        addresses((host,), 7)


def test_a_host_without_ipv6_serves_both_wildcards_on_ipv4_and_says_so(repository):
    arguments = (
        "--model_name", "m", "--model_path", str(repository / "dummy"),
        "--rest_bind_address", "::,0.0.0.0", "--grpc_bind_address", "0.0.0.0,::",
    )  # fmt: skip
    with ServerProcess(*arguments, prefix=WITHOUT_IPV6) as server:
        server.wait_ready()
        assert is_served(server.grpc)
        assert f"this host has no IPv6: [::]:{server.rest_port} is left out" in server.log()


@pytest.mark.parametrize("option", ["--rest_bind_address", "--grpc_bind_address"])
@pytest.mark.parametrize("host", ["::", "::1"])
def test_a_host_without_ipv6_refuses_an_ipv6_address_alone_saying_why(repository, option, host):
    ports = [str(free_port()), str(free_port())]
    ended = run_to_end(
        "--model_name", "m", "--model_path", str(repository / "dummy"),
        "--port", ports[0], "--rest_port", ports[1], option, host, prefix=WITHOUT_IPV6,
    )  # fmt: skip
    assert ended.returncode == 1
    port = ports[option.startswith("--rest")]
    assert f"Cannot listen on [{host}]:{port}: this host has no IPv6; use 0.0.0.0" in ended.stderr
    assert "Traceback" not in ended.stderr
