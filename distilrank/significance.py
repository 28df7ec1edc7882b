"""Is a difference in a ranking metric more than chance? Paired over queries.

A *difference* is one query's metric under one model less its metric under another, so every
function takes one array of differences: (queries,) floats, none of them NaN.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

# Signs drawn at once: 4 million float64 are 32 MB, however many queries there are.
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Comparison:
    """A model against another on the same queries, in units of the metric.

    Attributes:
        difference: mean of (model - other).
        interval: the 95 % interval of that mean.
        p_value: Fisher's paired two-sided randomisation test.
        queries: how many queries were compared.
        permutations: how many random sign patterns the p-value rests on.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    queries: int
    permutations: int

    @property
    def half_width(self) -> float:
        return (self.interval[1] - self.interval[0]) / 2

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"interval": list(self.interval)}


def compare(
    model: Sequence[float | None] | np.ndarray,
    other: Sequence[float | None] | np.ndarray,
    generator: np.random.Generator,
    permutations: int = 10_000,
) -> Comparison:
    """Compare two models' per-query metrics; queries without a value in either are left out.

    Args:
        model, other: (queries,) in the same order of queries; ``None`` or NaN = left out.

    Raises:
        ValueError: if the two differ in length or share fewer than two queries.
    """
    differences = paired_differences(model, other)
    return Comparison(
        difference=float(differences.mean()),
        interval=mean_interval(differences),
        p_value=randomisation_test(differences, generator, permutations),
        queries=len(differences),
        permutations=permutations,
    )


def paired_differences(
    model: Sequence[float | None] | np.ndarray, other: Sequence[float | None] | np.ndarray
) -> np.ndarray:
    """(shared queries,) float64 ``model - other``, without the queries either leaves out."""
    first, second = (np.asarray(values, dtype=np.float64) for values in (model, other))
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"metrics of {first.shape} and {second.shape} queries cannot be paired; "
            "both models must be evaluated on the same split"
        )
    differences = first - second
    return _checked(differences[~np.isnan(differences)])


def randomisation_test(
    differences: np.ndarray, generator: np.random.Generator, permutations: int = 10_000
) -> float:
    """The two-sided p-value of Fisher's paired randomisation test.

    If the two models were the same, each query's difference could as well have had the other
    sign. The p-value is the share of random sign patterns whose mean lies at least as far from 0
    as the observed one; the observed pattern counts as one of them, ``(count + 1) /
    (permutations + 1)``, so that it is never 0 and the test stays valid (Phipson and Smyth,
    2010, Stat. Appl. Genet. Mol. Biol. 9(1), art. 39). For rankings: Smucker, Allan and
    Carterette, CIKM 2007.

    Args:
        differences: (queries,) floats.
        permutations: sign patterns drawn, at least 1.

    Raises:
        ValueError: on fewer than two differences, NaN, or no permutations.
    """
    differences = _checked(differences)
    if permutations < 1:
        raise ValueError(f"{permutations} permutations asked for, at least 1 is needed")
    total = differences.sum()
    # Sums of the same numbers in another order differ in their last bits; those are ties.
    threshold = abs(total) - 1e-12 * np.abs(differences).sum()
    block = max(1, _BLOCK // len(differences))
    count = 0
    for start in range(0, permutations, block):
        rows = min(block, permutations - start)
        positive = generator.integers(0, 2, size=(rows, len(differences)), dtype=np.uint8)
        # Flipping the queries drawn 0 turns the sum into (sum of the kept) - (sum of the rest).
        sums = 2.0 * (positive @ differences) - total
        count += int(np.count_nonzero(np.abs(sums) >= threshold))
    return (count + 1) / (permutations + 1)


def mean_interval(differences: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The ``level`` interval of the mean: ``mean -+ t(n - 1) s / sqrt(n)``.

    Student (1908), Biometrika 6(1), 1-25; ``s`` is the standard deviation with ``n - 1``.
    """
    differences = _checked(differences)
    half = _half_width(float(differences.std(ddof=1)), len(differences), level)
    mean = float(differences.mean())
    return mean - half, mean + half


def queries_needed(differences: np.ndarray, margin: float, level: float = 0.95) -> int:
    """About how many queries make the interval's half-width fit ``margin``.

    The smallest ``n`` with ``t(n - 1) s / sqrt(n) <= margin``, where ``s`` is the spread seen
    among ``differences``. It says nothing of where the interval will lie.

    Raises:
        ValueError: if ``margin`` is not above 0.
    """
    differences = _checked(differences)
    if not margin > 0:
        raise ValueError(f"a margin of {margin} fits no interval; it must be above 0")
    spread = float(differences.std(ddof=1))
    low, high = 1, 2
    while _half_width(spread, high, level) > margin:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if _half_width(spread, middle, level) > margin:
            low = middle
        else:
            high = middle
    return high


def _half_width(spread: float, queries: int, level: float) -> float:
    return float(stdtrit(queries - 1, 0.5 + level / 2)) * spread / math.sqrt(queries)


def _checked(differences: np.ndarray) -> np.ndarray:
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim != 1 or len(differences) < 2 or not np.isfinite(differences).all():
        raise ValueError(
            f"{differences.shape} differences given; a paired test needs the finite differences "
            "of at least two queries"
        )
    return differences
