"""Ranking metrics, vectorised over queries, with every convention an argument or named here.

Documents are ranked by decreasing score. Equal scores are ordered at random by a fixed seed and
the document's place in the split, never by label, so that a constant scorer ranks at random.

Sources: Järvelin & Kekäläinen, TOIS 2002 (DCG), with the exponential gain of Burges et al.,
ICML 2005; average precision and reciprocal rank as TREC defines them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

METRICS = ("ndcg@1", "ndcg@5", "ndcg@10", "map", "mrr")
_TIE_SEED = 20220217


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
    """One value of ``metric`` for each query.

    Args:
        metric: ``ndcg@K``, ``map`` or ``mrr``.
        scores: (documents,) floats, higher is better.
        labels: (documents,) graded relevance, 0 = not relevant.
        offsets: (queries + 1,) where each query's documents begin; none is empty.
        no_relevant: the value of a query without a relevant document; None leaves it out (NaN).

    Returns:
        (queries,) float64.

    Raises:
        ValueError: if the metric is unknown, lengths differ, or a score is NaN.
    """
    scores, labels, offsets = np.asarray(scores), np.asarray(labels), np.asarray(offsets)
    if scores.shape != labels.shape or len(scores) != offsets[-1]:
        raise ValueError(f"{scores.shape} scores, {labels.shape} labels, {offsets[-1]} documents")
    if np.isnan(scores).any():
        raise ValueError(f"{np.count_nonzero(np.isnan(scores))} scores are NaN")
    formula = _formula(metric)
    ranked = labels[_order(scores, offsets)].astype(np.int64)
    ideal = labels[_order(labels, offsets)].astype(np.int64)
    rank = np.arange(len(labels)) - np.repeat(offsets[:-1], np.diff(offsets)) + 1
    values = formula(ranked, ideal, rank, offsets)
    relevant = np.add.reduceat(labels > 0, offsets[:-1]) > 0
    return np.where(relevant, values, np.nan if no_relevant is None else no_relevant)


def _formula(metric: str) -> Callable[..., np.ndarray]:
    name, _, depth = metric.partition("@")
    if name == "ndcg" and depth.isdigit() and int(depth) > 0:
        return lambda *arrays: _ndcg(int(depth), *arrays)
    if metric in ("map", "mrr"):
        return {"map": _average_precision, "mrr": _reciprocal_rank}[metric]
    raise ValueError(f"metric {metric!r}, expected ndcg@K, map or mrr")


def _order(scores: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Documents by query, then decreasing score, then chance."""
    query = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    chance = np.random.default_rng(_TIE_SEED).permutation(len(scores))
    return np.lexsort((chance, -scores.astype(np.float64), query))


def _ndcg(
    depth: int, ranked: np.ndarray, ideal: np.ndarray, rank: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    discount = np.where(rank <= depth, 1.0 / np.log2(rank + 1.0), 0.0)
    dcg, best = (
        np.add.reduceat((np.exp2(labels) - 1.0) * discount, offsets[:-1])
        for labels in (ranked, ideal)
    )
    return dcg / np.where(best > 0, best, 1.0)


def _average_precision(
    ranked: np.ndarray, _ideal: np.ndarray, rank: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    relevant = ranked > 0
    found = np.cumsum(relevant)
    before = np.repeat(found[offsets[:-1]] - relevant[offsets[:-1]], np.diff(offsets))
    precision = np.where(relevant, (found - before) / rank, 0.0)
    count = np.add.reduceat(relevant, offsets[:-1])
    return np.add.reduceat(precision, offsets[:-1]) / np.maximum(count, 1)


def _reciprocal_rank(
    ranked: np.ndarray, _ideal: np.ndarray, rank: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    return np.maximum.reduceat(np.where(ranked > 0, 1.0 / rank, 0.0), offsets[:-1])
