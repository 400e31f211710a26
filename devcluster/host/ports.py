"""Free ports on loopback."""

import contextlib
import socket


def free(count: int) -> list[int]:
    """Different ports that are free now; the kernel does not assign them again immediately."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As docker's proxy does, so that a closing connection does not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def prefer(wanted: range) -> dict[int, int]:
    """Each port of a range, mapped to itself if that is free on loopback, otherwise to another free port."""
    taken = [port for port in wanted if not is_free(port)]
    return {port: port for port in wanted} | dict(zip(taken, free(len(taken)), strict=True))
