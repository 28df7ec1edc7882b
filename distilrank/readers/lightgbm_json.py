"""LightGBM's JSON: ``Booster.dump_model``, written with ``json.dump``."""

from pathlib import Path
from typing import Any

from distilrank.forest import DEFAULT_LEFT, NAN_IS_MISSING, ZERO_IS_MISSING, Forest, Tree
from distilrank.readers.fields import (
    Growing,
    check_version,
    field,
    forest_of,
    names_of,
    number,
    shown,
    whole,
)

_MISSING = {"None": 0, "Zero": ZERO_IS_MISSING, "NaN": NAN_IS_MISSING}


def read_lightgbm_json(model: Any, path: Path) -> Forest:
    """The forest of a parsed dump; its scores are LightGBM's raw ones, as of the text."""
    version = str(model.get("version", "v4"))
    check_version(version.removeprefix("v"), "LightGBM's JSON", (2, 4), path)
    classes = whole(model.get("num_tree_per_iteration", 1), "num_tree_per_iteration", path)
    if classes != 1:
        raise ValueError(f"{path} scores {classes} classes, expected 1: one score a document")
    if model.get("average_output"):
        raise ValueError(f"{path}: the forest averages its trees; train with boosting=gbdt")
    n_features = whole(model.get("max_feature_idx"), "max_feature_idx", path) + 1
    trees = [
        _tree(field(block, "tree_structure", dict, path), f"{path}, tree {index}", n_features)
        for index, block in enumerate(field(model, "tree_info", list, path))
    ]
    return forest_of(trees, 0.0, n_features, names_of(model, "feature_names", path), path)


def _tree(root: dict[str, Any], where: str, n_features: int) -> Tree:
    growing = Growing()
    pending = [(root, -1, 0)]
    while pending:
        node, parent, side = pending.pop()
        place = _add(growing, node, where)
        if parent >= 0:
            growing.link(parent, side, place)
        if "leaf_value" not in node:
            pending += [
                (field(node, key, dict, where), place, side)
                for side, key in enumerate(("left_child", "right_child"))
            ]
    return growing.nodes().tree(where, n_features)


def _add(growing: Growing, node: dict[str, Any], where: str) -> int:
    if "leaf_coeff" in node or "leaf_const" in node:
        raise ValueError(f"{where}: linear leaves are not supported; train with linear_tree=false")
    if "leaf_value" in node:
        return growing.leaf(number(node["leaf_value"], "leaf_value", where))
    kind = field(node, "decision_type", str, where)
    if kind == "==":
        raise ValueError(f"{where}: categorical splits are not supported; train on numbers only")
    told = node.get("missing_type")
    missing = _MISSING.get(told) if isinstance(told, str) else None
    if kind != "<=" or missing is None:
        raise ValueError(
            f"{where}: a split has the decision_type {shown(kind)} and the missing_type "
            f"{shown(told)}, expected <= and one of {', '.join(_MISSING)}"
        )
    left = DEFAULT_LEFT if missing and node.get("default_left") else 0
    return growing.split(
        whole(node.get("split_feature"), "split_feature", where),
        number(node.get("threshold"), "threshold", where),
        missing | left,
    )
