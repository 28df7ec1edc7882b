"""CatBoost's JSON: ``save_model(path, format="json")``, symmetric trees and others."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.forest import Forest, Tree
from distilrank.readers.fields import (
    Growing,
    Nodes,
    array,
    field,
    forest_of,
    nan_goes,
    number,
    shown,
    to_float32,
    whole,
)

# Where NaN goes: a row goes right where `x > border`, and NaN is not.
_NAN_LEFT = {"AsIs": True, "AsFalse": True, "AsTrue": False}
# CatBoost's own limit.
_DEEPEST = 16


@dataclass(frozen=True)
class _Columns:
    """Of each float feature its column among all, and whether NaN goes left there."""

    column: list[int]
    nan_left: list[bool]

    def split(self, split: Any, where: str) -> tuple[int, float, bool]:
        """A split's column, its border as float32, and whether NaN goes left."""
        kind = field(split, "split_type", str, where)
        if kind != "FloatFeature":
            raise ValueError(
                f"{where}: a split of the type {shown(kind)} is not supported; train without "
                "categorical, text and embedding features"
            )
        index = whole(split.get("float_feature_index"), "float_feature_index", where)
        if index >= len(self.column):
            raise ValueError(
                f"{where}: a split uses the float feature {index}, expected one of the "
                f"{len(self.column)} in features_info"
            )
        border = to_float32(number(split.get("border"), "border", where))
        return self.column[index], border, self.nan_left[index]


def read_catboost(model: Any, path: Path) -> Forest:
    """The forest of a parsed model file; its scores are CatBoost's ``RawFormulaVal``."""
    told = field(model, "features_info", dict, path)
    floats = field(told, "float_features", list, path) if "float_features" in told else []
    columns = _columns(floats, path)
    widths = [
        whole(each.get("flat_feature_index"), "flat_feature_index", path) + 1
        for kind in told.values()
        for each in (kind if isinstance(kind, list) else [])
        if isinstance(each, dict) and "flat_feature_index" in each
    ]
    n_features = max(widths, default=0)
    scale, bias = _scale_and_bias(model, path)
    key, read = ("trees", _nested) if "trees" in model else ("oblivious_trees", _symmetric)
    trees = [
        read(block, columns, scale, f"{path}, tree {index}", n_features)
        for index, block in enumerate(field(model, key, list, path))
    ]
    return forest_of(trees, bias, n_features, _names(floats, n_features), path)


def _columns(floats: list[Any], path: Path) -> _Columns:
    column, nan_left = [], []
    for index, each in enumerate(floats):
        where = f"{path}, float feature {index}"
        if whole(field(each, "feature_index", int, where), "feature_index", where) != index:
            raise ValueError(f"{where}: 'feature_index' is {each['feature_index']}")
        treatment = field(each, "nan_value_treatment", str, where)
        if treatment not in _NAN_LEFT:
            raise ValueError(
                f"{where}: 'nan_value_treatment' is {shown(treatment)}, expected one of "
                f"{', '.join(_NAN_LEFT)}"
            )
        column.append(whole(each.get("flat_feature_index"), "flat_feature_index", where))
        nan_left.append(_NAN_LEFT[treatment])
    return _Columns(column, nan_left)


def _names(floats: list[Any], n_features: int) -> tuple[str, ...]:
    """Names by column; none where some column, a categorical one perhaps, has none."""
    names = {each["flat_feature_index"]: str(each.get("feature_id", "")) for each in floats}
    ordered = tuple(names.get(column, "") for column in range(n_features))
    return ordered if all(ordered) else ()


def _scale_and_bias(model: dict[str, Any], path: Path) -> tuple[float, float]:
    pair = field(model, "scale_and_bias", list, path)
    biases = pair[1] if len(pair) == 2 and isinstance(pair[1], list) else pair[1:]
    if len(biases) != 1:
        raise ValueError(f"{path} scores {len(biases)} targets, expected 1: one score a document")
    return number(pair[0], "scale", path), number(biases[0], "bias", path)


def _symmetric(block: Any, columns: _Columns, scale: float, where: str, n_features: int) -> Tree:
    """One split a level; the answers, the last split's first, are the leaf's number in binary."""
    # A tree of a single leaf may have no splits, or null.
    splits = block.get("splits") if isinstance(block, dict) else None
    splits = [] if splits is None else field(block, "splits", list, where)
    if len(splits) > _DEEPEST:
        raise ValueError(f"{where} has {len(splits)} splits, expected up to {_DEEPEST}")
    inner, depth = 2 ** len(splits) - 1, len(splits)
    value = array(block, "leaf_values", inner + 1, where) * scale
    nodes = np.arange(2 * inner + 1)
    feature, threshold, nan_left = np.zeros(len(nodes), int), np.zeros(len(nodes)), nodes < 0
    for level, split in enumerate(reversed(splits)):
        of_level = slice(2**level - 1, 2 ** (level + 1) - 1)
        feature[of_level], threshold[of_level], nan_left[of_level] = columns.split(split, where)
    is_leaf = nodes >= 2**depth - 1
    return Nodes(
        np.where(is_leaf, -1, 2 * nodes + 1),
        np.where(is_leaf, -1, 2 * nodes + 2),
        feature,
        threshold,
        nan_goes(nan_left),
        np.concatenate([np.zeros(inner), value]),
    ).tree(where, n_features)


def _nested(root: Any, columns: _Columns, scale: float, where: str, n_features: int) -> Tree:
    growing = Growing()
    pending = [(root, -1, 0)]
    while pending:
        node, parent, side = pending.pop()
        if isinstance(node, dict) and "split" in node:
            feature, border, nan_left = columns.split(node["split"], where)
            place = growing.split(feature, border, int(nan_goes(nan_left)))
            pending += [
                (field(node, key, dict, where), place, side)
                for side, key in enumerate(("left", "right"))
            ]
        else:
            value = node.get("value") if isinstance(node, dict) else None
            place = growing.leaf(number(value, "value", where) * scale)
        if parent >= 0:
            growing.link(parent, side, place)
    return growing.nodes().tree(where, n_features)
