"""The time model of forests in the native scorer: counted work by fitted costs.

Few documents walk from root to leaf; more are scored in blocks of up to 512, as bits of words: see
``native/forest_program.hpp``. Calibrated on random forests, a share of them held out of the fit.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distilrank.forest import Forest, Tree
from distilrank.native_net import Geometry
from distilrank.predictor import Cost, non_negative
from distilrank.steps import beyond
from distilrank.sweep import FIT, VALIDATE, between, evenly_spread

_WALKS, _TOGETHER, _WORD, _WORDS = 7, 16, 64, 8
_THRESHOLDS = 255  # of one search
_NODE_BYTES = 16


@dataclass(frozen=True)
class ForestFacts:
    """What a forest's time depends on.

    Attributes:
        trees, nodes: how many there are.
        thresholds: distinct ones, each of one feature: conditions of a block.
        searches: of at most 255 thresholds of one feature each.
        levels: comparisons of all searches together.
        mean_path: nodes from root to leaf, summed over the trees; mean over each tree's leaves,
            each as likely as halving at every node makes it.
        walked: the same for the deepest tree of 16 that walk side by side, 16 times each.
    """

    features: int
    trees: int
    nodes: int
    thresholds: int
    searches: int
    levels: int
    mean_path: float
    walked: float

    @classmethod
    def of(cls, forest: Forest) -> "ForestFacts":
        counts = [len(each) for each in forest.thresholds() if len(each)]
        parts = [min(_THRESHOLDS, n - at) for n in counts for at in range(0, n, _THRESHOLDS)]
        paths = [_paths(tree) for tree in forest.trees]
        deepest = sorted(deep for _, deep in paths)
        groups = [deepest[at : at + _TOGETHER] for at in range(0, len(deepest), _TOGETHER)]
        return cls(
            features=forest.n_features,
            trees=len(forest.trees),
            nodes=sum(len(tree.feature) for tree in forest.trees),
            thresholds=sum(counts),
            searches=len(parts),
            levels=sum(int(n).bit_length() for n in parts),
            mean_path=float(sum(mean for mean, _ in paths)),
            walked=float(sum(len(group) * max(group) for group in groups)),
        )


def _paths(tree: Tree) -> tuple[float, int]:
    """A tree's mean and longest path in nodes."""
    mean, longest, open_nodes = 0.0, 0, [(0, 1)] if len(tree.feature) else []
    while open_nodes:
        node, depth = open_nodes.pop()
        mean += 0.5 ** (depth - 1)
        longest = max(longest, depth)
        for child in (int(tree.left[node]), int(tree.right[node])):
            if child >= 0:
                open_nodes.append((child, depth + 1))
    return mean, longest


def forest_counts(facts: ForestFacts, batch: int, geometry: Geometry) -> Counter[str]:
    """The counts of a call."""
    counts: Counter[str] = Counter({"once": 1})
    while batch > 0:
        if batch < _WALKS:
            counts.update(_walk(facts, batch, geometry))
            break
        taken = min(batch, _WORD * _WORDS)
        counts.update(_block(facts, taken, geometry))
        batch -= taken
    return counts


def _walk(facts: ForestFacts, documents: int, geometry: Geometry) -> dict[str, float]:
    size = 2 * facts.nodes * _NODE_BYTES
    return {
        "walk.value": documents * facts.features,
        "walk.tree": documents * facts.trees,
        "walk.step": documents * facts.mean_path,
        "walk.wait": documents * facts.walked,
        "walk.missed": documents * facts.mean_path * beyond(size, geometry.l1),
        "walk.far": documents * facts.mean_path * beyond(size, geometry.l2),
    }


def _block(facts: ForestFacts, documents: int, geometry: Geometry) -> dict[str, float]:
    words = next(w for w in (1, 2, 4, 8) if documents <= w * _WORD)
    size = 8 * words * facts.thresholds
    return {
        "block.value": words * facts.features,
        "block.search": facts.searches,
        "block.level": words * facts.levels,
        "block.condition": facts.thresholds,
        "block.condition_word": words * facts.thresholds,
        "block.node": facts.nodes,
        "block.node_word": words * facts.nodes,
        "block.node_wide": facts.nodes * (words > 4),
        "block.missed": words * facts.nodes * beyond(size, geometry.l1),
        "block.far": words * facts.nodes * beyond(size, geometry.l2),
        "block.tree": facts.trees,
        "block.tree_word": words * facts.trees,
        "block.tree_wide": facts.trees * (words > 4),
    }


_COSTS = {
    "once": Cost("us/call", "a call from Python, whatever its size"),
    "walk.value": Cost("us/value", "copying one feature value of one document"),
    "walk.tree": Cost("us/tree", "starting one tree for one document"),
    "walk.step": Cost("us/node", "one node on one document's way"),
    "walk.wait": Cost("us/node", "one node of the longest of 16 ways that wait for each other"),
    "walk.missed": Cost("us/node", "a node that the first-level cache does not hold"),
    "walk.far": Cost("us/node", "a node that the second-level cache does not hold"),
    "block.value": Cost("us/value", "transposing one feature of 64 documents"),
    "block.search": Cost("us/search", "starting the search among one feature's thresholds"),
    "block.level": Cost("us/comparison", "comparing 64 documents with one threshold each"),
    "block.condition": Cost("us/threshold", "making one threshold's bits"),
    "block.condition_word": Cost("us/word", "storing one word of a threshold's bits"),
    "block.node": Cost("us/node", "splitting one node's documents"),
    "block.node_word": Cost("us/word", "splitting 64 documents at one node"),
    "block.node_wide": Cost("us/node", "splitting at one node, beyond 256 documents"),
    "block.missed": Cost("us/word", "a condition's word that the first-level cache has lost"),
    "block.far": Cost("us/word", "a condition's word that the second-level cache has lost"),
    "block.tree": Cost("us/tree", "adding up one tree's leaf values in a block"),
    "block.tree_word": Cost("us/word", "looking up 64 documents' leaf values of one tree"),
    "block.tree_wide": Cost("us/tree", "adding up one tree's leaf values beyond 256 documents"),
}


@dataclass(frozen=True)
class ForestSample:
    """One forest's calls of one size: microseconds a call in each round."""

    part: str
    facts: ForestFacts
    batch: int
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.rounds))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ForestSample":
        """What ``asdict`` gave."""
        facts = ForestFacts(**content["facts"])
        return cls(content["part"], facts, content["batch"], tuple(content["rounds"]))


@dataclass(frozen=True)
class ForestModel:
    """Costs in microseconds by the name of the count."""

    geometry: Geometry
    costs: Mapping[str, float]

    def call(self, facts: ForestFacts, batch: int) -> float:
        """Microseconds a call."""
        counts = forest_counts(facts, batch, self.geometry)
        return float(sum(self.costs[name] * count for name, count in counts.items()))

    def as_json(self) -> dict[str, Any]:
        """Costs with their units and meanings."""
        costs = {name: {"value": v} | asdict(_COSTS[name]) for name, v in self.costs.items()}
        return {"costs": costs, "geometry": asdict(self.geometry)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ForestModel":
        """What ``as_json`` gave."""
        costs = {name: entry["value"] for name, entry in content["costs"].items()}
        return cls(Geometry(**content["geometry"]), costs)


def fit_forests(samples: Sequence[ForestSample], geometry: Geometry) -> ForestModel:
    """Costs by non-negative least squares on the relative error, from the part ``fit``.

    Raises:
        ValueError: if there are fewer samples than costs.
    """
    own = [sample for sample in samples if sample.part == FIT]
    if len(own) < len(_COSTS):
        raise ValueError(
            f"there are {len(own)} samples of forests to fit {len(_COSTS)} costs on; raise forests "
            "under calibration: in the config"
        )
    counted = [forest_counts(sample.facts, sample.batch, geometry) for sample in own]
    counts = np.array([[count[name] for name in _COSTS] for count in counted], dtype=np.float64)
    solution = non_negative(counts, np.array([sample.median for sample in own]))
    return ForestModel(geometry, dict(zip(_COSTS, solution.tolist(), strict=True)))


# ---- Random forests ----


def forest_design(settings: Mapping[str, Any]) -> list[tuple[str, Forest]]:
    """Random forests with their parts, spread over trees, leaves and thresholds a feature.

    Args:
        settings: the config's ``calibration`` section.
    """
    count, seed = settings["forests"], settings["seed"]
    unit = evenly_spread(count, 4, seed)
    held_out = set(range(0, count, 4))  # Sobol's points are spread evenly: so are these
    made = []
    for index, (first, second, third, fourth) in enumerate(unit):
        trees, leaves, values = (
            round(between(limits, position))
            for limits, position in zip(
                (settings["trees"], settings["leaves"], (8, 250)),
                (first, second, third),
                strict=True,
            )
        )
        features = settings["features"][int(fourth * len(settings["features"]))]
        generator = np.random.default_rng([seed, index])
        made.append(
            (
                VALIDATE if index in held_out else FIT,
                random_forest(generator, trees, leaves, features, values),
            )
        )
    return made


def random_forest(
    generator: np.random.Generator, trees: int, leaves: int, features: int, values: int
) -> Forest:
    """A forest whose trees grew at random leaves, with up to ``values`` thresholds a feature."""
    grid = np.sort(generator.standard_normal((features, values)).astype(np.float32), axis=1)
    return Forest(tuple(_tree(generator, leaves, grid) for _ in range(trees)), features)


def _tree(generator: np.random.Generator, leaves: int, grid: np.ndarray) -> Tree:
    nodes = leaves - 1
    children = np.empty((2, nodes), np.int32)
    where = [(0, 0)] * leaves  # the side and node above each leaf
    for node, at in enumerate((generator.random(nodes) * np.arange(1, leaves)).astype(int)):
        if node:
            children[where[at]] = node
        children[:, node] = ~at, ~(node + 1)
        where[at], where[node + 1] = (0, node), (1, node)
    feature = generator.integers(0, len(grid), nodes).astype(np.int32)
    threshold = grid[feature, generator.integers(0, grid.shape[1], nodes)].astype(np.float64)
    return Tree(feature, threshold, children[0], children[1], generator.standard_normal(leaves))
