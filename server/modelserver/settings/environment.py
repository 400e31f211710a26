"""Options from the environment, for containers: MODELSERVER_REST_PORT is --rest_port; the command line wins.

Kubernetes describes a Service named `modelserver` to every pod of its namespace in variables of the
same prefix (MODELSERVER_PORT=tcp://10.0.0.1:80, MODELSERVER_SERVICE_HOST, ...): they are not for us.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from modelserver.settings.texts import shown, trimmed

PREFIX = "MODELSERVER_"
WORKERS = "GRPC_SERVERS"
"""OVMS's own: it overrides grpc_workers, even one that is on the command line."""
_LINK = re.compile(r"(tcp|udp|sctp)://.*")
_LINK_NAME = re.compile(r".*SERVICE_(HOST|PORT(_.+)?)|(.*_)?PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")


@dataclass(frozen=True)
class FromEnvironment:
    """What the environment says."""

    arguments: tuple[str, ...] = ()
    """To be put before those of the command line."""
    names: tuple[str, ...] = ()
    """The variables they come from."""
    workers: int | None = None
    warnings: tuple[str, ...] = ()

    def explain(self, message: str) -> str:
        """The message of an error, with the variables that are behind it: those it names, else all."""
        blamed = [name for name in self.names if _mentions(message, name)] or self.names
        return f"{message} (set in the environment: {', '.join(blamed)})" if blamed else message


def read(variables: Mapping[str, str], argv: Sequence[str], options: Collection[str]) -> FromEnvironment:
    """The options among the variables that the command line does not give."""
    given = {item.partition("=")[0][2:].replace("-", "_") for item in argv if item.startswith("--")}
    arguments, names, warnings = [], [], []
    for name, given_value in sorted(variables.items()):
        value = trimmed(given_value)
        option = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or not value or option in given:
            continue
        if option in options and not _LINK.fullmatch(value):
            arguments.append(f"--{option}={value}")
            names.append(name)
        elif option in options:
            warnings.append(
                f"{name}={value} describes a Kubernetes Service, not --{option}: it is ignored;"
                " enableServiceLinks: false in the pod avoids it"
            )
        elif not _LINK.fullmatch(value) and not _LINK_NAME.fullmatch(name.removeprefix(PREFIX)):
            warnings.append(f"the environment variable {name} is not an option of this server and is ignored")
    workers, doubts = _workers(variables.get(WORKERS))
    return FromEnvironment(
        tuple(arguments),
        tuple(names) if workers is None else (*names, WORKERS),
        workers,
        (*warnings, *doubts),
    )


def _workers(given: str | None) -> tuple[int | None, tuple[str, ...]]:
    value = trimmed(given or "")
    if not value:
        return None, ()
    if not re.fullmatch(r"[1-9][0-9]{0,5}", value):
        return None, (f"{WORKERS}={shown(value)} is not a number of workers and is ignored",)
    return int(value), ()


def _mentions(message: str, variable: str) -> bool:
    option = "grpc_workers" if variable == WORKERS else variable.removeprefix(PREFIX).lower()
    return re.search(rf"(?<![a-z_]){option}(?![a-z_])", message) is not None
