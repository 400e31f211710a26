"""Asks one model server: GET /status on a pod's status port. Nothing here reaches the API server."""

import asyncio
import contextlib

import aiohttp

from modelserver_operator.observed.report import Answer, ProbeOutcome

_SILENCE_SECONDS = 2.0
"""The longest wait for a connection, and between two parts of an answer."""
_TIMEOUT = aiohttp.ClientTimeout(total=5.0, sock_connect=_SILENCE_SECONDS, sock_read=_SILENCE_SECONDS)
_LIMIT = 4 * 1024 * 1024
_ORDINARY, _LARGE = 256 * 1024, 4
"""Bytes above which a document waits for its turn, and how many have one: all could fill the memory."""
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class ServerClient:
    """Requests to pods, each on a connection of its own: a pod is asked too rarely to keep one open."""

    def __init__(self, limit: int = _LIMIT) -> None:
        """`limit`: bytes of the largest document that is read."""
        self._limit = limit
        self._large = asyncio.Semaphore(_LARGE)
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT,
            trust_env=False,
            # The caller bounds the number of requests; a limit here would let silent pods block the others.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            # What a pod's image answers is not trusted: a compressed document could expand without a limit.
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def ask(self, address: str, port: int) -> Answer:
        """The whole document, or why there is none; does not raise."""
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{port}/status"
        try:
            # A redirect would send the operator wherever the pod's image wants it to go.
            async with self._session.get(url, headers=_HEADERS, allow_redirects=False) as response:
                if response.status != 200:
                    return Answer(
                        ProbeOutcome.REJECTED, problem=f"GET {url} returned {response.status} instead of 200"
                    )
                return await self._read(response)
        except aiohttp.ConnectionTimeoutError:
            problem = f"no connection to {host}:{port} within {_SILENCE_SECONDS:.0f} s"
            return Answer(ProbeOutcome.TIMED_OUT, problem=problem)
        except TimeoutError:
            return Answer(ProbeOutcome.TIMED_OUT, problem=f"{host}:{port} does not answer")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(ProbeOutcome.UNREACHABLE, problem=f"{host}:{port} cannot be reached: {error}")

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        """To the end: a document of more than one network segment arrives in parts."""
        document, turn = bytearray(), contextlib.AsyncExitStack()
        async with turn:
            is_large = False
            async for part in response.content.iter_any():
                document += part
                if len(document) > self._limit:
                    return Answer(
                        ProbeOutcome.TOO_LARGE, problem=f"its /status is larger than {self._limit} bytes"
                    )
                if len(document) > _ORDINARY and not is_large:
                    is_large = True
                    async with asyncio.timeout(_SILENCE_SECONDS):
                        await turn.enter_async_context(self._large)
            return Answer(ProbeOutcome.ANSWERED, bytes(document))
