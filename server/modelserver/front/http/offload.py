"""Big texts are parsed and big bodies unpacked beside the event loop: it answers others meanwhile.

One thread, because parsers hold the interpreter's lock: more of them would only wait for each other,
and the loop for all of them. Between two of a parser's steps the loop gets its turn.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from modelserver.errors import DeadlineExceeded
from modelserver.tensors import Request, Spec

ON_LOOP_BYTES = 1 << 18
"""Up to here parsing takes a few milliseconds at most, and changing threads pays least."""


UNPACKING = ThreadPoolExecutor(1, "unpack")
"""Big bodies are unpacked in one thread, where they take turns piece by piece."""


class Parser:
    """Parses one text after the other in its own thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "parse")

    async def decode(
        self, decode: Callable[[Sequence[Spec]], Request], deadline: float | None, inputs: Sequence[Spec]
    ) -> Request:
        """What `decode` gives; DeadlineExceeded where its turn comes too late."""
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.get_running_loop().run_in_executor(self._thread, decode, inputs)
        except TimeoutError:
            raise DeadlineExceeded("the time allowed ran out before the request was parsed") from None
