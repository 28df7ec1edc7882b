"""Timing one engine, and the statistics and order that make times comparable.

Rounds of all engines are interleaved, so that a slow spell of the machine hits all of them; the
median leads and the raw samples are kept (google/benchmark, asv).
"""

import math
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from distilrank.engines.base import Engine, SelfTimedEngine

# A sample has at least so many calls, whatever a call costs: one call says too little.
CALLS_AT_LEAST = 3
# Rows kept for timing: more than fits a second-level cache, few enough for every child's memory.
DOCUMENTS_AT_MOST = 20_000


class Sampler:
    """Times one loaded engine on windows of documents that move on through the split."""

    def __init__(self, engine: Engine, rows: np.ndarray, batch: int) -> None:
        """Cut ``rows`` into windows.

        Args:
            engine: loaded for ``batch``.
            rows: (documents, features) float32 in query order; repeated where there are fewer
                than ``batch``.
            batch: documents a call.
        """
        self._engine, self._batch = engine, batch
        self._rows = enough_rows(rows, batch)
        starts = range(0, len(self._rows) - batch + 1, batch)
        self._windows = [self._rows[start : start + batch] for start in starts]
        self._next = 0
        self._seconds = 0.0

    def sample(self, milliseconds: float) -> float:
        """Microseconds a document: the mean over as many calls as fit ``milliseconds``.

        A few calls before the clock starts bring the engine's data back into the caches that
        another engine has used meanwhile.
        """
        if not self._seconds:
            self._seconds = self._time(CALLS_AT_LEAST)
        budget = milliseconds / 1000
        if not isinstance(self._engine, SelfTimedEngine):  # those warm up by themselves
            self._time(max(1, math.ceil(0.1 * budget / self._seconds)))
        self._seconds = self._time(max(CALLS_AT_LEAST, round(budget / self._seconds)))
        return self._seconds / self._batch * 1e6

    def _time(self, calls: int) -> float:
        """Mean seconds a call over the next ``calls`` windows."""
        if isinstance(self._engine, SelfTimedEngine):
            count = min(calls, len(self._windows))
            first = self._next if self._next + count <= len(self._windows) else 0
            self._next = first + count
            return self._engine.self_timed(
                self._rows[first * self._batch : self._next * self._batch]
            )
        windows = self._upcoming(calls)
        score = self._engine.score
        start = time.perf_counter()
        for window in windows:
            score(window)
        return (time.perf_counter() - start) / calls

    def _upcoming(self, calls: int) -> list[np.ndarray]:
        count = len(self._windows)
        first, self._next = self._next, (self._next + calls) % count
        return [self._windows[(first + call) % count] for call in range(calls)]


def enough_rows(rows: np.ndarray, batch: int) -> np.ndarray:
    """``rows`` in memory, row-major float32, repeated until there are at least ``batch``.

    Raises:
        ValueError: if there is no row.
    """
    if not len(rows):
        raise ValueError("there are no documents to time on: the test split is empty")
    repeats = -(-batch // len(rows))
    return np.ascontiguousarray(np.tile(rows, (repeats, 1)) if repeats > 1 else rows, np.float32)


def core_sets(threads: int) -> list[list[int]]:
    """The cores this process may use, in sets of ``threads``; one empty set where unknown.

    Children load on different sets at once, and are then all timed on the last one.
    """
    if not hasattr(os, "sched_getaffinity"):
        return [[]]
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise ValueError(f"{threads} threads asked for, and this process may use {len(cores)}")
    return [cores[at : at + threads] for at in range(0, len(cores) - threads + 1, threads)]


def round_order(names: Sequence[str], round_number: int) -> list[str]:
    """Every name once: turned by one place every second round, and backwards in between.

    No engine then always follows the same other one, whose data it would find in the caches.
    """
    turn = round_number // 2 % len(names) if names else 0
    order = [*names[turn:], *names[:turn]]
    return order[::-1] if round_number % 2 else order


def summarise(samples: Sequence[float]) -> dict[str, Any]:
    """Samples with their median and quartiles (linear interpolation).

    Raises:
        ValueError: if there is no sample, or one is not a positive number.
    """
    values = np.asarray(samples, dtype=np.float64)
    if not values.size or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"times must be positive numbers, found {list(samples)}")
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    return {
        "samples": values.tolist(),
        "median": float(median),
        "q1": float(q1),
        "q3": float(q3),
    }
