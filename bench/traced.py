"""Runs a program of ours and records every Python call into its package between two commands.

argv: package, file descriptor for the recordings, module, arguments of the module. Lines on standard input:
`begin`, `so_far` and `end`; each is answered by one line of JSON, the last two with the steps since `begin`.
"""

import importlib.util
import inspect
import json
import os
import runpy
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_LOOPS = ("asyncio/runners.py", "asyncio/base_events.py", "asyncio/events.py")
"""What stands between a callback of an event loop and the function that runs the loop."""
_SUSPENDS = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}


class Recorder:
    """Called by the interpreter for every Python call, in every thread that Python starts."""

    def __init__(self, directory: Path) -> None:
        self._prefix = f"{directory}{os.sep}"
        self._names: dict[CodeType, str | None] = {}
        self._steps: list[tuple[int, bool, bool, str, str]] = []
        self._is_on = False

    def begin(self) -> None:
        self._steps = []
        self._is_on = True

    def so_far(self) -> list[tuple[int, bool, bool, str, str]]:
        return list(self._steps)

    def end(self) -> list[tuple[int, bool, bool, str, str]]:
        self._is_on = False
        return self._steps

    def hook(self, frame: FrameType, event: str, _argument: Any) -> None:
        """For sys.setprofile."""
        if not self._is_on or event != "call":
            return
        file = self._file(frame.f_code)
        if file is None:
            return
        code = frame.f_code
        is_call = code.co_name not in _COMPREHENSIONS and not _is_resumed(frame)
        self._steps.append((threading.get_ident(), self._is_first(frame), is_call, file, code.co_qualname))

    def _file(self, code: CodeType) -> str | None:
        """The file in the package; None for what is not of it, and for bodies of modules and classes."""
        if code not in self._names:
            is_ours = code.co_filename.startswith(self._prefix) and code.co_flags & inspect.CO_OPTIMIZED
            self._names[code] = code.co_filename.removeprefix(self._prefix) if is_ours else None
        return self._names[code]

    def _is_first(self, frame: FrameType) -> bool:
        below = frame.f_back
        while below is not None and not below.f_code.co_filename.endswith(_LOOPS):
            if self._file(below.f_code) is not None:
                return False
            below = below.f_back
        return True


def _is_resumed(frame: FrameType) -> bool:
    """RESUME, where the interpreter reports calls, says in its argument whether this is the beginning."""
    code = frame.f_code
    return bool(code.co_flags & _SUSPENDS and code.co_code[frame.f_lasti + 1] & 3)


def _obey(recorder: Recorder, descriptor: int) -> None:
    with os.fdopen(descriptor, "w") as answers:
        for line in sys.stdin:
            command: Callable[[], object] = getattr(recorder, line.strip())
            answers.write(json.dumps(command()) + "\n")
            answers.flush()


def main() -> None:
    package, descriptor, module, *arguments = sys.argv[1:]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"no package {package}")
    recorder = Recorder(Path(spec.origin).parent)
    threading.Thread(target=_obey, args=(recorder, int(descriptor)), daemon=True).start()
    threading.setprofile(recorder.hook)
    sys.setprofile(recorder.hook)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
