"""Engines against their reference: a wrong engine is found here and never timed.

What low precision costs in quality is measured here too, from the same scores.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from distilrank.engines.base import MEAN_TOLERANCES, TOLERANCES, Engine, Model
from distilrank.forest import Forest
from distilrank.judge import NDCG, Judge
from distilrank.kendall import kendall_tau, mean_kendall_tau
from distilrank.letor import Dataset
from distilrank.quantise import predict_int8
from distilrank.significance import compare, paired_differences, untested
from distilrank.student import Student

_CHUNK = 8192  # rows at once: the float64 pass over a full test split would need gigabytes
_Scores = Callable[[np.ndarray], np.ndarray]


class References:
    """The scores of one model that its engines must reproduce.

    Networks answer to a float64 NumPy pass, in int8 to `quantise.predict_int8`: against float64 an
    int8 engine's error would say how coarse 8 bits are, not whether the engine is right. Forests
    answer to LightGBM itself; LightGBM answers to this project's own float64 traversal of the
    same file, and so does everything where LightGBM is not installed.
    """

    def __init__(self, model: Model, rows: np.ndarray) -> None:
        self._model, self._rows = model, rows
        self._known: dict[str, np.ndarray] = {}

    def of(self, engine: Engine) -> tuple[str, np.ndarray]:
        """What ``engine`` answers to, and (documents,) float64 scores, computed once."""
        if isinstance(self._model, Student):
            return self._computed(*network_reference(self._model, engine.precision))
        return self._computed(*_forest_reference(self._model, engine.name))

    @property
    def exact(self) -> np.ndarray:
        """(documents,) float64: the model's own scores, without any quantisation."""
        if isinstance(self._model, Student):
            return self._computed(*network_reference(self._model, "fp32"))[1]
        return self._computed(*_forest_reference(self._model, ""))[1]

    def _computed(self, what: str, scores: _Scores) -> tuple[str, np.ndarray]:
        if what not in self._known:
            starts = range(0, len(self._rows), _CHUNK)
            parts = [scores(self._rows[at : at + _CHUNK]) for at in starts]
            self._known[what] = np.concatenate(parts)
        return what, self._known[what]


def network_reference(student: Student, precision: str) -> tuple[str, _Scores]:
    """What an engine of this precision answers to: its name, and how rows are scored by it."""
    if precision == "int8":
        return "int8 in NumPy", lambda rows: predict_int8(student, rows)
    return "float64 NumPy", student.predict


def _forest_reference(forest: Forest, engine: str) -> tuple[str, _Scores]:
    own = ("float64 traversal of the model text", forest.predict)
    if engine == "lightgbm" or forest.source is None:
        return own
    try:
        import lightgbm
    except (ImportError, OSError):
        return own

    @cache
    def booster() -> lightgbm.Booster:
        return lightgbm.Booster(model_file=str(forest.source))

    return (
        f"LightGBM {lightgbm.__version__}",
        lambda rows: booster().predict(np.asarray(rows), raw_score=True, num_threads=1),
    )


def errors(scores: np.ndarray, reference: np.ndarray, spread: float) -> tuple[float, float]:
    """The largest and the mean absolute difference, in units of ``spread``.

    Both are infinite where a score is NaN or infinite.

    Raises:
        ValueError: if the lengths differ.
    """
    if scores.shape != reference.shape:
        raise ValueError(f"{scores.shape} scores against {reference.shape} reference scores")
    if not np.isfinite(scores).all():
        return float("inf"), float("inf")
    off = np.abs(scores - reference)
    return float(off.max()) / spread, float(off.mean()) / spread


def spread_of(reference: np.ndarray) -> float:
    """The reference's standard deviation; 1 where it is constant, so that errors are absolute."""
    return float(reference.std()) or 1.0


def check_errors(
    engine: str, precision: str, batch: int, largest: float, mean: float = 0.0
) -> float:
    """The tolerance that the ``largest`` error keeps to.

    Raises:
        ValueError: if it does not, or ``mean`` exceeds a tolerance of its own; the sentence names
            engine, error and tolerance.
    """
    for error, tolerances, how in (
        (largest, TOLERANCES, "up to"),
        (mean, MEAN_TOLERANCES, "on average"),
    ):
        tolerance = tolerances.get(precision, float("inf"))
        if not error <= tolerance:
            raise ValueError(
                f"engine {engine} is wrong at batch {batch}: its scores differ from the reference "
                f"by {how} {error:.3g} standard deviations, the tolerance is {tolerance:g}"
            )
    return TOLERANCES[precision]


def quality_loss(
    scores: np.ndarray,
    exact: np.ndarray,
    split: Dataset,
    no_relevant: float | None = 1.0,
    permutations: int = 10_000,
) -> dict[str, Any]:
    """How an engine that is not exact ranks a split, against the model's own scores.

    Args:
        scores, exact: (documents,) of the engine, and of the model itself.
        no_relevant: nDCG of a query without a relevant document.
        permutations: of Fisher's randomisation test; the signs are those of every comparison.

    Returns:
        ``quality`` of a parity file's line; docs/files.md names its keys. Without labels the
        engine's first documents are held to those of ``exact``, and nothing is tested: the
        difference from 1 is no matter of chance.
    """
    judge = Judge(split, lambda: exact, no_relevant)
    ours, theirs = (judge.per_query(judge.measure.key, each) for each in (scores, exact))
    if judge.measure is NDCG:
        test = compare(ours, theirs, np.random.default_rng(0), permutations)
    else:
        test = untested(paired_differences(ours, theirs))
    largest, mean = errors(scores, exact, spread_of(exact))
    return {
        "metric": judge.measure.key,
        "exact": float(np.nanmean(theirs)),
        "engine": float(np.nanmean(ours)),
        **test.as_dict(),
        "kendall_tau": mean_kendall_tau(scores, exact, split.offsets),
        "kendall_tau_overall": kendall_tau(scores, exact),
        "largest_error": largest,
        "mean_error": mean,
    }
