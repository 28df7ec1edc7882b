"""Train, cut and score the teacher: a LightGBM lambdarank forest."""

import os
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from distilrank.files import write_text
from distilrank.letor import Dataset
from distilrank.lightgbm_text import read_lightgbm_text

STOPPED_ON = "ndcg@10"
# LightGBM's own names: a catalogue entry gives them a number, its `tune` a range to search.
TUNABLE = (
    "learning_rate",
    "min_data_in_leaf",
    "min_sum_hessian_in_leaf",
    "lambda_l2",
    "feature_fraction",
    "bagging_fraction",
    "lambdarank_truncation_level",
)


def train_forest(
    train: Dataset, vali: Dataset, settings: dict[str, Any], threads: int
) -> tuple[lightgbm.Booster, list[float]]:
    """Train a forest, keeping its trees up to the best vali nDCG@10 if it may stop early.

    Args:
        settings: an entry of the config's `teachers` that is trained as it stands.
        threads: LightGBM's threads; with the same count and seed the forest is the same.

    Returns:
        The forest cut to its kept trees, and vali nDCG@10 after each tree that was trained.

    Raises:
        ValueError: if vali has no relevant document, or no tree of the forest has a split.
    """
    booster, curve = grow(bin_splits(train, vali, settings, threads), settings)
    if not booster.feature_importance().any():
        raise ValueError(
            f"the forest is a single leaf: LightGBM found no split of {train.n_documents} "
            f"documents that the settings {settings} allow, and such a forest scores all documents "
            "alike; lower min_data_in_leaf, min_sum_hessian_in_leaf or lambda_l2, and see that "
            "train has documents of different labels in one query"
        )
    return booster, curve


@dataclass(frozen=True)
class BinnedSplits:
    """Train and vali as LightGBM holds them: made once, for any number of forests."""

    train: lightgbm.Dataset
    vali: lightgbm.Dataset
    shared: dict[str, Any]


def bin_splits(
    train: Dataset, vali: Dataset, settings: dict[str, Any], threads: int
) -> BinnedSplits:
    """Bin the features of both splits; ``ValueError`` if vali could choose no forest.

    Args:
        settings: of which only the seed counts here.
    """
    if not np.any(vali.labels):
        raise ValueError(
            f"all {vali.n_documents} documents of the vali split have the label 0: without a "
            "relevant document its nDCG@10 is the same for every forest and cannot choose one; "
            "give a vali file with labels above 0, or another vali_share or split_seed"
        )
    shared = {
        # Scorers compare with `<=` alone: a split must not route missing values by a rule.
        "use_missing": False,
        # Else features would be dropped for one min_data_in_leaf, and lack for the next.
        "feature_pre_filter": False,
        "seed": settings.get("seed", 0),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbose": -1,
    }
    learned, checked = (
        lightgbm.Dataset(
            np.asarray(split.features), split.labels, group=split.group_sizes, params=dict(shared)
        )
        for split in (train, vali)
    )
    checked.set_reference(learned)
    return BinnedSplits(learned.construct(), checked.construct(), shared)


def grow(splits: BinnedSplits, settings: dict[str, Any]) -> tuple[lightgbm.Booster, list[float]]:
    """The forest and the curve that ``train_forest`` returns; it may be a single leaf."""
    parameters = splits.shared | {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "num_leaves": settings["leaves"],
        # Without a frequency LightGBM ignores bagging_fraction.
        "bagging_freq": int("bagging_fraction" in settings),
        **{name: settings[name] for name in TUNABLE if name in settings},
    }
    curve: dict[str, Any] = {}
    callbacks = [lightgbm.record_evaluation(curve), _stop_without_growth]
    stopping = settings.get("early_stopping", 0)
    if stopping:
        callbacks.append(lightgbm.early_stopping(stopping, verbose=False))
    booster = lightgbm.train(
        parameters, splits.train, settings["trees"], valid_sets=[splits.vali], callbacks=callbacks
    )
    trained = [float(value) for value in curve["valid_0"][STOPPED_ON]]
    kept = int(np.argmax(trained)) + 1 if stopping else len(trained)
    return first_trees(booster, kept), trained


def _stop_without_growth(env: lightgbm.callback.CallbackEnv) -> None:
    """End at a tree that has no split: LightGBM drops it, and rounds would no longer be trees.

    It runs before the round is recorded, since LightGBM takes callbacks without an order first.
    """
    if env.model.num_trees() <= env.iteration:
        raise lightgbm.callback.EarlyStopException(env.iteration - 1, env.evaluation_result_list)


def first_trees(booster: lightgbm.Booster, trees: int) -> lightgbm.Booster:
    """The forest of the first ``trees`` trees, at least 1."""
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=trees))


def cut_forest(model: str | os.PathLike, trees: int) -> lightgbm.Booster:
    """The first ``trees`` trees of the forest in ``model``, LightGBM text.

    Raises:
        ValueError: if it has fewer.
    """
    booster = lightgbm.Booster(model_file=model)
    if booster.num_trees() < trees:
        raise ValueError(
            f"{model} has {booster.num_trees()} trees, expected at least {trees}, the first of "
            "which are to be a forest of their own; ask for fewer, or train it with a larger "
            "early_stopping or none"
        )
    return first_trees(booster, trees)


def save_forest(booster: lightgbm.Booster, model: str | os.PathLike) -> dict[str, int]:
    """Write ``model`` (LightGBM text) and return ``trees`` and ``max_leaves`` as read from it."""
    # LightGBM's own writer says nothing of a full disk.
    write_text(model, booster.model_to_string())
    forest = read_lightgbm_text(model)
    return {"trees": len(forest.trees), "max_leaves": forest.max_leaves}


def score(booster: lightgbm.Booster, rows: np.ndarray, threads: int) -> np.ndarray:
    """The forest's raw scores of (documents, features) float32 rows; (documents,) float64."""
    return booster.predict(rows, raw_score=True, num_threads=threads)
