"""The addresses a port listens on: names resolved, each address once, none that another one covers."""

import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from modelserver.errors import BindFailed

LOG = logging.getLogger(__name__)
_ANY4, _ANY6 = IPv4Address(0), IPv6Address(0)


@dataclass(frozen=True)
class Address:
    """One address and port to listen on."""

    host: str
    """As the option has it."""
    ip: IPv4Address | IPv6Address
    family: socket.AddressFamily
    place: Any
    """As `bind` takes it."""
    v6_only: bool = False
    """Whether :: leaves IPv4 to 0.0.0.0, which is listed as well."""

    def __str__(self) -> str:
        """With its port, as in URLs."""
        name, port = socket.getnameinfo(self.place, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        return f"[{name}]:{port}" if self.family is socket.AF_INET6 else f"{name}:{port}"


def addresses(hosts: Sequence[str], port: int) -> list[Address]:
    """What to listen on; BindFailed for a name without an address, and for IPv6 where the host has none.

    :: takes IPv4 as well. Next to 0.0.0.0 it is optional, so that one command line fits every host.
    """
    found = list({one.ip: one for host in hosts for one in _resolved(host, port)}.values())
    ips = {one.ip for one in found}
    if not _has_ipv6():
        found = [one for one in found if one.family is not socket.AF_INET6 or _require_other(one, ips)]
    return [
        Address(one.host, one.ip, one.family, one.place, one.ip == _ANY6 and _ANY4 in ips)
        for one in found
        if not _is_covered(one.ip, ips)
    ]


def grpc_targets(found: Sequence[Address]) -> list[str]:
    """The same for gRPC, which takes either of 0.0.0.0 and :: for every address of both families."""
    wildcards = [str(one) for one in found if one.ip in (_ANY4, _ANY6)]
    return wildcards[:1] or [str(one) for one in found]


def _resolved(host: str, port: int) -> list[Address]:
    try:
        known = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BindFailed(f"Cannot listen on {host}:{port}: {error.strerror or error}") from error
    except UnicodeError as error:
        raise BindFailed(f"Cannot listen on {host}:{port}: invalid host name") from error
    found = [_address(host, family, place) for family, _, _, _, place in known]
    # Many hosts know localhost as ::1 too, though they have no IPv6.
    usable = [one for one in found if len(found) == 1 or _is_here(one)]
    return usable or found


def _address(host: str, family: socket.AddressFamily, place: Any) -> Address:
    """::ffff:10.0.0.1 is 10.0.0.1."""
    ip = ip_address(place[0])
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    if mapped is not None:
        return Address(host, mapped, socket.AF_INET, (str(mapped), place[1]))
    return Address(host, ip, family, place)


def _is_covered(ip: IPv4Address | IPv6Address, ips: set[IPv4Address | IPv6Address]) -> bool:
    if isinstance(ip, IPv6Address):
        return ip != _ANY6 and _ANY6 in ips
    return ip != _ANY4 and not ips.isdisjoint((_ANY4, _ANY6))


def _is_here(address: Address) -> bool:
    """Whether this host has the address."""
    try:
        with socket.socket(address.family, socket.SOCK_STREAM) as probe:
            probe.bind((address.place[0], 0, *address.place[2:]))
    except OSError:
        return False
    return True


def _has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def _require_other(one: Address, ips: set[IPv4Address | IPv6Address]) -> bool:
    """False where this host can do without the IPv6 address; raises BindFailed where it cannot."""
    if one.ip != _ANY6 or _ANY4 not in ips:
        raise BindFailed(f"Cannot listen on {one}: this host has no IPv6; use 0.0.0.0 or an IPv4 address")
    LOG.info("this host has no IPv6: %s is left out", one)
    return False
