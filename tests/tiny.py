"""Small models and data that tests build: random, seeded, and cheap."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import lightgbm
import numpy as np

from distilrank.files import write_array
from distilrank.forest import Forest, Tree
from distilrank.letor import Dataset
from distilrank.readers import read_forest
from distilrank.student import Student
from distilrank.synthetic import Midpoints

QUERIES, DOCUMENTS, FEATURES = 12, 20, 8


def make_dataset(
    generator: np.random.Generator,
    queries: int = QUERIES,
    documents: int = DOCUMENTS,
    features: int = FEATURES,
    first_qid: int = 1,
) -> Dataset:
    """Labels 0..4 that follow from the first two features, with a little noise.

    Feature 3 is constant, and the last query has no relevant document.
    """
    total = queries * documents
    rows = generator.normal(size=(total, features)).astype(np.float32)
    rows[:, 3] = 7.0
    wish = rows[:, 0] + np.maximum(rows[:, 1], 0) + 0.1 * generator.normal(size=total)
    labels = np.digitize(wish, [0.0, 0.7, 1.4, 2.1]).astype(np.uint8)
    labels[-documents:] = 0
    return Dataset(
        rows,
        labels,
        np.arange(queries + 1, dtype=np.int64) * documents,
        np.arange(first_qid, first_qid + queries, dtype=np.int64),
        {"file": "tiny.txt"},
    )


def make_splits() -> dict[str, Dataset]:
    generator = np.random.default_rng(7)
    names = ("train", "vali", "test")
    return {
        name: make_dataset(generator, first_qid=1 + 100 * place) for place, name in enumerate(names)
    }


def train_booster(splits: dict[str, Dataset], trees: int = 15, leaves: int = 6) -> lightgbm.Booster:
    """A lambdarank forest trained with LightGBM itself, not with the project's code."""
    train = splits["train"]
    data = lightgbm.Dataset(train.features, train.labels, group=train.group_sizes)
    parameters = {
        "objective": "lambdarank", "num_leaves": leaves, "min_data_in_leaf": 5, "verbose": -1,
        "use_missing": False, "num_threads": 1, "deterministic": True, "learning_rate": 0.2,
    }  # fmt: skip
    return lightgbm.train(parameters, data, trees)


def names(folder: Path) -> list[str]:
    """The names of all that lies in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


@dataclass(frozen=True)
class Fold:
    """Where a fold's files lie: ``data`` by split, ``teacher`` by role, ``model`` its forest."""

    data: dict[str, Path]
    teacher: dict[str, Path]
    scores: dict[str, Path]

    @property
    def model(self) -> Path:
        return self.teacher["model"]


def write_fold(root: Path, splits: dict[str, Dataset], booster: lightgbm.Booster) -> Fold:
    data = {name: root / "data" / "tiny" / "fold1" / name for name in splits}
    folder = root / "teachers" / "tiny" / "fold1" / "lm"
    folder.mkdir(parents=True)
    for name, split in splits.items():
        split.save(data[name])
        write_array(folder / f"scores-{name}.npy", booster.predict(split.features, raw_score=True))
    booster.save_model(folder / "model.txt")
    features = splits["train"].features
    midpoints = Midpoints.of(read_forest(folder / "model.txt"), features.min(0), features.max(0))
    midpoints.save(folder / "midpoints.safetensors")
    teacher = {
        "model": folder / "model.txt",
        "targets": folder / "scores-train.npy",
        "midpoints": folder / "midpoints.safetensors",
    }
    return Fold(data, teacher, {name: folder / f"scores-{name}.npy" for name in splits})


def random_tree(generator: np.random.Generator, leaves: int, n_features: int) -> Tree:
    """A tree grown as LightGBM grows one: a random leaf becomes a node, node after node."""
    left, right = [], []
    for node in range(leaves - 1):
        sides = [(side, place) for side in (left, right) for place, to in enumerate(side) if to < 0]
        if sides:
            side, place = sides[generator.integers(len(sides))]
            leaf, side[place] = side[place], node
        else:
            leaf = ~0
        left.append(leaf)
        right.append(~(node + 1))
    nodes = leaves - 1
    return Tree(
        generator.integers(0, n_features, nodes).astype(np.int32),
        # Few distinct thresholds, some of which rows hit exactly.
        generator.integers(-3, 4, nodes) / 2.0,
        np.array(left, dtype=np.int32),
        np.array(right, dtype=np.int32),
        generator.normal(size=leaves),
    )


def random_forest(
    generator: np.random.Generator, trees: int, leaves: int, n_features: int
) -> Forest:
    return Forest(
        tuple(random_tree(generator, leaves, n_features) for _ in range(trees)), n_features
    )


def slow_tree_score(tree: Tree, row: np.ndarray) -> float:
    """One row down one tree, one comparison at a time."""
    at = 0 if len(tree.feature) else -1
    while at >= 0:
        goes_left = float(row[tree.feature[at]]) <= float(tree.threshold[at])
        at = int(tree.left[at] if goes_left else tree.right[at])
    return float(tree.value[-1 - at])


def random_student(
    generator: np.random.Generator, widths: tuple[int, ...] = (FEATURES, 6, 5, 1), **meta: object
) -> Student:
    """A network of random weights; its scaler is far from 0 and 1."""
    weights = [
        generator.normal(size=(outputs, inputs)).astype(np.float32)
        for inputs, outputs in pairwise(widths)
    ]
    biases = [generator.normal(size=outputs).astype(np.float32) for outputs in widths[1:]]
    mean = generator.normal(size=widths[0]) * 10
    scale = generator.uniform(0.1, 100, size=widths[0])
    return Student(tuple(weights), tuple(biases), mean, scale, dict(meta))
