"""What is left of the native scorer's time when its counted costs are taken off, learned.

A few small regression trees on the logarithm of measured over predicted time of whole calls; kept
as LightGBM's text. They cannot leave a range that the fit saw, so that nothing runs away.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.calibration import Sample
from distilrank.lightgbm_text import read_lightgbm_text
from distilrank.native_fit import CALL
from distilrank.native_net import PER_WORD, NativeNet

FOLDS, _TREES = 5, 40
_MOST = 0.25  # of the logarithm
_PARAMETERS = {
    "objective": "l1", "num_leaves": 7, "learning_rate": 0.1, "min_data_in_leaf": 20,
    "lambda_l2": 5.0, "num_threads": 1, "seed": 0, "deterministic": True, "verbose": -1,
}  # fmt: skip
# It is kept if it takes off at least this share of the cross-validated median error.
_HELPS = 0.05

Made = Sequence[tuple[str, float]]
Predicted = Sequence[tuple[Sample, Made]]


class Residual:
    """The trees.

    Attributes:
        text: LightGBM's model text.
    """

    def __init__(self, text: str) -> None:
        """Read the trees.

        Raises:
            ValueError: if the text is no forest.
        """
        self.text = text
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "residual.txt")
            path.write_text(text, encoding="utf-8")
            forest = read_lightgbm_text(path)
        # One row at a time, plain lists are far faster than arrays.
        self._trees = [
            tuple(array.tolist() for array in (t.feature, t.threshold, t.left, t.right, t.value))
            for t in forest.trees
        ]

    def factor(self, net: NativeNet, batch: int, made: Made) -> float:
        """What to multiply all times of a call with.

        Args:
            made: the call's predicted steps, `NativeModel.steps`.
        """
        row = features(net, batch, made)
        left_over = 0.0
        for feature, threshold, left, right, value in self._trees:
            at = 0 if feature else -1
            while at >= 0:
                at = left[at] if row[feature[at]] <= threshold[at] else right[at]
            left_over += value[~at]
        return math.exp(min(_MOST, max(-_MOST, left_over)))


def features(net: NativeNet, batch: int, made: Made) -> list[float]:
    """What the trees look at: sizes, and where the time is predicted to go."""
    total = sum(time for _, time in made)
    layers = [time for name, time in made if name not in ("rows", CALL)]
    sparse = sum(time for time, layer in zip(layers, net.layers, strict=True) if layer.sparse)
    times = dict(made)
    widths = [layer.outputs for layer in net.layers[:-1]] or [1]
    return [
        math.log(total / batch),
        math.log(batch),
        batch % 64,
        times["rows"] / total,
        times[CALL] / total,
        sparse / total,
        math.log(net.bytes + 1),
        net.features,
        len(net.layers),
        max(widths),
        min(widths),
        list(PER_WORD).index(net.precision),
    ]


def learn(predicted: Predicted) -> tuple[Residual | None, list[float], dict[str, Any]]:
    """Trees on predictions of networks that the costs were not fitted on, if they help.

    Args:
        predicted: samples with their steps, predicted without them.

    Returns:
        The trees, or None where they do not help on networks that they were not learned on; each
        sample's factor by such trees (1 without); and the errors with and without.
    """
    rows = np.array([features(s.net, s.batch, made) for s, made in predicted])
    wanted = np.array([math.log(s.median / sum(t for _, t in made)) for s, made in predicted])
    names = sorted({sample.name for sample, _ in predicted})
    folds = np.random.default_rng(1).permutation(len(names)) % FOLDS
    fold_of = dict(zip(names, folds.tolist(), strict=True))
    fold = np.array([fold_of[sample.name] for sample, _ in predicted])
    factors = np.ones(len(wanted))
    for number in range(FOLDS):
        trees = Residual(_trained(rows[fold != number], wanted[fold != number]))
        for at in np.flatnonzero(fold == number):
            sample, made = predicted[at]
            factors[at] = trees.factor(sample.net, sample.batch, made)
    before, after = _errors(wanted), _errors(wanted - np.log(factors))
    helps = after["median"] <= (1 - _HELPS) * before["median"] and after["p95"] <= before["p95"]
    found = {"kept": helps, "without": before, "with": after}
    if not helps:
        return None, [1.0] * len(wanted), found
    return Residual(_trained(rows, wanted)), factors.tolist(), found


def _trained(rows: np.ndarray, wanted: np.ndarray) -> str:
    import lightgbm

    return lightgbm.train(
        _PARAMETERS, lightgbm.Dataset(rows, wanted), num_boost_round=_TREES
    ).model_to_string()


def _errors(logs: np.ndarray) -> dict[str, float]:
    middle, high = np.quantile(np.abs(np.expm1(-logs)), [0.5, 0.95])
    return {"median": float(middle), "p95": float(high)}
