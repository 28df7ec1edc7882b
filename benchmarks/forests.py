"""Forests to measure scorers with: trained once on generated documents, and kept."""

import os
from pathlib import Path

import lightgbm
import numpy as np

from distilrank.engines import load_model
from distilrank.forest import Forest
from distilrank.generate import Generator, Sample
from distilrank.letor import Dataset

PER_QUERY = 120
_SEED, _NOISE, _DOCUMENTS = 7, 0.5, 60_000


def forest(name: str, cache: Path, data: Path) -> Forest:
    """The forest ``TREESxLEAVES``, trained if the ``cache`` lacks it.

    LightGBM learns it from documents generated after the train and vali splits in ``data``,
    without early stopping: every tree has exactly its number of leaves. A smaller forest of the
    same leaves is the first trees of a larger one.

    Raises:
        ValueError: if a tree has fewer leaves.
    """
    path = cache / f"{name}.txt"
    trees, leaves = map(int, name.split("x"))
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        booster = _larger(cache, trees, leaves) or _train(trees, leaves, data)
        booster.save_model(path.with_suffix(".part"), num_iteration=trees)
        path.with_suffix(".part").rename(path)
    model = load_model(path)
    if len(model.trees) != trees or {tree.leaves for tree in model.trees} != {leaves}:
        raise ValueError(f"{path} is not a forest of {trees} trees of {leaves} leaves; delete it")
    return model


def generator(data: Path) -> Generator:
    """Draws documents after those of the train and vali splits in ``data``."""
    sample = Sample([Dataset.open(data / "train"), Dataset.open(data / "vali")])
    return Generator(sample, _SEED, _NOISE)


def _larger(cache: Path, trees: int, leaves: int) -> lightgbm.Booster | None:
    for path in sorted(cache.glob(f"*x{leaves}.txt")):
        if int(path.stem.split("x")[0]) > trees:
            return lightgbm.Booster(model_file=path)
    return None


def _train(trees: int, leaves: int, data: Path) -> lightgbm.Booster:
    print(f"training {trees} trees of {leaves} leaves: minutes, once", flush=True)
    blocks = list(generator(data).blocks("train", _DOCUMENTS // PER_QUERY, _DOCUMENTS, 1))
    _, sizes = np.unique(np.concatenate([block.qids for block in blocks]), return_counts=True)
    learned = lightgbm.Dataset(
        np.concatenate([block.features for block in blocks]),
        np.concatenate([block.labels for block in blocks]), group=sizes,
    )  # fmt: skip
    parameters = {
        "objective": "lambdarank", "num_leaves": leaves, "learning_rate": 0.05, "seed": 0,
        "use_missing": False, "deterministic": True, "force_row_wise": True, "verbose": -1,
        "num_threads": len(os.sched_getaffinity(0)),
    }  # fmt: skip
    return lightgbm.train(parameters, learned, trees)
