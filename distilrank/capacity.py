"""How much a network can hold, before it is trained: what designs of equal time are ranked by.

The measure is the number of weights, those of a pruned layer counted for less:
``sum over layers of size * (1 - sparsity) ** exponent``. With exponent 1 only the weights that are
left count, with 0 pruning costs nothing. The truth lies between: at equal numbers of non-zero
weights a sparse network is the better one, though not as good as if nothing had been pruned
(E. Frantar et al., *Scaling Laws for Sparsely-Connected Foundation Models*, ICLR 2024). So the
exponent is 1/2 until trained networks tell it.

Networks that have been trained tell it by their nDCG@10 on vali, never on test. More than the
exponent they cannot change: the order of designs is the same under every rising function of one
measure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

PROXY = 0.5
# Fewer networks, or of one shape, or of one sparsity, cannot tell an exponent from a slope.
_FEWEST = 6
# A slope of less than two standard errors may be chance.
_CLEAR = 2.0
_METRIC = "ndcg@10"


@dataclass(frozen=True)
class Trained:
    """A network that has been trained: its layers and how well it ranks.

    Attributes:
        layers: (weights, share of zeros) of each layer.
        ndcg: mean nDCG@10 on vali.
    """

    architecture: str
    layers: tuple[tuple[int, float], ...]
    ndcg: float

    @classmethod
    def of(cls, quality: Mapping[str, Any]) -> "Trained":
        """From the content of a network's quality file: a pruned one as it was planned."""
        model = quality["model"]
        origin = model.get("pruned_from", model)
        sizes = layer_sizes([int(part) for part in origin["architecture"].split("-")])
        shares = model["layer_sparsity"]
        if "zeros" in origin:
            shares = [zeros / size for zeros, size in zip(origin["zeros"], sizes, strict=True)]
        layers = tuple(zip(sizes, shares, strict=True))
        ndcg = quality["splits"]["vali"]["metrics"][_METRIC]["mean"]
        return cls(origin["architecture"], layers, float(ndcg))


@dataclass(frozen=True)
class Capacity:
    """The measure, and where its exponent comes from.

    Attributes:
        exponent: what of a pruned layer's weights counts, see above.
        why: a sentence for the report.
        intercept, slope: predicted nDCG@10 on vali is ``intercept + slope * log10(measure)``;
            NaN where nothing was learnt.
        error: the root mean square of the leave-one-out errors of that; NaN likewise.
    """

    exponent: float = PROXY
    why: str = "no trained networks were asked"
    intercept: float = math.nan
    slope: float = math.nan
    error: float = math.nan

    def of(self, layers: Sequence[tuple[int, float]]) -> float:
        """The measure of a network's layers, (weights, share of zeros) each."""
        return sum(size * (1 - sparsity) ** self.exponent for size, sparsity in layers)

    def ndcg(self, measure: float) -> float:
        """The predicted nDCG@10 on vali; NaN where nothing was learnt."""
        return self.intercept + self.slope * math.log10(measure)


def layer_sizes(widths: Sequence[int]) -> list[int]:
    """The weights of each layer of a network of ``widths``, from features to output."""
    return [inputs * outputs for inputs, outputs in pairwise(widths)]


def learn(trained: Sequence[Trained]) -> Capacity:
    """The measure whose logarithm best predicts nDCG@10 on vali, by leave-one-out error.

    The proxy stands where there is too little to learn from, or where what is learnt would be
    nonsense: no clear rise of nDCG@10 with the measure.
    """
    if not trained:
        return Capacity()
    shapes = {network.architecture for network in trained}
    sparsities = {round(network.layers[0][1], 2) for network in trained}
    if len(trained) < _FEWEST or min(len(shapes), len(sparsities)) < 2:
        return Capacity(
            why=f"{_few(len(trained), 'trained network')} of {_few(len(shapes), 'architecture')} "
            f"and {_few(len(sparsities), 'sparsity', 'sparsities')} are too few to learn from"
        )
    fits = [_fit(trained, step / 10) for step in range(11)]
    # Of equally good ones the nearest to the proxy.
    best = min(fits, key=lambda fit: (round(fit[0].error, 9), abs(fit[0].exponent - PROXY)))
    capacity, clearness = best
    if clearness < _CLEAR:
        return Capacity(
            why=f"nDCG@10 on vali of {len(trained)} trained networks does not clearly rise with "
            "their capacity, whatever pruned weights count"
        )
    return capacity


def _few(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _fit(trained: Sequence[Trained], exponent: float) -> tuple[Capacity, float]:
    """The least-squares line for one exponent, and its slope in standard errors."""
    measure = Capacity(exponent)
    x = np.log10([measure.of(network.layers) for network in trained])
    y = np.array([network.ndcg for network in trained])
    centred = x - x.mean()
    spread = float(centred @ centred)
    if spread == 0:
        return Capacity(exponent, error=math.inf), 0.0
    slope = float(centred @ y) / spread
    intercept = float(y.mean() - slope * x.mean())
    residuals = y - intercept - slope * x
    # Leaving a point out of a line changes its own error by its leverage alone.
    left_out = residuals / (1 - (1 / len(x) + centred**2 / spread))
    deviation = math.sqrt(float(residuals @ residuals) / (len(x) - 2) / spread)
    why = f"learnt from nDCG@10 on vali of {len(trained)} trained networks"
    error = float(np.sqrt(np.mean(left_out**2)))
    clearness = slope / deviation if deviation else math.copysign(math.inf, slope)
    return Capacity(exponent, why, intercept, slope, error), clearness
