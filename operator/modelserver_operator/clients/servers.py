"""Ask the servers: GET /status on the pods' status ports. Nothing here reaches the API server."""

import asyncio
from collections.abc import Iterable

import aiohttp

from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Report, read_report

_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
_LIMIT = 4 * 1024 * 1024
_PARALLEL = 64


class Prober:
    """One connection pool for all pods."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False)
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def ask(self, pods: Iterable[Pod], port: int) -> dict[str, Report]:
        """The reports of all pods that run, by uid."""
        running = [pod for pod in pods if pod.is_running and pod.address and not pod.is_leaving]
        reports = await asyncio.gather(*(self._ask(pod, port) for pod in running))
        return {pod.uid: report for pod, report in zip(running, reports, strict=True)}

    async def _ask(self, pod: Pod, port: int) -> Report:
        host = f"[{pod.address}]" if ":" in pod.address else pod.address
        try:
            async with self._slots, self._session.get(f"http://{host}:{port}/status") as answer:
                if answer.status != 200:
                    return Report(None, f"GET /status answered {answer.status}")
                document = await answer.content.read(_LIMIT)
        except TimeoutError:
            return Report(None, f"no answer from {host}:{port} within {_TIMEOUT.total:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            return Report(None, f"{host}:{port} cannot be reached: {error}")
        return read_report(document)
