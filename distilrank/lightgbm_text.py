"""LightGBM's model text, read and written without LightGBM: the project's own form of a forest.

The format is a header of ``key=value`` lines, then one block a tree, then ``end of trees``.
See LightGBM's ``GBDT::SaveModelToString`` and ``Tree::ToString``.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.files import write_text
from distilrank.forest import (
    DEFAULT_LEFT,
    NAN_IS_MISSING,
    ZERO_IS_MISSING,
    Forest,
    Tree,
    around_zero,
    check_tree,
)

# LightGBM's `decision_type`: bit 0 = categorical, bit 1 = default left, then the kind of missing
# value: 0 = none, 1 = zero, 2 = NaN.
_CATEGORICAL, _DEFAULT_LEFT, _KIND_AT = 1, 2, 2
_MISSING = np.array([0, ZERO_IS_MISSING, NAN_IS_MISSING], np.uint8)
_KIND_OF = np.zeros(8, np.int64)
_KIND_OF[NAN_IS_MISSING] = 2
# NaN is missing where zero is.
_KIND_OF[[ZERO_IS_MISSING, ZERO_IS_MISSING | NAN_IS_MISSING]] = 1


def read_lightgbm_text(path: str | os.PathLike) -> Forest:
    """Read a forest of numerical ``<=`` splits, missing values routed as LightGBM routes them.

    Raises:
        ValueError: names the file, the tree and what was found where the file is cut short,
            malformed, or uses categorical splits or linear leaves.
    """
    path = Path(path)
    whole = path.read_text(encoding="utf-8", errors="replace")
    text, end, _ = whole.partition("\nend of trees")
    head, *blocks = text.split("\nTree=")
    if not head.startswith("tree\n"):
        raise ValueError(f"{path} is not a LightGBM model text: its first line is not 'tree'")
    if not end:
        raise ValueError(f"{path} is cut short: 'end of trees' is missing")
    n_features = _check_header(head, path)
    trees = tuple(
        _tree(_fields(block), f"{path}, tree {index}", n_features)
        for index, block in enumerate(blocks)
    )
    if not trees:
        raise ValueError(f"{path} holds no tree")
    names = tuple(_fields(head).get("feature_names", "").split(" "))
    return Forest(trees, n_features, path, names if names != ("",) else ())


def write_lightgbm_text(forest: Forest, path: str | os.PathLike) -> None:
    """Write ``forest`` as LightGBM text that `read_lightgbm_text` and LightGBM read to the bit.

    Thresholds must be as `around_zero` leaves them, since LightGBM scores what lies within 1e-35
    of 0 as 0, and finite.

    Raises:
        ValueError: if the forest holds no tree.
    """
    if not forest.trees:
        raise ValueError(f"a forest without a tree cannot be written to {path}")
    columns = range(forest.n_features)
    names = [f"Column_{column}" for column in columns]
    blocks = [f"Tree={number}\n{_block(tree)}\n\n" for number, tree in enumerate(forest.trees)]
    header = {
        "version": "v4",
        "num_class": 1,
        "num_tree_per_iteration": 1,
        "label_index": 0,
        "max_feature_idx": forest.n_features - 1,
        # Scores are the plain sum; lleaves asks for an objective, and for the file's last line.
        "objective": "regression",
        "feature_names": " ".join(names),
        # Of a feature that is not `none` here LightGBM wants the range.
        "feature_infos": " ".join("[-inf:inf]" for _ in columns),
        "tree_sizes": " ".join(str(len(block)) for block in blocks),
    }
    end = "end of trees\n\npandas_categorical:null\n"
    write_text(path, f"tree\n{_lines(header)}\n\n{''.join(blocks)}{end}")


def _lines(fields: Mapping[str, Any]) -> str:
    return "\n".join(f"{key}={value}" for key, value in fields.items())


def _block(tree: Tree) -> str:
    kind = _KIND_OF[tree.route & (ZERO_IS_MISSING | NAN_IS_MISSING)]
    decision = kind << _KIND_AT | np.where(tree.route & DEFAULT_LEFT > 0, _DEFAULT_LEFT, 0)
    nodes = {
        "split_feature": tree.feature,
        "split_gain": np.zeros(len(tree.feature), np.int64),
        "threshold": tree.threshold,
        "decision_type": decision,
        "left_child": tree.left,
        "right_child": tree.right,
    }
    # `tolist` gives Python's numbers, whose `repr` is the shortest that reads as the same number.
    fields = {
        "num_leaves": tree.leaves,
        "num_cat": 0,
        **{key: " ".join(map(repr, array.tolist())) for key, array in nodes.items()},
        "leaf_value": " ".join(map(repr, tree.value.tolist())),
        "is_linear": 0,
        "shrinkage": 1,
    }
    return _lines(fields)


def _check_header(head: str, path: Path) -> int:
    """The number of features of a forest whose score is the plain sum of its trees."""
    header = _fields(head)
    classes = header.get("num_tree_per_iteration", "1")
    if classes != "1":
        raise ValueError(f"{path} scores {classes} classes, expected 1: one score a document")
    if "average_output" in head.split("\n"):
        raise ValueError(f"{path}: the forest averages its trees; train with boosting=gbdt")
    index = header.get("max_feature_idx", "")
    if not (index.isdecimal() and len(index) < 10):
        raise ValueError(
            f"{path}: the header gives no whole number max_feature_idx but {index[:40]!r}"
        )
    return int(index) + 1


def _fields(block: str) -> dict[str, str]:
    # Not splitlines(), which also splits within a feature's name: at a form feed, at U+2028.
    pairs = (line.partition("=") for line in block.split("\n") if "=" in line)
    return {key: value for key, _, value in pairs}


def _tree(fields: dict[str, str], where: str, n_features: int) -> Tree:
    leaves = int(_array(fields, "num_leaves", np.int64, 1, where)[0])
    if leaves < 1:
        raise ValueError(f"{where}: num_leaves is {leaves}, expected at least 1")
    if fields.get("is_linear", "0") != "0":
        raise ValueError(f"{where}: linear leaves are not supported; train with linear_tree=false")
    value = _array(fields, "leaf_value", np.float64, leaves, where)
    nodes = leaves - 1
    if not nodes:
        empty = np.empty(0, np.int32)
        return Tree(empty, np.empty(0), empty, empty, value)
    decision = _array(fields, "decision_type", np.int64, nodes, where)
    if (decision & _CATEGORICAL).any():
        raise ValueError(f"{where}: categorical splits are not supported; train on numbers only")
    tree = Tree(
        feature=_array(fields, "split_feature", np.int32, nodes, where),
        threshold=around_zero(_array(fields, "threshold", np.float64, nodes, where)),
        left=_array(fields, "left_child", np.int32, nodes, where),
        right=_array(fields, "right_child", np.int32, nodes, where),
        value=value,
        route=_route(decision, where),
    )
    check_tree(tree, where, n_features)
    return tree


def _route(decision: np.ndarray, where: str) -> np.ndarray:
    """LightGBM's decision types as bits of `Tree.route`, 0 where nothing is missing."""
    kind = decision >> _KIND_AT
    if ((kind < 0) | (kind >= len(_MISSING))).any():
        raise ValueError(f"{where}: decision_type has an unknown kind of missing value")
    left = np.where((decision & _DEFAULT_LEFT > 0) & (kind > 0), DEFAULT_LEFT, 0)
    return _MISSING[kind] | left.astype(np.uint8)


def _array(fields: dict[str, str], key: str, dtype: type, length: int, where: str) -> np.ndarray:
    try:
        array = np.array(fields[key].split(), dtype=np.float64)
    except KeyError:
        raise ValueError(f"{where}: {key} is missing") from None
    except ValueError as error:
        raise ValueError(f"{where}: {key} holds something that is no number ({error})") from None
    if len(array) != length:
        raise ValueError(f"{where}: {key} has {len(array)} values, expected {length}")
    if np.issubdtype(dtype, np.integer):
        # Not NaN, not infinite, no fraction, and held exactly by every type used here.
        wrong = array[~((array == np.trunc(array)) & (np.abs(array) < 2**31))]
        if len(wrong):
            raise ValueError(f"{where}: {key} holds {wrong[0]:.17g}, expected whole numbers")
    return array.astype(dtype)
