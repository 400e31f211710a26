"""When a kind is listed: each in its turn, and one whose watch broke right away."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence

from modelserver_operator.errors import ApiError

_GATHER_SECONDS = 2.0
_logger = logging.getLogger(__name__)


class Relist:
    """Finds what no watch told."""

    def __init__(
        self, kinds: Sequence[str], seconds: float, list_kind: Callable[[str], Awaitable[None]]
    ) -> None:
        self._kinds = kinds
        self._seconds = seconds
        self._list = list_kind
        self._suspects: asyncio.Queue[str] = asyncio.Queue()
        self._suspected: set[str] = set()
        self._heard: set[str] = set()

    async def run(self) -> None:
        """One kind after the other, each once in `seconds`, and at once a kind whose watch broke."""
        kinds = itertools.cycle(self._kinds)
        while True:
            kind = ""
            with contextlib.suppress(TimeoutError):
                kind = await asyncio.wait_for(self._suspects.get(), self._seconds / len(self._kinds))
                await asyncio.sleep(_GATHER_SECONDS)
            self._suspected.discard(kind)
            try:
                await self._list(kind or next(kinds))
            except ApiError as error:
                _logger.warning("a kind could not be listed: %s", error)

    def hear(self, kind: str, change: str | None, uid: str) -> None:
        """Kopf lists a kind anew when its watch broke; what was deleted meanwhile is in no event.

        A whole kind may be gone, and then nothing tells of its watch: what broke one suspects all.
        """
        if change == "DELETED":
            self._heard.discard(uid)
        elif change is None and uid in self._heard:
            for suspect in (kind, *self._kinds):
                self._suspect(suspect)
        else:
            self._heard.add(uid)

    def _suspect(self, kind: str) -> None:
        if kind not in self._suspected:
            self._suspected.add(kind)
            self._suspects.put_nowait(kind)
