"""One in-memory forest of regression trees, whatever file it came from."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

# Bits of `Tree.route`, as in native/distilrank.h.
DEFAULT_LEFT, ZERO_IS_MISSING, NAN_IS_MISSING = 1, 2, 4
# What counts as zero where zero is missing: LightGBM's `kZeroThreshold`, a float32 constant.
ZERO = float(np.float32(1e-35))


@dataclass(frozen=True)
class Tree:
    """One binary regression tree in arrays.

    A row goes left at node ``n`` where ``row[feature[n]] <= threshold[n]``. Children that are
    negative are leaves: ``~child`` is the leaf's index. A tree of one leaf has no nodes.

    NaN is 0, unless ``route[n]`` says `NAN_IS_MISSING`. What is missing (`NAN_IS_MISSING`: NaN;
    `ZERO_IS_MISSING`: NaN and up to `ZERO` to either side of 0) goes left where ``route[n]`` says
    `DEFAULT_LEFT`, else right. See LightGBM's ``Tree::NumericalDecision``.

    Attributes:
        feature: (nodes,) int32, the column each node looks at.
        threshold: (nodes,) float64.
        left, right: (nodes,) int32, a node's index or ``~leaf``.
        value: (leaves,) float64, each leaf's contribution to the score.
        route: (nodes,) uint8, how missing values go; zeros if not given: nothing is missing.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    route: np.ndarray = None  # type: ignore[assignment] # an array after __post_init__

    def __post_init__(self) -> None:
        if self.route is None:
            object.__setattr__(self, "route", np.zeros(len(self.feature), np.uint8))

    @property
    def leaves(self) -> int:
        return len(self.value)

    @property
    def depth(self) -> int:
        """The most comparisons on the way to a leaf."""
        depth = [1] * len(self.feature)
        # A child stands behind its parent.
        for node, children in enumerate(zip(self.left.tolist(), self.right.tolist(), strict=True)):
            for child in children:
                if child > 0:
                    depth[child] = depth[node] + 1
        return max(depth, default=0)

    @property
    def routes_missing(self) -> bool:
        """Whether some value is missing to some node, rather than compared."""
        return bool((self.route & (ZERO_IS_MISSING | NAN_IS_MISSING)).any())

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Leaf values for ``rows``, (documents, features) of any float type; float64."""
        if not len(self.feature):
            return np.full(len(rows), self.value[0])
        node = np.zeros(len(rows), dtype=np.int64)
        active = np.arange(len(rows))
        while active.size:
            at = node[active]
            goes_left = self._goes_left(rows[active, self.feature[at]], at)
            node[active] = np.where(goes_left, self.left[at], self.right[at])
            active = active[node[active] >= 0]
        return self.value[~node]

    def _goes_left(self, x: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Whether the values ``x`` go left at the nodes ``at``; all (documents,)."""
        nan, route = np.isnan(x), self.route[at]
        left = np.where(nan, 0, x) <= self.threshold[at]
        zero = nan | (np.abs(x) <= ZERO)
        missing = (nan & (route & NAN_IS_MISSING > 0)) | (zero & (route & ZERO_IS_MISSING > 0))
        return np.where(missing, route & DEFAULT_LEFT > 0, left)


@dataclass(frozen=True)
class Forest:
    """An additive ensemble: a row's score is the sum of its trees' values.

    Attributes:
        trees: the trees in boosting order.
        n_features: the width of the rows the forest scores.
        source: the file it was read from, for engines that load the file themselves.
        names: the features' names, as the file gives them; empty where it gives none.
    """

    trees: tuple[Tree, ...]
    n_features: int
    source: Path | None = field(default=None, compare=False)
    names: tuple[str, ...] = field(default=(), compare=False)

    @property
    def max_leaves(self) -> int:
        return max((tree.leaves for tree in self.trees), default=0)

    @property
    def routes_missing(self) -> bool:
        """Whether some value is missing to some node, rather than compared."""
        return any(tree.routes_missing for tree in self.trees)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Reference scores: plain NumPy, float64 sums in boosting order. Slow and obvious.

        Args:
            rows: (documents, n_features) floats.

        Returns:
            (documents,) float64.

        Raises:
            ValueError: if the rows have another width.
        """
        check_width(rows, self.n_features)
        scores = np.zeros(len(rows))
        for tree in self.trees:
            scores += tree.predict(rows)
        return scores

    def arrays(self) -> dict[str, np.ndarray]:
        """All trees' arrays, end to end, as ``distilrank_forest`` of native/distilrank.h has them.

        Returns:
            ``n_nodes`` (trees,) int64 and each of `Tree`'s arrays under its own name.
        """
        types = {
            "feature": np.int32, "threshold": np.float64, "left": np.int32, "right": np.int32,
            "route": np.uint8, "value": np.float64,
        }  # fmt: skip
        joined = {
            name: np.concatenate(
                [
                    np.empty(0, dtype),
                    *(np.asarray(getattr(tree, name), dtype) for tree in self.trees),
                ]
            )
            for name, dtype in types.items()
        }
        return {"n_nodes": np.array([len(tree.feature) for tree in self.trees], np.int64)} | joined

    def thresholds(self) -> list[np.ndarray]:
        """Per feature the sorted distinct split thresholds, float64; empty where unused."""
        features = np.concatenate([tree.feature for tree in self.trees] or [np.empty(0, np.int32)])
        values = np.concatenate([tree.threshold for tree in self.trees] or [np.empty(0)])
        return [np.unique(values[features == column]) for column in range(self.n_features)]


def check_width(rows: np.ndarray, n_features: int) -> None:
    """Raise ``ValueError`` unless ``rows`` is (documents, n_features)."""
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise ValueError(f"rows of shape {rows.shape} given, (documents, {n_features}) expected")


def around_zero(threshold: np.ndarray) -> np.ndarray:
    """Thresholds that send what LightGBM takes for 0 the way of 0, comparing with ``<=`` alone."""
    below = (threshold >= -ZERO) & (threshold < 0)
    above = (threshold >= 0) & (threshold < ZERO)
    return np.where(below, np.nextafter(-ZERO, -np.inf), np.where(above, ZERO, threshold))


def check_tree(tree: Tree, where: str, n_features: int) -> None:
    """Each node and leaf must be reached exactly once, or a scorer could loop or read beyond.

    Raises:
        ValueError: ``where`` and what is wrong with the tree.
    """
    nodes = len(tree.feature)
    children = np.sort(np.concatenate([tree.left, tree.right]))
    expected = np.concatenate([np.arange(-tree.leaves, 0), np.arange(1, nodes)])
    if nodes and not np.array_equal(children, expected):
        raise ValueError(f"{where}: its children do not form one tree")
    parent = np.arange(nodes)
    if any(((child > 0) & (child <= parent)).any() for child in (tree.left, tree.right)):
        raise ValueError(f"{where}: a child stands before its parent")
    if nodes and not 0 <= tree.feature.min() <= tree.feature.max() < n_features:
        raise ValueError(f"{where}: a split uses a feature outside 0..{n_features - 1}")
    if np.isnan(tree.threshold).any() or not np.isfinite(tree.value).all():
        raise ValueError(f"{where}: a threshold or leaf value is not a number")
