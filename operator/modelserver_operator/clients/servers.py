"""Asks the model servers: GET /status on the pods' status ports. Nothing here reaches the API server."""

import asyncio
from collections.abc import Iterable

import aiohttp

from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Reply, read_reply

_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
_LIMIT = 4 * 1024 * 1024
_PARALLEL = 64


class ServerClient:
    """One connection pool for all pods."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False)
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def ask(self, pods: Iterable[Pod], port: int) -> dict[str, Reply]:
        """The replies of all running pods, by uid."""
        running = [pod for pod in pods if pod.is_running and pod.address and not pod.is_leaving]
        replies = await asyncio.gather(*(self._ask(pod, port) for pod in running))
        return {pod.uid: reply for pod, reply in zip(running, replies, strict=True)}

    async def _ask(self, pod: Pod, port: int) -> Reply:
        host = f"[{pod.address}]" if ":" in pod.address else pod.address
        try:
            async with self._slots, self._session.get(f"http://{host}:{port}/status") as answer:
                if answer.status != 200:
                    return Reply(None, f"GET /status returned {answer.status}")
                document = await answer.content.read(_LIMIT)
        except TimeoutError:
            return Reply(None, f"no answer from {host}:{port} within {_TIMEOUT.total:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            return Reply(None, f"{host}:{port} cannot be reached: {error}")
        return read_reply(document)
