"""Big texts are parsed in a thread, so that the event loop answers others meanwhile.

Between two of a parser's steps the loop gets its turn.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from modelserver.errors import DeadlineExceeded

T = TypeVar("T")
ON_LOOP_BYTES = 1 << 18
"""Up to here parsing takes a few milliseconds at most, and changing threads pays least."""


class Parser:
    """Parses one text after the other in the parsing thread."""

    def __init__(self, thread: Executor) -> None:
        self._thread = thread

    async def parse(self, decode: Callable[[], T], deadline: float | None) -> T:
        """What `decode` gives; DeadlineExceeded where its turn comes too late."""
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.get_running_loop().run_in_executor(self._thread, decode)
        except TimeoutError:
            raise DeadlineExceeded("the time allowed ran out before the request was parsed") from None
