"""Kendall's tau-b between two rankings: how far they agree on all pairs of documents."""

from itertools import pairwise

import numpy as np
from scipy.stats import kendalltau


def kendall_tau(scores: np.ndarray, reference: np.ndarray) -> float | None:
    """Kendall's tau-b; None where one of the two is constant."""
    if len(scores) < 2:
        return None
    tau = float(kendalltau(scores, reference).statistic)
    return tau if np.isfinite(tau) else None


def mean_kendall_tau(
    scores: np.ndarray, reference: np.ndarray, offsets: np.ndarray
) -> float | None:
    """Kendall's tau-b within each query, its mean over the queries that have one.

    Args:
        offsets: (queries + 1,) where each query's documents begin.
    """
    known = [tau for tau in _within(scores, reference, offsets) if tau is not None]
    return float(np.mean(known)) if known else None


def taus_to_reference(scores: np.ndarray, reference: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(queries,) float64: how far ``scores`` agree with a reference that is taken for right.

    NaN where a query's references are constant; 0 where its scores alone are.
    """
    # None becomes NaN.
    taus = np.array(_within(scores, reference, offsets), np.float64)
    ends = [of.reduceat(reference, offsets[:-1]) for of in (np.minimum, np.maximum)]
    return np.where(np.isnan(taus) & (ends[0] < ends[1]), 0.0, taus)


def _within(scores: np.ndarray, reference: np.ndarray, offsets: np.ndarray) -> list[float | None]:
    return [
        kendall_tau(scores[start:end], reference[start:end])
        for start, end in pairwise(offsets.tolist())
    ]
