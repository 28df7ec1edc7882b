"""Ranking metrics, vectorised over queries, with every convention an argument or named here.

Documents are ranked by decreasing score. Equal scores are ordered at random by a fixed seed and
the document's place in the split, never by label, so that a constant scorer ranks at random.

Sources: Järvelin & Kekäläinen, TOIS 2002 (DCG), with the exponential gain of Burges et al.,
ICML 2005; average precision and reciprocal rank as TREC defines them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

METRICS = ("ndcg@1", "ndcg@5", "ndcg@10", "map", "mrr")
_TIE_SEED = 20220217
# What a document beyond its query's end is ranked by: after all others.
_LAST = np.iinfo(np.uint64).max
# Documents that are ranked at once: their keys stay in the second-level cache.
_TOGETHER = 60_000


def conventions(no_relevant: float | None) -> dict[str, Any]:
    """The conventions of `per_query`, as they are printed beside its numbers."""
    return {
        "gain": "exponential, 2^label - 1",
        "discount": "1 / log2(rank + 1)",
        "no_relevant": no_relevant,
        "relevant": "label >= 1 (MAP, MRR)",
        "ties": f"random order, seed {_TIE_SEED}",
    }


def per_query(
    metric: str,
    scores: np.ndarray,
    labels: np.ndarray,
    offsets: np.ndarray,
    no_relevant: float | None = 1.0,
) -> np.ndarray:
    """One value of ``metric`` for each query: that of `Judged` (labels, offsets)."""
    return Judged(labels, offsets).per_query(metric, scores, no_relevant)


def among_first(scores: np.ndarray, offsets: np.ndarray, depth: int) -> np.ndarray:
    """(documents,) uint8: 1 for the ``depth`` first of each query, ties as in `Judged`."""
    chosen = np.zeros(offsets[-1], np.uint8)
    chosen[Judged(np.arange(offsets[-1]), offsets).first(scores, depth)] = 1
    return chosen


class Judged:
    """Queries whose documents have labels, which rankings are held to.

    What follows from the labels alone is computed once: who measures again and again, as a training
    does after each epoch, keeps one of these.
    """

    def __init__(self, labels: np.ndarray, offsets: np.ndarray) -> None:
        """Take them; nothing is computed yet.

        Args:
            labels: (documents,) graded relevance, 0 = not relevant.
            offsets: (queries + 1,) where each query's documents begin; none is empty.
        """
        self.labels, self.offsets = np.asarray(labels), np.asarray(offsets)
        self._ideals: dict[int, _Ideal] = {}

    def per_query(
        self, metric: str, scores: np.ndarray, no_relevant: float | None = 1.0
    ) -> np.ndarray:
        """One value of ``metric`` for each query.

        Args:
            metric: ``ndcg@K``, ``precision@K``, ``map`` or ``mrr``.
            scores: (documents,) floats, higher is better; float32 is ranked fastest.
            no_relevant: the value of a query without a relevant document; None leaves it out (NaN).

        Returns:
            (queries,) float64.

        Raises:
            ValueError: if the metric is unknown, lengths differ, or a score is NaN.
        """
        scores, labels, documents = np.asarray(scores), self.labels, self.offsets[-1]
        if scores.shape != labels.shape or len(scores) != documents:
            raise ValueError(f"{scores.shape} scores, {labels.shape} labels, {documents} documents")
        if np.isnan(scores).any():
            raise ValueError(f"{np.count_nonzero(np.isnan(scores))} scores are NaN")
        values = self._formula(metric)(scores)
        return np.where(self._relevant, values, np.nan if no_relevant is None else no_relevant)

    def _formula(self, metric: str) -> Callable[[np.ndarray], np.ndarray]:
        name, _, depth = metric.partition("@")
        by_depth = {"ndcg": self._ndcg, "precision": self._precision}
        if name in by_depth and depth.isdigit() and int(depth) > 0:
            return partial(by_depth[name], int(depth))
        if metric in ("map", "mrr"):
            return {"map": self._average_precision, "mrr": self._reciprocal_rank}[metric]
        raise ValueError(f"metric {metric!r}, expected ndcg@K, precision@K, map or mrr")

    def first(self, scores: np.ndarray, depth: int) -> np.ndarray:
        """The labels of the ``depth`` first documents of all queries, in no order of queries."""
        return self._ranked(np.asarray(scores), depth)

    def _ndcg(self, depth: int, scores: np.ndarray) -> np.ndarray:
        if depth not in self._ideals:
            self._ideals[depth] = _Ideal(self.labels, self.offsets, self._places(depth))
        ideal = self._ideals[depth]
        return ideal.dcg(self._ranked(scores, depth)) / np.where(ideal.best > 0, ideal.best, 1.0)

    def _precision(self, depth: int, scores: np.ndarray) -> np.ndarray:
        relevant = np.zeros(self.offsets[-1])
        relevant[self._places(depth)] = self._ranked(scores, depth) > 0
        return np.add.reduceat(relevant, self.offsets[:-1]) / depth

    def _average_precision(self, scores: np.ndarray) -> np.ndarray:
        relevant, starts = self._all_ranked(scores) > 0, self.offsets[:-1]
        found = np.cumsum(relevant)
        before = np.repeat(found[starts] - relevant[starts], np.diff(self.offsets))
        precision = np.where(relevant, (found - before) / self._rank, 0.0)
        count = np.add.reduceat(relevant, starts)
        return np.add.reduceat(precision, starts) / np.maximum(count, 1)

    def _reciprocal_rank(self, scores: np.ndarray) -> np.ndarray:
        relevant = self._all_ranked(scores) > 0
        return np.maximum.reduceat(np.where(relevant, 1.0 / self._rank, 0.0), self.offsets[:-1])

    def _all_ranked(self, scores: np.ndarray) -> np.ndarray:
        """(documents,) the labels of each query in ranked order."""
        ranked = np.empty_like(self.labels)
        ranked[self._places(len(scores))] = self._ranked(scores, len(scores))
        return ranked

    def _ranked(self, scores: np.ndarray, count: int) -> np.ndarray:
        """The labels of the ``count`` first documents of each query, at `_places`.

        A document's score and its chance make one integer, so that plain numbers are sorted.
        """
        longest = self._groups[-1].chances.shape[1]
        # A window of the longest query's length begins at every document.
        windows = sliding_window_view(_sortable(scores, longest), longest)
        found = []
        for group in self._groups:
            keys = _codes(windows[group.starts[:, 0], : group.chances.shape[1]]).astype(np.uint64)
            keys <<= 32
            keys |= group.chances
            if count < keys.shape[1]:
                keys.partition(count - 1, axis=1)
            keys = np.sort(keys[:, :count], axis=1)
            found.append(keys[group.inside(count)] & 0xFFFFFFFF)
        return self._shuffled[np.concatenate(found)]

    def _places(self, count: int) -> np.ndarray:
        """Where the ``count`` first ranks of each query stand, group after group."""
        return np.concatenate([group.places(count) for group in self._groups])

    @cached_property
    def _relevant(self) -> np.ndarray:
        """(queries,) bool: some document is relevant."""
        return np.maximum.reduceat(self.labels, self.offsets[:-1]) > 0

    @cached_property
    def _rank(self) -> np.ndarray:
        """(documents,) ranks from 1 within each query."""
        first = np.repeat(self.offsets[:-1], np.diff(self.offsets))
        return np.arange(len(self.labels)) - first + 1

    @cached_property
    def _chance(self) -> np.ndarray:
        """(documents,) each one's place in a random order."""
        return np.random.default_rng(_TIE_SEED).permutation(len(self.labels))

    @cached_property
    def _shuffled(self) -> np.ndarray:
        """(documents,) the labels in the random order."""
        shuffled = np.empty_like(self.labels)
        shuffled[self._chance] = self.labels
        return shuffled

    @cached_property
    def _groups(self) -> list["_Group"]:
        sizes = np.diff(self.offsets)
        by_size = np.argsort(sizes, kind="stable")
        part = np.cumsum(sizes[by_size]) // _TOGETHER
        parts = np.split(by_size, np.flatnonzero(np.diff(part)) + 1)
        return [_Group.of(queries, self.offsets, self._chance) for queries in parts]


@dataclass(frozen=True)
class _Group:
    """Queries of about the same size, which are ranked together.

    Attributes:
        starts, sizes: (queries, 1) first documents and numbers of documents.
        chances: (queries, largest size) uint64, the documents' places in the random order, and
            `_LAST` beyond a query's end.
    """

    starts: np.ndarray
    sizes: np.ndarray
    chances: np.ndarray

    @classmethod
    def of(cls, queries: np.ndarray, offsets: np.ndarray, chance: np.ndarray) -> "_Group":
        starts, sizes = offsets[queries, None], np.diff(offsets)[queries, None]
        group = cls(starts, sizes, np.full((len(queries), sizes.max(initial=0)), _LAST))
        inside = group.inside(len(chance))
        group.chances[inside] = chance[group.places(len(chance))]
        return group

    def inside(self, count: int) -> np.ndarray:
        """(queries, ranks) bool: a query has this one of its ``count`` first ranks."""
        return np.arange(min(count, self.chances.shape[1])) < self.sizes

    def places(self, count: int) -> np.ndarray:
        """Where those ranks stand among all documents."""
        inside = self.inside(count)
        return (self.starts + np.arange(inside.shape[1]))[inside]


class _Ideal:
    """The best order of every query, down to a rank.

    Attributes:
        best: (queries,) float64 DCG of the best order.
    """

    def __init__(self, labels: np.ndarray, offsets: np.ndarray, places: np.ndarray) -> None:
        """Find it.

        Args:
            places: where the ranks that count stand among the documents.
        """
        self._queries = len(offsets) - 1
        self._query = query = np.repeat(np.arange(self._queries), np.diff(offsets))[places]
        rank = places - offsets[query]
        self._discount = 1.0 / np.log2(rank + 2.0)
        most = int(labels.max(initial=0))
        self._gain = np.exp2(np.arange(most + 1)) - 1.0
        # The label at a rank is the number of labels that more documents than that reach.
        ideal = np.zeros(len(places), np.int64)
        for label in range(1, most + 1):
            reach = np.add.reduceat(labels >= label, offsets[:-1], dtype=np.int64)
            ideal += rank < reach[query]
        self.best = self.dcg(ideal)

    def dcg(self, labels: np.ndarray) -> np.ndarray:
        """(queries,) DCG with ``labels`` at the places."""
        gains = self._gain[labels.astype(np.int64)] * self._discount
        return np.bincount(self._query, gains, minlength=self._queries)


def _sortable(scores: np.ndarray, more: int) -> np.ndarray:
    """Scores as `_codes` takes them: float32, or others' ranks, which are codes already.

    Returns:
        (documents + more,) float32 or uint32; the last ones mean nothing.
    """
    if scores.dtype != np.float32:
        scores = np.unique(-scores.astype(np.float64), return_inverse=True)[1].astype(np.uint32)
    return np.append(scores, np.zeros(more, scores.dtype))


def _codes(scores: np.ndarray) -> np.ndarray:
    """uint32 that go up as the float32 ``scores`` go down, and are equal where those are."""
    if scores.dtype == np.uint32:
        return scores
    # As an integer, a float's bits go up with it where it is positive, and down where it is
    # negative. Adding 0 makes -0 the same as 0.
    bits = (scores + np.float32(0)).view(np.int32)
    bits ^= ~(bits >> 31) & 0x7FFFFFFF
    return bits.view(np.uint32)
