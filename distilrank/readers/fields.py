"""What the readers share: fields of the kind that is expected, and trees out of linked nodes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.forest import NAN_IS_MISSING, Forest, Tree, around_zero, check_tree

FORMATS = (
    "a forest is LightGBM text or JSON, XGBoost JSON or UBJSON, CatBoost JSON, QuickRank or "
    "RankLib XML, or ONNX"
)
_KINDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}
_LARGEST = float(np.finfo(np.float64).max)


def shown(value: Any) -> str:
    """A value from a file as it stands in a sentence: short."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def load_json(content: bytes, path: Path) -> Any:
    """The JSON in ``content``; ``ValueError`` where it is none."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise ValueError(f"{path} is cut short or no JSON: {error}") from None


def field(holder: Any, key: str, kind: type, where: str | Path) -> Any:
    """``holder[key]``, which must be there and of this kind."""
    if not isinstance(holder, dict) or key not in holder:
        raise ValueError(f"{where}: '{key}' is missing, expected {_KINDS[kind]}")
    value = holder[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{where}: '{key}' is {shown(value)}, expected {_KINDS[kind]}")
    return value


def number(text: Any, key: str, where: str | Path) -> float:
    """A number, or a text that reads as one, which must not be NaN or infinite."""
    try:
        value = float(text)
    except (TypeError, ValueError, OverflowError):
        value = np.nan
    if not np.isfinite(value) or isinstance(text, bool):
        raise ValueError(f"{where}: '{key}' is {shown(text)}, expected a number")
    return value


def whole(text: Any, key: str, where: str | Path) -> int:
    """A whole number from 0 within 32 bits, or a text that reads as one."""
    value = number(text, key, where)
    if value != int(value) or not 0 <= value < 2**31:
        raise ValueError(f"{where}: '{key}' is {shown(text)}, expected a whole number from 0")
    return int(value)


def array(holder: Any, key: str, length: int | None, where: str | Path) -> np.ndarray:
    """A list of ``length`` numbers (of any length if None), float64; NaN passes."""
    values = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(values, list | np.ndarray):
        raise ValueError(f"{where}: '{key}' is {shown(values)}, expected a list of numbers")
    if isinstance(values, list):
        wrong = [value for value in values if not isinstance(value, int | float)]
        if wrong:
            raise ValueError(f"{where}: '{key}' holds {shown(wrong[0])}, expected numbers")
    if length is not None and len(values) != length:
        raise ValueError(f"{where}: '{key}' has {len(values)} values, expected {length}")
    try:
        return np.asarray(values, np.float64)
    except OverflowError:
        raise ValueError(f"{where}: '{key}' holds a number beyond float64") from None


def integers(holder: Any, key: str, length: int | None, where: str | Path) -> np.ndarray:
    """A list of whole numbers within 32 bits; int64."""
    values = array(holder, key, length, where)
    # NaN compares false.
    wrong = values[~((values == np.trunc(values)) & (np.abs(values) < 2**31))]
    if len(wrong):
        raise ValueError(f"{where}: '{key}' holds {wrong[0]:.17g}, expected whole numbers")
    return values.astype(np.int64)


def names_of(holder: Any, key: str, where: str | Path) -> tuple[str, ...]:
    """A list of names, empty where there is none."""
    names = field(holder, key, list, where) if holder.get(key) else []
    return tuple(str(name) for name in names)


def check_version(version: Any, what: str, known: tuple[int, int], path: Path) -> None:
    """Refuse a file of another format version, told by what stands before the first dot."""
    major = str(version).partition(".")[0]
    if not (major.isdecimal() and known[0] <= int(major[:9]) <= known[1]):
        raise ValueError(
            f"{path} is {what} of version {str(version)[:40]}, expected {known[0]} to {known[1]}: "
            "write it with a release of that library that this one knows"
        )


def to_float32(value: Any) -> Any:
    """A float64 number or array rounded to float32, as float64; infinite beyond its range."""
    with np.errstate(over="ignore"):
        return np.asarray(value, np.float32).astype(np.float64)[()]


def below(value: np.ndarray) -> np.ndarray:
    """float64 thresholds so that ``x <= threshold`` is ``x < value`` for float32 numbers."""
    with np.errstate(over="ignore"):
        return np.nextafter(value.astype(np.float32), np.float32(-np.inf)).astype(np.float64)


@dataclass(frozen=True)
class Nodes:
    """A tree as linked nodes, all arrays (nodes,): node 0 is the root.

    Attributes:
        left, right: int64, a child's place; of leaves negative.
        feature: int64; threshold: float64; route: uint8, bits of `Tree.route`; of leaves anything.
        value: float64; of inner nodes anything.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    route: np.ndarray
    value: np.ndarray

    def tree(self, where: str, n_features: int) -> Tree:
        """The tree below the root; nodes that it does not reach are left out.

        Raises:
            ValueError: if a node is reached twice, or a child is none of the nodes.
        """
        order = self._order(where)
        inner, leaves = order[self.left[order] >= 0], order[self.left[order] < 0]
        name = np.empty(len(self.left), np.int32)
        name[inner], name[leaves] = np.arange(len(inner)), ~np.arange(len(leaves))
        feature = self.feature[inner]
        if len(feature) and not 0 <= feature.min() <= feature.max() < n_features:
            raise ValueError(f"{where}: a split uses a feature outside 0..{n_features - 1}")
        # Data are finite, so that the largest number is as good as infinity.
        threshold = np.clip(around_zero(self.threshold[inner]), -_LARGEST, _LARGEST)
        left, right = name[self.left[inner]], name[self.right[inner]]
        route = self.route[inner].astype(np.uint8)
        tree = Tree(feature.astype(np.int32), threshold, left, right, self.value[leaves], route)
        check_tree(tree, where, n_features)
        return tree

    def _order(self, where: str) -> np.ndarray:
        """The nodes level by level, so that parents stand before their children."""
        seen = np.zeros(len(self.left), bool)
        levels, level = [], np.zeros(1, np.int64)
        while len(level):
            outside = level[(level < 0) | (level >= len(seen))]
            if len(outside):
                raise ValueError(
                    f"{where}: a child is node {outside[0]}, expected one of the {len(seen)} nodes"
                )
            if seen[level].any() or len(np.unique(level)) < len(level):
                raise ValueError(f"{where}: its children do not form one tree: one has two parents")
            seen[level] = True
            levels.append(level)
            inner = level[self.left[level] >= 0]
            level = np.stack([self.left[inner], self.right[inner]], axis=1).ravel()
        return np.concatenate(levels)


@dataclass
class Growing:
    """`Nodes` that are met one by one, parents before their children."""

    rows: list[list[float]]

    def __init__(self) -> None:
        self.rows = []

    def leaf(self, value: float) -> int:
        """Add a leaf and return its place."""
        self.rows.append([-1, -1, 0, 0, 0, value])
        return len(self.rows) - 1

    def split(self, feature: int, threshold: float, route: int = 0) -> int:
        """Add an inner node without its children and return its place."""
        self.rows.append([0, 0, feature, threshold, route, 0])
        return len(self.rows) - 1

    def link(self, parent: int, side: int, child: int) -> None:
        """Make ``child`` the left (0) or right (1) one of ``parent``."""
        self.rows[parent][side] = child

    def nodes(self) -> Nodes:
        columns = np.array(self.rows, np.float64).T
        left, right, feature, route = (columns[i].astype(np.int64) for i in (0, 1, 2, 4))
        return Nodes(left, right, feature, columns[3], route, columns[5])


def forest_of(
    trees: list[Tree], constant: float, n_features: int, names: tuple[str, ...], path: Path
) -> Forest:
    """The forest of ``trees`` whose scores are ``constant`` higher.

    The constant goes into the first tree's leaves, a float64 sum like those of scoring, so that a
    forest keeps its number of trees and its first trees keep the constant.

    Raises:
        ValueError: if there is no tree, or the constant is no number.
    """
    if not trees:
        raise ValueError(f"{path} holds no tree")
    first = trees[0]
    if constant:
        first = Tree(
            first.feature, first.threshold, first.left, first.right,
            first.value + constant, first.route,
        )  # fmt: skip
    return Forest((first, *trees[1:]), n_features, None, names)


def nan_goes(left: np.ndarray | bool) -> np.ndarray:
    """`Tree.route` of nodes that send NaN left where ``left`` is true, else right."""
    # DEFAULT_LEFT is bit 0.
    return (np.asarray(left).astype(np.uint8) + NAN_IS_MISSING).astype(np.uint8)
