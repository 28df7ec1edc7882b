"""Timing random networks in the native scorer, whole and step by step, to fit a time model on.

Times are of the thread's own processor clock: what other programs do on this core does not count.
Rounds go over all networks in a new order each; a network is made ready anew in every round, so
that where its weights happen to lie in memory averages out.
"""

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

import numpy as np

from distilrank.blueprints import Blueprint, make_network
from distilrank.forest import Forest
from distilrank.forest_times import ForestFacts, ForestSample
from distilrank.native_net import PER_WORD
from distilrank.progress import progress
from distilrank.student import Student
from distilrank.timing import CALLS_AT_LEAST, core_sets

PRECISIONS = tuple(PER_WORD)
# Rows come from where a split's do that is scored again and again: 4 MB are more than a
# second-level cache holds, and stay in the third.
_VALUES = 2**20
_WINDOWS_AT_MOST = 5000
_PROFILES_AT_MOST = 200

Point = tuple[str, str, int]  # a network's name, precision and batch


class Bench:
    """Measures networks on one core, with rows from memory."""

    def __init__(self, settings: Mapping[str, Any], batches: Sequence[int]) -> None:
        """Args:
        settings: the config's ``calibration`` section.
        batches: documents a call, beside each network's own.
        """
        self._settings, self._batches = settings, list(batches)
        generator = np.random.default_rng(settings["seed"])
        self._generator = generator
        self._memory = generator.standard_normal(_VALUES, dtype=np.float32)
        self._scratch = np.ones(_VALUES // 2, np.float32)
        self.levels: dict[str, str] = {}

    def measure(
        self, blueprints: Sequence[Blueprint], only: Collection[Point] | None = None
    ) -> list[dict[str, Any]]:
        """One line for each network, precision, batch and round.

        Args:
            only: the points that are wanted; all if not given.
        """
        rounds = self._settings["rounds"]
        students = [make_network(blueprint) for blueprint in blueprints]
        lines = []
        with _one_core():
            for number in progress(range(rounds), "calibration rounds"):
                for index in self._generator.permutation(len(students)).tolist():
                    blueprint = blueprints[index]
                    line = {"network": blueprint.name, "part": blueprint.part}
                    for precision in self._generator.permutation(PRECISIONS).tolist():
                        line |= {"precision": precision, "round": number}
                        batches = self._wanted(blueprint, precision, only)
                        lines += [
                            line | timed
                            for timed in self._timed(students[index], precision, batches)
                        ]
        return lines

    def measure_forests(self, forests: Sequence[tuple[str, Forest]]) -> list[ForestSample]:
        """Each forest at each of the config's batches, microseconds a call in each round."""
        from distilrank.engines import make_engine

        times: dict[tuple[int, int], list[float]] = {}
        engines: list[Any] = []
        for _, forest in forests:
            engines.append(make_engine("native-forest"))
            engines[-1].load(forest, 1)
        if engines:
            self.levels["forest"] = engines[0].describe()["level"]
        points = [(index, batch) for index in range(len(forests)) for batch in self._batches]
        with _one_core():
            for _ in progress(range(self._settings["rounds"]), "calibration rounds of forests"):
                for at in self._generator.permutation(len(points)).tolist():
                    index, batch = points[at]
                    engines[index].resize(batch)
                    windows = self._windows(forests[index][1].n_features, batch)
                    whole = mean_call(engines[index], cycle(windows), self._settings["sample_ms"])
                    times.setdefault(points[at], []).append(whole[0] * 1e6)
        facts = [ForestFacts.of(forest) for _, forest in forests]
        return [
            ForestSample(forests[index][0], facts[index], batch, tuple(times[index, batch]))
            for index, batch in points
        ]

    def _wanted(
        self, blueprint: Blueprint, precision: str, only: Collection[Point] | None
    ) -> list[int]:
        batches = sorted({*self._batches, blueprint.batch})
        if only is None:
            return batches
        return [batch for batch in batches if (blueprint.name, precision, batch) in only]

    def _timed(
        self, student: Student, precision: str, batches: Sequence[int]
    ) -> Iterator[dict[str, Any]]:
        from distilrank.engines import make_engine

        if not batches:
            return
        engine: Any = make_engine(f"native-{precision}")
        engine.load(student, 1)
        self.levels[precision] = engine.describe()["level"]
        for batch in batches:
            engine.resize(batch)
            # All rows are then equally far, whatever was scored meanwhile: in the third level.
            self._memory.sum()
            self._scratch.sum()
            windows = self._windows(student.n_features, batch)
            yield {"batch": batch} | sample(engine, windows, self._settings["sample_ms"])

    def _windows(self, features: int, batch: int) -> list[np.ndarray]:
        """Row-major blocks of rows, one behind the other, from a random one on."""
        size = features * batch
        count = max(1, min(len(self._memory) // size, _WINDOWS_AT_MOST))
        memory = self._memory if size <= len(self._memory) else np.resize(self._memory, size)
        rows = memory[: count * size].reshape(count, batch, features)
        start = int(self._generator.integers(count))
        return [rows[(start + each) % count] for each in range(count)]


def sample(engine: Any, windows: Sequence[np.ndarray], milliseconds: float) -> dict[str, Any]:
    """``microseconds`` a call and ``steps``: the mean, and medians, of what fits the time.

    Every call scores the windows behind those of the call before, so that none finds its rows in a
    nearer cache than another.
    """
    upcoming = cycle(windows)
    whole, calls = mean_call(engine, upcoming, milliseconds)
    profile = engine.scorer.profile
    inside = [profile(rows) for rows in islice(upcoming, min(calls, _PROFILES_AT_MOST))]
    steps = np.median(inside, axis=0) * 1e6
    return {"microseconds": whole * 1e6, "steps": " ".join(f"{step:.4f}" for step in steps)}


def mean_call(
    engine: Any, upcoming: Iterator[np.ndarray], milliseconds: float
) -> tuple[float, int]:
    """Seconds a call, the mean of as many calls as fit the time; and how many these are."""
    _seconds(engine.score, upcoming, CALLS_AT_LEAST)  # warms the caches
    seconds = _seconds(engine.score, upcoming, CALLS_AT_LEAST)
    calls = max(CALLS_AT_LEAST, round(milliseconds / 1000 / max(seconds, 1e-7)))
    return _seconds(engine.score, upcoming, calls), calls


def _seconds(score: Any, upcoming: Iterator[np.ndarray], calls: int) -> float:
    """Mean seconds a call, by the thread's own clock."""
    rows = list(islice(upcoming, calls))
    start = time.thread_time()
    for each in rows:
        score(each)
    return (time.thread_time() - start) / calls


@contextmanager
def _one_core() -> Iterator[None]:
    """Keep this thread on the last core it may use."""
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, core_sets(1)[-1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
