"""Engines against their reference: a wrong engine is found here and never timed."""

import numpy as np

from distilrank.engines.base import TOLERANCES, Model
from distilrank.forest import Forest
from distilrank.student import Student

_CHUNK = 8192  # rows at once: the float64 pass over a full test split would need gigabytes


def references(model: Model, rows: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    """The scores that engines must reproduce: by engine name, ``""`` for all others.

    Networks answer to a float64 NumPy pass. Forests answer to LightGBM itself; LightGBM answers
    to this project's own float64 traversal of the same file, and so does everything where
    LightGBM is not installed.

    Returns:
        What the reference is, and (documents,) float64 scores.
    """
    if isinstance(model, Student):
        return {"": ("float64 NumPy", _in_chunks(model, rows))}
    own = ("float64 traversal of the model text", _in_chunks(model, rows))
    try:
        import lightgbm
    except (ImportError, OSError):
        return {"": own}
    if model.source is None:
        return {"": own}
    return {"lightgbm": own, "": (f"LightGBM {lightgbm.__version__}", _by_lightgbm(model, rows))}


def _in_chunks(model: Model, rows: np.ndarray) -> np.ndarray:
    parts = [model.predict(rows[at : at + _CHUNK]) for at in range(0, len(rows), _CHUNK)]
    return np.concatenate(parts)


def _by_lightgbm(forest: Forest, rows: np.ndarray) -> np.ndarray:
    import lightgbm

    booster = lightgbm.Booster(model_file=str(forest.source))
    return booster.predict(np.asarray(rows), raw_score=True, num_threads=1)


def largest_error(scores: np.ndarray, reference: np.ndarray, spread: float) -> float:
    """The largest absolute difference, in units of ``spread``; infinite for a score of NaN.

    Raises:
        ValueError: if the lengths differ.
    """
    if scores.shape != reference.shape:
        raise ValueError(f"{scores.shape} scores against {reference.shape} reference scores")
    if not np.isfinite(scores).all():
        return float("inf")
    return float(np.abs(scores - reference).max()) / spread


def spread_of(reference: np.ndarray) -> float:
    """The reference's standard deviation; 1 where it is constant, so that errors are absolute."""
    return float(reference.std()) or 1.0


def kendall_tau(scores: np.ndarray, reference: np.ndarray) -> float | None:
    """Kendall's tau-b; None where one of the two is constant."""
    from scipy.stats import kendalltau

    tau = float(kendalltau(scores, reference).statistic)
    return tau if np.isfinite(tau) else None


def check_error(engine: str, precision: str, batch: int, error: float) -> float:
    """The tolerance that ``error`` keeps to.

    Raises:
        ValueError: if it does not; the sentence names engine, error and tolerance.
    """
    tolerance = TOLERANCES[precision]
    if not error <= tolerance:
        raise ValueError(
            f"engine {engine} is wrong at batch {batch}: its scores differ from the reference by "
            f"up to {error:.3g} standard deviations, the tolerance is {tolerance:g}"
        )
    return tolerance
