"""How numbers of CPUs are said."""

from collections.abc import Sequence

from modelserver_operator.observed.pod import Pod

_MOST = 8


def count(pod: Pod) -> str:
    """The CPUs that a pod requests."""
    return counted(int(pod.cpu_request))


def counted(number: int) -> str:
    """1 CPU, 2 CPUs."""
    return "1 CPU" if number == 1 else f"{number} CPUs"


def listed(cpus: Sequence[int]) -> str:
    """As in: CPUs 3, 5."""
    shown = ", ".join(map(str, cpus[:_MOST])) + (", …" if len(cpus) > _MOST else "")
    return f"CPU{'' if len(cpus) == 1 else 's'} {shown}"
