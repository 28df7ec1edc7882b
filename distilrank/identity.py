"""The ``model`` object that quality, parity and timing files carry (docs/files.md)."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.compact import live_units
from distilrank.forest import Forest
from distilrank.student import Student

_FOREST_FOLDERS = ("dataset", "fold", "teacher")


def model_identity(path: str | os.PathLike, model: Forest | Student) -> dict[str, Any]:
    """What names ``model``, which was read from ``path``.

    A network carries its identity in its file; a forest's text has no room for one, so it is
    taken from the folders ``{dataset}/fold{fold}/{teacher}/`` that hold it.
    """
    if isinstance(model, Student):
        shape = {
            "kind": "network",
            "architecture": model.architecture,
            "layer_sparsity": [model.sparsity(layer) for layer in range(len(model.weights))],
        }
        return dict(model.meta) | shape
    folders = Path(path).absolute().parts[-4:-1]
    names: dict[str, Any] = dict(zip(_FOREST_FOLDERS, folders, strict=False))
    fold = str(names.get("fold", "")).removeprefix("fold")
    names["fold"] = int(fold) if fold.isdigit() else 0
    shape = {"kind": "forest", "trees": len(model.trees), "max_leaves": model.max_leaves}
    return names | shape


def feature_use(model: Forest | Student) -> list[int]:
    """(features,) How often a model reads each one.

    A forest: its splits on the feature. A network: the first layer's weights on it that are not 0,
    of neurons from which a path leads to the output.
    """
    if isinstance(model, Student):
        live = live_units(model.weights)[1]
        return np.count_nonzero(model.weights[0][live], axis=0).tolist()
    splits = np.zeros(model.n_features, dtype=np.int64)
    for tree in model.trees:
        splits += np.bincount(tree.feature, minlength=model.n_features)
    return splits.tolist()


def forest_facts(forest: Forest) -> dict[str, Any]:
    """What a forest is made of.

    Returns:
        ``leaves`` of all trees, ``depth``, the most comparisons on the way to a leaf, and
        ``split_points``, (features,), how many distinct thresholds each feature has.
    """
    return {
        "leaves": sum(tree.leaves for tree in forest.trees),
        "depth": max((tree.depth for tree in forest.trees), default=0),
        "split_points": [len(values) for values in forest.thresholds()],
    }
