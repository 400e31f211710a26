"""The errors of the local cluster: one tree, each with an exit code and a message that says what to do.

DevclusterError
├── RequirementMissing   the machine lacks something (root, Go, an engine, disk space)
├── PortTaken            an address asked for is in use
├── CommandFailed        a program we started ended with an error
├── NotReady             something started but did not become ready in time
└── UnknownCluster       no cluster of that name
"""

from pathlib import Path


class DevclusterError(Exception):
    exit_code = 1


class RequirementMissing(DevclusterError):
    exit_code = 3


class PortTaken(DevclusterError):
    exit_code = 4


class CommandFailed(DevclusterError):
    exit_code = 5

    def __init__(self, command: str, output: str, log: Path | None = None) -> None:
        where = f"\nThe whole output is in {log}." if log else ""
        super().__init__(f"This command failed: {command}\n{output.strip()}{where}")
        self.output = output


class NotReady(DevclusterError):
    exit_code = 6


class UnknownCluster(DevclusterError):
    exit_code = 7
