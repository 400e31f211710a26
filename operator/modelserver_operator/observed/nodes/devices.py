"""Device files that servers found and could not open."""

from collections.abc import Iterable, Mapping

from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import DeviceFile, Reply


def refused(reply: Reply | None) -> tuple[DeviceFile, ...]:
    """Those of one server."""
    if reply is None or reply.status is None or reply.status.devices is None:
        return ()
    return tuple(file for file in reply.status.devices.files if not file.usable)


def unusable(pods: Iterable[Pod], replies: Mapping[str, Reply]) -> tuple[int, ...]:
    """The groups of the files that pods could not open."""
    found = {file.group for pod in pods if not pod.is_leaving for file in refused(replies.get(pod.uid))}
    return tuple(sorted(found))
