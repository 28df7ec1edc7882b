"""What the trainer eats: batches of real and synthetic documents, made ahead in the background."""

import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from distilrank.letor import Dataset, ranges
from distilrank.lightgbm_text import read_lightgbm_text
from distilrank.native import declare, load
from distilrank.scorer import Scorer
from distilrank.student import Student
from distilrank.synthetic import Midpoints, random_words

Score = Callable[[np.ndarray], np.ndarray]
# Batches that wait for the trainer, for each thread that makes them.
_AHEAD = 4
# Documents that are made at a time.
_BLOCK = 512
# Apart from the numbers of epochs, which the order of documents is drawn by.
_ORDER, _SYNTHETIC = 0, 1


class ForestTeacher:
    """Scores raw rows with a forest, by the native scorer, from any number of threads at once."""

    def __init__(self, model: str | os.PathLike, library: str | os.PathLike | None = None) -> None:
        """Read the LightGBM text ``model``.

        Raises:
            ValueError: if it is no forest that can be scored.
            OSError: if the native library is missing.
        """
        self._scorer = Scorer(read_lightgbm_text(model), library=library)
        self._own = threading.local()
        self._cloning = threading.Lock()

    @property
    def n_features(self) -> int:
        return self._scorer.n_features

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(documents, features) float32 to (documents,) float32 raw scores."""
        if not hasattr(self._own, "scorer"):
            with self._cloning:
                self._own.scorer = self._scorer.clone()
        return self._own.scorer.score(rows)


@dataclass(frozen=True)
class Batch:
    """Documents of one training step: the real ones, then the synthetic ones.

    Attributes:
        rows: (documents, features) float32 z-scores.
        targets: (documents,) float32, what the student should score.
        sizes: (queries,) the documents of each query, where real documents come by query.
        seed: below 2**32, of what is random in the step itself.
    """

    rows: np.ndarray
    targets: np.ndarray
    sizes: np.ndarray | None = None
    seed: int = 0


class _ZScore(ctypes.Structure):
    _fields_ = [
        ("n_features", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("mean", "scale", "fill")),
    ]


class _Midpoints(ctypes.Structure):
    _fields_ = [
        ("n_features", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("starts", "counts", "values")),
    ]


def _library(path: str | os.PathLike | None) -> ctypes.CDLL:
    library, pointer, int64 = load(path), ctypes.c_void_p, ctypes.c_int64
    signatures = {
        "standardise": (int64, [pointer, pointer, int64, pointer, int64, pointer]),
        "draw": (None, [pointer, pointer, int64, pointer, pointer]),
    }
    declare(library, "", signatures)
    return library


class NativeZScore:
    """``native/feed.cpp``: raw documents as z-scores, `Student.standardised` in float32."""

    def __init__(
        self, mean: np.ndarray, scale: np.ndarray, fill: np.ndarray | None,
        library: str | os.PathLike | None = None,
    ) -> None:  # fmt: skip
        """Take a network's (features,) ``mean``, ``scale`` and ``fill``.

        Raises:
            OSError: if the native library is missing.
        """
        self._run = _library(library).distilrank_standardise
        # Held here as long as the library reads them.
        self._arrays = [
            np.ascontiguousarray(mean, np.float64),
            np.ascontiguousarray(scale, np.float64),
            None if fill is None else np.ascontiguousarray(fill, np.float32),
        ]
        self._zscore = _ZScore(len(mean), *map(_address, self._arrays))

    def __call__(self, features: np.ndarray, documents: np.ndarray, rows: np.ndarray) -> int:
        """Write ``documents`` of ``features`` to the start of ``rows``.

        Args:
            features: (all documents, features) float32, row after row.
            documents: (n,) which ones.
            rows: (n or more, features) float32.

        Returns:
            How many values were missing.

        Raises:
            ValueError: if the features are no rows of float32.
        """
        if features.dtype != np.float32 or not features.flags.c_contiguous:
            raise ValueError(f"features of {features.dtype}, expected float32, row after row")
        documents = np.ascontiguousarray(documents, np.int64)
        return self._run(
            ctypes.byref(self._zscore), features.ctypes.data, features.shape[1],
            documents.ctypes.data, len(documents), rows.ctypes.data,
        )  # fmt: skip


class NativeMidpoints:
    """``native/feed.cpp``: `Midpoints.draw`, with the documents' z-scores."""

    def __init__(
        self, midpoints: Midpoints, student: Student, library: str | os.PathLike | None
    ) -> None:
        self._run = _library(library).distilrank_draw
        # Synthetic values are few: they are standardised once.
        owners = np.repeat(np.arange(student.n_features), np.diff(midpoints.offsets))
        deviations = midpoints.values.astype(np.float64) - student.mean[owners]
        standardised = (deviations / student.scale[owners]).astype(np.float32)
        self._arrays = [
            midpoints.offsets[:-1].astype(np.uint64),
            np.diff(midpoints.offsets).astype(np.uint64),
            np.column_stack([midpoints.values, standardised]),
        ]
        self._midpoints = _Midpoints(student.n_features, *map(_address, self._arrays))

    def draw(self, generator: np.random.Generator, rows: np.ndarray) -> np.ndarray:
        """Write z-scores of new documents to all ``rows``; the documents as they are."""
        raw, words = np.empty_like(rows), random_words(*rows.shape, generator)
        self._run(
            ctypes.byref(self._midpoints), words.ctypes.data, len(rows), raw.ctypes.data,
            rows.ctypes.data,
        )  # fmt: skip
        return raw


def _address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


class Feed:
    """All batches of a training, each made of its seed, epoch and step alone.

    So a batch is the same whatever thread makes it, and a training that was cut off goes on with
    the batches it would have had. Real documents, or whole queries, come in a new random order
    each epoch; synthetic ones are drawn anew for every batch and scored by the teacher.
    """

    def __init__(
        self, train: Dataset, targets: np.ndarray, student: Student, seed: int, batch: int,
        synthetic_per_real: float, midpoints: Midpoints, teacher: Score, by_query: bool = False,
        library: str | os.PathLike | None = None,
    ) -> None:  # fmt: skip
        """Take everything; no document is read yet.

        Args:
            train: the real documents; labels are not read.
            targets: (documents,) what they should score.
            student: whose z-score the rows get.
            batch: real documents a step; an epoch's last step may have fewer.
            synthetic_per_real: synthetic documents for each real one of a batch.
            midpoints, teacher: what synthetic documents are drawn from and scored by.
            by_query: a step takes whole queries, those that begin among its ``batch`` documents.
            library: the native library, where `native.find_library` finds it if not given.

        Raises:
            OSError: if the native library is missing.
        """
        self.train, self.targets, self.seed, self.batch_size = train, targets, seed, batch
        self.synthetic_per_real, self.midpoints, self.teacher = (
            synthetic_per_real, midpoints, teacher,
        )  # fmt: skip
        self.by_query, self._student = by_query, student
        self._standardise = NativeZScore(student.mean, student.scale, student.fill, library)
        self._synthetic = NativeMidpoints(midpoints, student, library)

    def epoch(
        self, epoch: int, threads: int, background: bool = False,
        plan: Sequence[np.ndarray] | None = None,
    ) -> Iterator[Batch]:  # fmt: skip
        """The batches of one epoch in order, some made ahead by ``threads`` threads.

        Args:
            background: make them while the trainer works, as suits a trainer on a GPU. Else both
                take turns: threads that get in the way of PyTorch's, which wait for each other
                many times a step, cost far more than they bring.
            plan: the epoch's, from whoever has drawn it already.
        """
        plan = self.plan(epoch) if plan is None else plan
        make = partial(self.batch, epoch, plan=plan)
        steps = iter(range(len(plan)))
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(threads, "feed") as pool:
            for _ in plan:
                if background or not waiting:
                    more = islice(steps, _AHEAD * threads - len(waiting))
                    waiting.extend([pool.submit(make, step) for step in more])
                if not background:
                    wait(waiting)
                yield waiting.popleft().result()

    def plan(self, epoch: int) -> list[np.ndarray]:
        """The real documents of each step of an epoch, or its queries: arrays of indices."""
        generator = np.random.default_rng([self.seed, epoch, _ORDER])
        if not self.by_query:
            order = generator.permutation(self.train.n_documents)
            return np.split(order, range(self.batch_size, len(order), self.batch_size))
        order = generator.permutation(self.train.n_queries)
        sizes = self.train.group_sizes[order]
        step = (np.cumsum(sizes) - sizes) // self.batch_size
        return np.split(order, np.flatnonzero(np.diff(step)) + 1)

    def batch(self, epoch: int, step: int, plan: Sequence[np.ndarray] | None = None) -> Batch:
        """One batch; ``step`` counts from 0 and ``epoch`` from 1."""
        chosen = np.sort((self.plan(epoch) if plan is None else plan)[step])
        sizes = self.train.group_sizes[chosen] if self.by_query else None
        real = chosen if sizes is None else ranges(self.train.offsets[chosen], sizes)
        drawn = round(len(real) * self.synthetic_per_real)
        rows = np.empty((len(real) + drawn, self.train.n_features), np.float32)
        targets = np.empty(len(rows), np.float32)
        targets[: len(real)] = self.targets[real]
        if self._standardise(self.train.features, real, rows) and self._student.fill is None:
            self._student.standardised(self.train.features[real])  # says what is missing where
        generator = np.random.default_rng([self.seed, epoch, _SYNTHETIC, step])
        for part in _blocks(len(real), len(rows)):
            targets[part] = self.teacher(self._synthetic.draw(generator, rows[part]))
        return Batch(rows, targets, sizes, int(generator.integers(2**32)))


def _blocks(start: int, stop: int) -> Iterator[slice]:
    """The rows from ``start`` to ``stop`` in parts that a core's own cache holds."""
    for at in range(start, stop, _BLOCK):
        yield slice(at, min(at + _BLOCK, stop))
