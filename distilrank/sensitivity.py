"""How much each layer of a dense student can lose: ranking, score error and time against sparsity.

One-shot magnitude pruning without fine-tuning, each layer alone (Li et al., ICLR 2017, section
3.1), so it tells layers apart and not how well a pruned network ranks once it is trained again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from distilrank.judge import Judge
from distilrank.letor import Dataset
from distilrank.pruning import magnitude_mask
from distilrank.student import Student

LEVELS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
# Enough for a mean over queries; forty passes over the largest vali split would take minutes.
_DOCUMENTS = 50_000
Times = Callable[[Student], float]


@dataclass(frozen=True)
class Probe:
    """Judges a pruned student by its dense one.

    Attributes:
        rows, rankings: the documents of some whole queries of vali, and what judges their
            rankings: their labels, else the dense student's.
        scores: (documents,) the dense student's.
        time: a network's predicted time, microseconds a document.
    """

    rows: np.ndarray
    rankings: Judge
    scores: np.ndarray
    time: Times

    @classmethod
    def of(cls, dense: Student, vali: Dataset, no_relevant: float | None, time: Times) -> "Probe":
        """On the first queries of ``vali``, at least one."""
        queries = max(1, int(np.searchsorted(vali.offsets, _DOCUMENTS, side="right")) - 1)
        offsets = np.asarray(vali.offsets[: queries + 1])
        rows = np.asarray(vali.features[: offsets[-1]])
        labels = np.asarray(vali.labels[: offsets[-1]])
        part = Dataset(rows, labels, offsets, vali.qids[:queries], vali.meta)
        scores = dense.predict(rows)
        return cls(rows, Judge(part, lambda: scores, no_relevant), scores, time)

    def judge(self, student: Student) -> dict[str, float]:
        """The data set's measure, the ``error`` of the scores and the predicted time ``us``.

        The error is the share of the dense scores' variance that the pruned ones leave unexplained,
        1 - their squared correlation: 0 where they differ by shift and scale alone, which change
        no ranking, 1 for those of a constant. It is far less noisy than nDCG@10 of few queries.
        """
        scores = student.predict(self.rows)
        return {
            self.rankings.measure.key: self.rankings.mean(scores),
            "error": unexplained(self.scores, scores),
            "us": float(self.time(student)),
        }


def unexplained(wanted: np.ndarray, found: np.ndarray) -> float:
    """The share of the variance of ``wanted`` that no line through ``found`` explains, 0 to 1."""
    wanted, found = wanted - wanted.mean(), found - found.mean()
    variances = float(wanted @ wanted) * float(found @ found)
    return max(0.0, 1.0 - float(wanted @ found) ** 2 / variances) if variances else 1.0


def pruned_at(dense: Student, sparsities: Sequence[float]) -> Student:
    """``dense`` with the smallest weights of each layer at 0; one share of zeros a layer."""
    weights = tuple(
        np.where(magnitude_mask(weight, sparsity), weight, np.float32(0))
        for weight, sparsity in zip(dense.weights, sparsities, strict=True)
    )
    return replace(dense, weights=weights)


def layer_points(dense: Student, probe: Probe) -> list[dict[str, Any]]:
    """Each layer alone at each of `LEVELS` that leaves it a weight; layers counted from 1."""
    points = []
    for layer, weight in enumerate(dense.weights):
        for level in LEVELS:
            if round(level * weight.size) == weight.size:
                continue
            alone = [level if other == layer else 0.0 for other in range(len(dense.weights))]
            where = {"layer": layer + 1, "weights": weight.size, "sparsity": level}
            points.append(where | probe.judge(pruned_at(dense, alone)))
    return points


def allocations(dense: Student, probe: Probe, points: Sequence[dict[str, Any]]) -> list[dict]:
    """For each level of the first layer alone: what shares cost no more time and least error.

    Shares are ranked as if the errors of hidden layers added up; the least whose whole network is
    predicted to take no longer is taken, then judged like any other pruned network. The output
    layer stays dense: it takes next to no time.

    Returns:
        One line a level above 0: its ``sparsity``; what `Probe.judge` says of the first layer
        ``alone`` and of the ``spread`` shares; these are the latter's ``sparsities``.
    """
    output = len(dense.weights)
    dense_us = next(point["us"] for point in points if not point["sparsity"])
    front = undominated([point for point in points if point["layer"] < output], dense_us)
    lines, judged = [], (probe.rankings.measure.key, "error", "us")
    for point in points:
        if point["layer"] > 1 or not point["sparsity"]:
            continue
        alone = (point["sparsity"], *[0.0] * (output - 1))
        ranked = [(*shares, 0.0) for _, error, shares in front if error <= point["error"]]
        fits = (
            shares
            for shares in reversed(ranked)
            if probe.time(pruned_at(dense, shares)) <= point["us"]
        )
        shares = next(fits, alone)
        lines.append(
            {
                "sparsity": point["sparsity"],
                "alone": {name: point[name] for name in judged},
                "spread": probe.judge(pruned_at(dense, shares)) | {"sparsities": list(shares)},
            }
        )
    return lines


def undominated(
    points: Sequence[dict[str, Any]], dense_us: float
) -> list[tuple[float, float, tuple[float, ...]]]:
    """Every (time, error, share of zeros of each layer) that no other beats in both.

    Args:
        points: of `layer_points`: every layer at its levels.
        dense_us: the time without zeros; each layer's saving is taken off it.

    Returns:
        The slowest, with the smallest error, last.
    """
    front: list[tuple[float, float, tuple[float, ...]]] = [(dense_us, 0.0, ())]
    for layer in sorted({point["layer"] for point in points}):
        own = [point for point in points if point["layer"] == layer]
        joined = sorted(
            (us + point["us"] - dense_us, error + point["error"], (*shares, point["sparsity"]))
            for us, error, shares in front
            for point in own
        )
        front = []
        for candidate in joined:
            if not front or candidate[1] < front[-1][1]:
                front.append(candidate)
    return front
