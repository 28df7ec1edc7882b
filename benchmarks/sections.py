"""Where a program's time goes, by the functions that it calls, in every thread of Python's."""

import inspect
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any


class Sections:
    """Seconds in named functions, from entering this until leaving it.

    A function's time is its own and that of what it calls, less that of other named ones. It costs
    some hundred nanoseconds a call of any function.

    Attributes:
        main: seconds of the thread that entered, by section; what is not named goes to ``""``.
        others: the same, of all threads begun meanwhile together.
    """

    def __init__(self, named: Mapping[Callable[..., Any], str]) -> None:
        """Prepare; ``named`` are Python functions and their sections."""
        self._named: dict[CodeType, str] = {
            inspect.unwrap(function).__code__: section for function, section in named.items()
        }
        self._local = threading.local()
        self.main: dict[str, float] = defaultdict(float)
        self._threads: list[dict[str, float]] = []

    def __enter__(self) -> "Sections":
        self._begin(self.main)
        threading.setprofile(self._event)
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)
        self._count()

    @property
    def others(self) -> dict[str, float]:
        total: dict[str, float] = defaultdict(float)
        for seconds in self._threads:
            for section, value in seconds.items():
                total[section] += value
        return total

    def _begin(self, seconds: dict[str, float]) -> None:
        self._local.seconds, self._local.inside = seconds, [""]
        self._local.since = time.perf_counter()

    def _count(self) -> None:
        now = time.perf_counter()
        self._local.seconds[self._local.inside[-1]] += now - self._local.since
        self._local.since = now

    def _event(self, frame: FrameType, event: str, _: Any) -> None:
        section = self._named.get(frame.f_code)
        if section is None or event not in ("call", "return"):
            return
        if not hasattr(self._local, "seconds"):
            self._threads.append(defaultdict(float))
            self._begin(self._threads[-1])
        self._count()
        if event == "call":
            self._local.inside.append(section)
        elif len(self._local.inside) > 1:  # it may have been entered before the clock began
            self._local.inside.pop()
