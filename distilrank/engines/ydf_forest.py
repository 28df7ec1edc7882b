"""Forests in YDF's QuickScorer, converted from the in-memory forest.

QuickScorer: C. Lucchese et al., SIGIR 2015; the variant that runs is chosen by YDF, its
SIMD one ("Highway") first.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from distilrank.engines.base import Model, SelfTimedEngine, check_rows, missing
from distilrank.forest import Forest, Tree

_PREFERRED = (
    "GradientBoostedTreesQuickScorerExtendedHighway",
    "GradientBoostedTreesQuickScorerExtended",
)
# YDF's benchmark warms up for this long, counts its passes over the rows, and measures as many.
# Rows that take longer are passed over once each: more passes would score the same few documents
# from a hot cache with a trained branch predictor. Far below this, YDF aborts the process when it
# is held up before its first pass.
_SECONDS = 0.004


class YdfQuickScorerEngine(SelfTimedEngine):
    """YDF's QuickScorer, timed by YDF's own benchmark.

    YDF has no call that takes row-major rows: ``predict`` wants a dictionary of columns and
    spends 2 ms on it. Its benchmark times the engine alone, on examples already in the engine's
    layout; what that leaves out, reading and transposing the rows, is a cost that every network
    pays, so the comparison is in the forest's favour.
    """

    name = "ydf-quickscorer"
    kind = "forest"
    precision = "exact"
    most_leaves = 64  # QuickScorer keeps a tree's leaves as the bits of one 64-bit word
    routes_missing = False  # its conversion knows no other way for NaN than for a number

    # Converting takes seconds and does not depend on the batch: the last one is kept.
    _latest: ClassVar[tuple[Forest, Any] | None] = None

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, Forest):
            return "it scores forests only"
        return self.unsuited(model.max_leaves, model.routes_missing) or missing("ydf")

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        import ydf

        if not isinstance(model, Forest):
            raise ValueError("ydf-quickscorer scores forests only")
        self._ydf, self._batch, self._threads = ydf, batch, threads
        self._names = _column_names(model.n_features)
        cached = YdfQuickScorerEngine._latest
        if cached is None or cached[0] is not model:
            YdfQuickScorerEngine._latest = cached = (model, convert(model))
        self._model = cached[1]
        compatible = self._model.list_compatible_engines()
        chosen = [name for name in _PREFERRED if name in compatible]
        if not chosen:
            raise RuntimeError(f"YDF offers no QuickScorer for this forest, only {compatible}")
        self._engine = chosen[0]
        self._model.force_engine(self._engine)

    def score(self, rows: np.ndarray) -> np.ndarray:
        check_rows(rows, len(self._names), self._batch)
        return self._model.predict(self._columns(rows), num_threads=self._threads)

    def self_timed(self, rows: np.ndarray) -> float:
        data = self._columns(rows) | {_LABEL: np.zeros(len(rows), dtype=np.float32)}
        dataset = self._ydf.create_vertical_dataset(data, data_spec=self._model.data_spec())
        result = self._model.benchmark(
            dataset,
            benchmark_duration=_SECONDS,
            warmup_duration=_SECONDS,
            batch_size=self._batch,
            num_threads=self._threads,
        )
        return result.duration_per_example * self._batch

    def _columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self._names, np.ascontiguousarray(rows.T), strict=True))

    def describe(self) -> dict[str, Any]:
        return {
            "ydf": self._ydf.__version__,
            "ydf_engine": self._engine,
            "timed_by": "ydf's own benchmark: the engine alone, without reading the rows",
        }


_LABEL = "label"


def _column_names(n_features: int) -> list[str]:
    return [f"f{index}" for index in range(n_features)]


def convert(forest: Forest) -> Any:
    """The forest as a YDF gradient boosted trees model of the same float32 decisions."""
    import ydf

    ydf.verbose(0)
    model = _empty_model(forest.n_features)
    columns = {feature.name: feature.column_idx for feature in model.input_features()}
    order = [columns[name] for name in _column_names(forest.n_features)]
    for tree in forest.trees:
        model.add_tree(_convert_tree(tree, order))
    return model


def _empty_model(n_features: int) -> Any:
    """A YDF regression model over numerical columns, with no tree and no initial prediction."""
    import ydf

    generator = np.random.default_rng(0)
    names = _column_names(n_features)
    data = {name: generator.random(16, dtype=np.float32) for name in [*names, _LABEL]}
    learner = ydf.GradientBoostedTreesLearner(
        label=_LABEL,
        task=ydf.Task.REGRESSION,
        features=[ydf.Feature(name, ydf.Semantic.NUMERICAL) for name in names],
        num_trees=1,
        max_depth=1,
        min_examples=1,
        validation_ratio=0.0,
        num_threads=1,
    )
    model = learner.train(data)
    model.remove_tree(0)
    model.set_initial_predictions([0.0])
    return model


def _convert_tree(tree: Tree, columns: list[int]) -> Any:
    from ydf import tree as ydf_tree

    higher = smallest_float32_above(tree.threshold)

    def build(node: int) -> Any:
        if node < 0:
            value = ydf_tree.RegressionValue(num_examples=1, value=float(tree.value[~node]))
            return ydf_tree.Leaf(value=value)
        condition = ydf_tree.NumericalHigherThanCondition(
            missing=False,
            score=0.0,
            attribute=columns[tree.feature[node]],
            threshold=float(higher[node]),
        )
        right, left = build(int(tree.right[node])), build(int(tree.left[node]))
        return ydf_tree.NonLeaf(condition=condition, pos_child=right, neg_child=left)

    return ydf_tree.Tree(root=build(0 if len(tree.feature) else -1))


def smallest_float32_above(thresholds: np.ndarray) -> np.ndarray:
    """The smallest float32 greater than each float64 threshold.

    For a float32 ``x``, ``x > t`` and ``x >= smallest_float32_above(t)`` are the same. The
    result is infinite where ``t`` is at least the largest float32: no finite ``x`` goes right.
    """
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    above = np.nextafter(rounded, np.float32(np.inf))
    return np.where(rounded.astype(np.float64) > thresholds, rounded, above)
