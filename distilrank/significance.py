"""Is a difference in a ranking metric more than chance? Paired over queries.

A *difference* is one query's metric under one model less its metric under another, so every
function takes one array of differences: (queries,) floats, none of them NaN.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import nctdtr, nctdtrinc, stdtrit

# Signs drawn at once: 4 million float64 are 32 MB, however many queries there are.
_BLOCK = 4_000_000
# A mean of ten deviations: the differences are all but equal, and their deviation says nothing.
# Far beyond it, scipy's search for the limits of the interval does not end.
_LARGEST_EFFECT = 10.0
# What no power below 1 asks for; the noncentral t has no number for much larger ones.
_LARGEST_NONCENTRALITY = 100.0


@dataclass(frozen=True)
class Comparison:
    """A model against another on the same queries, in units of the metric.

    Attributes:
        difference: mean of (model - other).
        interval: the 95 % interval of that mean.
        p_value: Fisher's paired two-sided randomisation test; NaN where none was made.
        queries: how many queries were compared.
        permutations: how many random sign patterns the p-value rests on.
        effect: the standardised mean difference (`effect_size`); NaN where there is none.
        effect_interval: the 95 % interval of that effect.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    queries: int
    permutations: int
    effect: float = math.nan
    effect_interval: tuple[float, float] = (math.nan, math.nan)

    @property
    def half_width(self) -> float:
        return (self.interval[1] - self.interval[0]) / 2

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file, which has no NaN: what there is none of is ``None``."""
        given = asdict(self) | {"interval": list(self.interval)}
        if math.isnan(self.p_value):
            given["p_value"] = None
        if math.isnan(self.effect):
            return given | {"effect": None, "effect_interval": None}
        return given | {"effect_interval": list(self.effect_interval)}


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
    effect, effect_interval = effect_size(differences)
    return Comparison(
        difference=float(differences.mean()),
        interval=mean_interval(differences),
        p_value=randomisation_test(differences, generator, permutations),
        queries=len(differences),
        permutations=permutations,
        effect=effect,
        effect_interval=effect_interval,
    )


def untested(differences: np.ndarray) -> Comparison:
    """The mean and its interval alone, where the other model cannot differ by chance."""
    return Comparison(
        float(differences.mean()), mean_interval(differences), math.nan, len(differences), 0
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
    mean, error = float(differences.mean()), differences.std(ddof=1) / math.sqrt(len(differences))
    half = float(stdtrit(len(differences) - 1, 0.5 + level / 2) * error)
    return mean - half, mean + half


def effect_size(differences: np.ndarray, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """The standardised mean difference ``d = mean / s`` and its ``level`` interval.

    Cohen's d of paired differences, d_z (Cohen, Statistical Power Analysis for the Behavioral
    Sciences, 1988, chapter 2): unlike p it does not depend on how many queries there are.
    ``d sqrt(n)`` is noncentral t with ``n - 1`` degrees of freedom, so the limits are those
    noncentralities, over ``sqrt(n)``, under which it is at the ``(1 +- level) / 2`` quantiles
    (Steiger and Fouladi, in What If There Were No Significance Tests?, 1997; Cumming and Finch,
    Educ. Psychol. Meas. 61(4), 2001). That takes the differences for normal.

    Returns:
        NaN for all three where the differences are equal or all but (`_LARGEST_EFFECT`).
    """
    differences = _checked(differences)
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    if abs(mean) > _LARGEST_EFFECT * spread or not spread:
        return math.nan, (math.nan, math.nan)
    root, quantiles = math.sqrt(len(differences)), (0.5 + level / 2, 0.5 - level / 2)
    low, high = nctdtrinc(len(differences) - 1, quantiles, mean / spread * root) / root
    return mean / spread, (float(low), float(high))


def queries_to_detect(
    differences: np.ndarray, difference: float, significance: float = 0.05, power: float = 0.8
) -> int:
    """About how many queries it takes to tell a true mean of ``difference`` from none.

    The smallest ``n`` at which the two-sided paired t-test, which Fisher's test agrees with on
    so many queries, finds it with the probability ``power``, for the spread ``s`` seen among
    ``differences``: ``P(|T| > t(n - 1))`` of noncentral t with noncentrality
    ``difference sqrt(n) / s`` (Cohen, 1988, chapter 2; for test collections Sakai, Topic set size
    design, Inf. Retr. J. 19(3), 2016). With as many queries and as often two equal models
    are shown to differ by less: the 95 % interval's end lies above ``-difference`` then.

    Raises:
        ValueError: if ``difference`` is not above 0.
    """
    differences = _checked(differences)
    if not difference > 0:
        raise ValueError(f"a difference of {difference} cannot be detected; it must be above 0")
    spread = float(differences.std(ddof=1))
    low, high = 1, 2
    while _power(difference, spread, high, significance) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if _power(difference, spread, middle, significance) < power:
            low = middle
        else:
            high = middle
    return high


def _power(difference: float, spread: float, queries: int, significance: float) -> float:
    critical = stdtrit(queries - 1, 1 - significance / 2)
    shift = difference * math.sqrt(queries)
    shift = shift / spread if shift < _LARGEST_NONCENTRALITY * spread else _LARGEST_NONCENTRALITY
    inside = nctdtr(queries - 1, shift, critical) - nctdtr(queries - 1, shift, -critical)
    return 1 - float(inside)


def _checked(differences: np.ndarray) -> np.ndarray:
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim != 1 or len(differences) < 2 or not np.isfinite(differences).all():
        raise ValueError(
            f"{differences.shape} differences given; a paired test needs the finite differences "
            "of at least two queries"
        )
    return differences
