"""What a data set's models are judged by: its labels, or, where it has none, a given ranking.

Labels give nDCG@10. Without them the documents that the teacher puts first stand in for the
relevant ones: the measure is the share of its first ten that a model's first ten share, beside it
Kendall's tau over all of a query's documents.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from distilrank.letor import TOP, Dataset
from distilrank.metrics import METRICS, Judged, among_first


@dataclass(frozen=True)
class Measure:
    """The measure of quality of a data set: what its models are chosen and compared by.

    Attributes:
        key: its name in files and tables.
        title: its name in sentences.
        metrics: all that is evaluated, the measure among it.
    """

    key: str
    title: str
    metrics: tuple[str, ...]

    @property
    def in_history(self) -> str:
        """Its name among the columns of a training's history."""
        return f"{self.key.partition('@')[0]}_vali"


NDCG = Measure("ndcg@10", "nDCG@10", METRICS)
OVERLAP = Measure(f"overlap@{TOP}", f"overlap of the top {TOP}", (f"overlap@{TOP}", "kendall_tau"))


def measure_of(metrics: Iterable[str]) -> Measure:
    """The measure of a data set that was evaluated by ``metrics``."""
    return OVERLAP if OVERLAP.key in metrics else NDCG


class Judge:
    """Holds rankings of a split's documents to its labels, or to a reference without those."""

    def __init__(
        self, split: Dataset, reference: Callable[[], np.ndarray], no_relevant: float | None = 1.0
    ) -> None:
        """Take them.

        Args:
            reference: gives the scores that rankings are held to, (documents,) floats; asked only
                where the split has no labels.
            no_relevant: nDCG of a query without a relevant document; None leaves it out.
        """
        self.measure = NDCG if split.labelled else OVERLAP
        self.offsets, self._no_relevant = split.offsets, no_relevant
        self.reference = None if split.labelled else np.asarray(reference())
        self._judged = Judged(
            split.labels
            if self.reference is None
            else among_first(self.reference, split.offsets, TOP),
            split.offsets,
        )

    def per_query(self, metric: str, scores: np.ndarray) -> np.ndarray:
        """One value of ``metric`` for each query: the measure, or with labels any of `METRICS`.

        The overlap leaves out queries of up to ten documents, which all share.

        Args:
            scores: (documents,) floats, higher is better.

        Returns:
            (queries,) float64; NaN where a query is left out.
        """
        if self.reference is None:
            return self._judged.per_query(metric, scores, self._no_relevant)
        shared = self._judged.per_query(f"precision@{TOP}", scores)
        return np.where(np.diff(self.offsets) > TOP, shared, np.nan)

    def mean(self, scores: np.ndarray) -> float:
        """The measure's mean over the queries that are not left out."""
        mean = float(np.nanmean(self.per_query(self.measure.key, scores)))
        # Sums of tenths that are equal must not differ by their order.
        return mean if self.measure is NDCG else round(mean, 12)
