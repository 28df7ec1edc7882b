"""XGBoost's model file, JSON or UBJSON: ``Booster.save_model``.

See XGBoost's ``doc/model.schema`` and, for what a row's way is, ``src/predictor``.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.forest import Forest, Tree
from distilrank.readers.fields import (
    Nodes,
    array,
    below,
    check_version,
    field,
    forest_of,
    integers,
    names_of,
    nan_goes,
    number,
    shown,
    to_float32,
    whole,
)


def _logit(probability: float) -> float:
    return -math.log(1 / probability - 1)


# What an objective makes of `base_score` before trees are added to it: ``ProbToMargin``.
_MARGINS: dict[str, Callable[[float], float]] = {
    **dict.fromkeys(
        ("rank:ndcg", "rank:pairwise", "rank:map", "reg:squarederror", "reg:squaredlogerror",
         "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror", "binary:hinge",
         "binary:logitraw"),
        float,
    ),
    **dict.fromkeys(("binary:logistic", "reg:logistic"), _logit),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie"), math.log),
}  # fmt: skip


def read_xgboost(model: Any, path: Path) -> Forest:
    """The forest of a parsed model file; its scores are XGBoost's margins (``output_margin``).

    XGBoost asks ``x < t`` of float32 numbers and sums in float32; here it is ``x <=`` the float32
    before ``t``, and a float64 sum. NaN goes each node's default way.
    """
    version = field(model, "version", list, path)
    check_version(".".join(map(str, version)), "XGBoost's model", (1, 3), path)
    learner = field(model, "learner", dict, path)
    told = field(learner, "learner_model_param", dict, path)
    for key, what in (("num_class", "classes"), ("num_target", "targets")):
        count = whole(told.get(key, 1), key, path)
        if count > 1:
            raise ValueError(f"{path} scores {count} {what}, expected 1: one score a document")
    n_features = whole(told.get("num_feature"), "num_feature", path)
    booster, weights = _booster(learner, path)
    blocks = field(booster, "trees", list, path)
    if weights is None:
        weights = np.ones(len(blocks))
    elif len(weights) != len(blocks):
        raise ValueError(f"{path}: 'weight_drop' has {len(weights)} values for {len(blocks)} trees")
    trees = [
        _tree(block, float(weight), f"{path}, tree {index}", n_features)
        for index, (block, weight) in enumerate(zip(blocks, weights, strict=True))
    ]
    constant = _base_margin(learner, told, path)
    return forest_of(trees, constant, n_features, names_of(learner, "feature_names", path), path)


def _booster(learner: dict[str, Any], path: Path) -> tuple[Any, np.ndarray | None]:
    """The trees' model, and DART's weights of the trees where it has them."""
    booster = field(learner, "gradient_booster", dict, path)
    name = field(booster, "name", str, path)
    if name == "gbtree":
        return field(booster, "model", dict, path), None
    if name == "dart":
        weights = array(booster, "weight_drop", None, path)
        return field(field(booster, "gbtree", dict, path), "model", dict, path), weights
    raise ValueError(
        f"{path} is a booster of the kind {shown(name)}, expected gbtree or dart: gblinear has no "
        "trees"
    )


def _base_margin(learner: dict[str, Any], told: dict[str, Any], path: Path) -> float:
    objective = field(field(learner, "objective", dict, path), "name", str, path)
    if objective not in _MARGINS:
        raise ValueError(
            f"{path} was trained with the objective {shown(objective)}, whose base score is not "
            f"carried; expected one of {', '.join(_MARGINS)}"
        )
    text = str(told.get("base_score")).strip("[]")
    # XGBoost holds it in float32.
    score = float(to_float32(number(text, "base_score", path)))
    try:
        return _MARGINS[objective](score)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{path}: 'base_score' is {score}, out of {objective}'s range") from None


def _tree(block: Any, weight: float, where: str, n_features: int) -> Tree:
    left = integers(block, "left_children", None, where)
    size = len(left)
    told = field(block, "tree_param", dict, where) if "tree_param" in block else {}
    if not size or whole(told.get("num_nodes", size), "num_nodes", where) != size:
        raise ValueError(f"{where} has {size} nodes, and num_nodes is {told.get('num_nodes')}")
    if whole(told.get("size_leaf_vector", 1), "size_leaf_vector", where) > 1:
        raise ValueError(f"{where}: its leaves hold vectors; train with one_output_per_tree")
    if "split_type" in block and integers(block, "split_type", size, where).any():
        raise ValueError(
            f"{where}: categorical splits are not supported; train with enable_categorical=False"
        )
    # Of leaves it holds the value.
    condition = to_float32(array(block, "split_conditions", size, where))
    return Nodes(
        left,
        integers(block, "right_children", size, where),
        integers(block, "split_indices", size, where),
        below(condition),
        nan_goes(integers(block, "default_left", size, where) > 0),
        condition * weight,
    ).tree(where, n_features)
