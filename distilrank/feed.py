"""What the trainer eats: batches of real and synthetic documents, made ahead in the background."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from distilrank.letor import MISSING, Dataset
from distilrank.readers import read_forest
from distilrank.scorer import Scorer
from distilrank.student import Student
from distilrank.synthetic import Midpoints

Score = Callable[[np.ndarray], np.ndarray]
# Batches that wait for the trainer, for each thread that makes them.
_AHEAD = 4
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
        self._scorer = Scorer(read_forest(model), library=library)
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
    """

    rows: np.ndarray
    targets: np.ndarray


class Feed:
    """All batches of a training, each made of its seed, epoch and step alone.

    So a batch is the same whatever thread makes it, and a training that was cut off goes on with
    the batches it would have had. Real documents come in a new random order each epoch; synthetic
    ones are drawn anew for every batch and scored by the teacher.
    """

    def __init__(
        self, train: Dataset, targets: np.ndarray, student: Student, seed: int, batch: int,
        synthetic_per_real: float, midpoints: Midpoints, teacher: Score,
    ) -> None:  # fmt: skip
        """Take everything; no document is read yet.

        Args:
            train: the real documents; labels are not read.
            targets: (documents,) what they should score.
            student: whose z-score the rows get.
            batch: real documents a step; an epoch's last step may have fewer.
            synthetic_per_real: synthetic documents for each real one of a batch.
            midpoints, teacher: what synthetic documents are drawn from and scored by.
        """
        self.train, self.targets, self.seed, self.batch_size = train, targets, seed, batch
        self.synthetic_per_real, self.midpoints, self.teacher = (
            synthetic_per_real, midpoints, teacher,
        )  # fmt: skip
        self._student = student
        # Synthetic values are few: they are standardised once.
        owners = np.repeat(np.arange(train.n_features), np.diff(midpoints.offsets))
        deviations = midpoints.values.astype(np.float64) - student.mean[owners]
        self._standardised = (deviations / student.scale[owners]).astype(np.float32)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.train.n_documents // self.batch_size)

    @property
    def rows(self) -> int:
        """Documents of an epoch, real and synthetic."""
        full, rest = divmod(self.train.n_documents, self.batch_size)
        drawn = full * self._drawn(self.batch_size) + self._drawn(rest)
        return self.train.n_documents + drawn

    def epoch(self, epoch: int, threads: int, background: bool = False) -> Iterator[Batch]:
        """The batches of one epoch in order, some made ahead by ``threads`` threads.

        Args:
            background: make them while the trainer works, as suits a trainer on a GPU. Else both
                take turns: threads that get in the way of PyTorch's, which wait for each other
                many times a step, cost far more than they bring.
        """
        make = partial(self.batch, epoch, order=self.order(epoch))
        steps = iter(range(self.steps))
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(threads, "feed") as pool:
            for _ in range(self.steps):
                if background or not waiting:
                    more = islice(steps, _AHEAD * threads - len(waiting))
                    waiting.extend([pool.submit(make, step) for step in more])
                if not background:
                    wait(waiting)
                yield waiting.popleft().result()

    def order(self, epoch: int) -> np.ndarray:
        """(documents,) int64: the real documents in this epoch's order."""
        generator = np.random.default_rng([self.seed, epoch, _ORDER])
        return generator.permutation(self.train.n_documents)

    def batch(self, epoch: int, step: int, order: np.ndarray | None = None) -> Batch:
        """One batch; ``step`` counts from 0 and ``epoch`` from 1."""
        order = self.order(epoch) if order is None else order
        real = np.sort(order[step * self.batch_size : (step + 1) * self.batch_size])
        rows = [self._standard(self.train.features[real])]
        targets = [self.targets[real]]
        drawn = self._drawn(len(real))
        if drawn:
            generator = np.random.default_rng([self.seed, epoch, _SYNTHETIC, step])
            places = self.midpoints.draw_places(drawn, generator)
            rows.append(self._standardised.take(places))
            targets.append(self.teacher(self.midpoints.values.take(places)))
        return Batch(np.concatenate(rows), np.concatenate(targets).astype(np.float32))

    def _drawn(self, real: int) -> int:
        return round(real * self.synthetic_per_real)

    def _standard(self, rows: np.ndarray) -> np.ndarray:
        if self._student.fill is not None:
            rows = np.where(rows == MISSING, self._student.fill, rows)
        # In float64: raw features reach 1e9, where float32 has few digits left.
        return ((rows - self._student.mean) / self._student.scale).astype(np.float32)
