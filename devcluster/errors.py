"""The errors of the local cluster: one tree, each with an exit code and a message that says what to do.

DevclusterError
├── RequirementMissing   the machine lacks something (root, Go, an engine, disk space)
├── PortTaken            a port was in use
├── CommandFailed        a program that we ran ended with an error
├── NotReady             something started but was not ready in time
└── UnknownCluster       there is no cluster of that name
"""


class DevclusterError(Exception):
    exit_code = 1


class RequirementMissing(DevclusterError):
    exit_code = 3


class PortTaken(DevclusterError):
    exit_code = 4


class CommandFailed(DevclusterError):
    exit_code = 5

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class NotReady(DevclusterError):
    exit_code = 6


class UnknownCluster(DevclusterError):
    exit_code = 7
