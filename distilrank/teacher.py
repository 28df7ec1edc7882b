"""Train and score the teacher: a LightGBM lambdarank forest."""

from typing import Any

import lightgbm
import numpy as np

from distilrank.letor import Dataset

STOPPED_ON = "ndcg@10"


def train_forest(
    train: Dataset, vali: Dataset, settings: dict[str, Any], threads: int
) -> tuple[lightgbm.Booster, list[float]]:
    """Train a forest, keeping its trees up to the best vali nDCG@10 if it may stop early.

    Args:
        settings: an entry of the config's `teachers`.
        threads: LightGBM's threads; with the same count and seed the forest is the same.

    Returns:
        The forest cut to its kept trees, and vali nDCG@10 after each tree that was trained.
    """
    parameters = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "num_leaves": settings["leaves"],
        "learning_rate": settings["learning_rate"],
        "min_data_in_leaf": settings.get("min_data_in_leaf", 20),
        # Scorers compare with `<=` alone: a split must not route missing values by a rule.
        "use_missing": False,
        "seed": settings.get("seed", 0),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbose": -1,
    }
    learned = lightgbm.Dataset(
        np.asarray(train.features), train.labels, group=train.group_sizes, params=parameters
    )
    checked = lightgbm.Dataset(
        np.asarray(vali.features), vali.labels, group=vali.group_sizes, reference=learned
    )
    curve: dict[str, Any] = {}
    callbacks = [lightgbm.record_evaluation(curve)]
    stopping = settings.get("early_stopping", 0)
    if stopping:
        callbacks.append(lightgbm.early_stopping(stopping, verbose=False))
    booster = lightgbm.train(
        parameters, learned, settings["trees"], valid_sets=[checked], callbacks=callbacks
    )
    kept = booster.best_iteration if stopping else settings["trees"]
    text = booster.model_to_string(num_iteration=kept)
    return lightgbm.Booster(model_str=text), curve["valid_0"][STOPPED_ON]


def score(booster: lightgbm.Booster, rows: np.ndarray, threads: int) -> np.ndarray:
    """The forest's raw scores of (documents, features) float32 rows; (documents,) float64."""
    return booster.predict(rows, raw_score=True, num_threads=threads)
