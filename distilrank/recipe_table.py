"""The table recipe x data set x seed: what each recipe gives, and if that is more than chance."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from distilrank.judge import OVERLAP
from distilrank.matched import Rules
from distilrank.recipes import Recipe, varying_settings
from distilrank.results import Key, Quality, table_of
from distilrank.tables import against

ALL_SEEDS = "all"
_NETWORK = ["dataset", "teacher", "student", "sparsity"]
_COLUMNS = [
    *("dataset", "name", "teacher", "student", "sparsity", "recipe", "learn_from", "settings"),
    *("seed", "seeds", "folds", "vali_ndcg@10", "ndcg@10", "seed_sd", "seed_low", "seed_high"),
    *("recipes", "chosen", "baseline", "difference", "low", "high", "p_value", "mark"),
    *("teacher_difference", "teacher_low", "teacher_high", "teacher_p_value", "teacher_mark"),
    "seconds",
]


def recipes_table(
    qualities: Mapping[Key, Quality],
    training: pd.DataFrame,
    rules: Rules,
    recipes: Mapping[str, Recipe],
) -> pd.DataFrame:
    """One line for each network and recipe over all seeds (``seed`` is "all"), and one a seed.

    Recipes are compared within a network: one data set, teacher, student and sparsity. Quality
    is the data set's measure, its mean over the queries of all folds, each query's mean over
    seeds; ``seed_sd``, ``seed_low`` and ``seed_high`` are the spread of the single seeds' means on
    test. On test too, ``difference`` is to the baseline and ``teacher_difference`` to the teacher,
    each with its 95 % interval, p-value and mark; without labels only the interval of the mean
    stands in the place of the latter. ``recipes`` is how many the network was trained with, and
    ``chosen`` the best of them on vali. ``seconds`` is as `training_seconds` tells.

    Args:
        training: every student's epochs, as `evidence.training_table` returns them.
        recipes: the config's selected recipes in its order; the first is the baseline.
    """
    seconds = training_seconds(training)
    settings = {name: _words(values) for name, values in varying_settings(recipes).items()}
    lines = []
    for alike in _by_network(qualities, list(recipes)):
        best = max(alike, key=lambda quality: quality.mean("vali"))
        baseline = next((one for one in alike if one.key.recipe == next(iter(recipes), "")), None)
        for quality in alike:
            name, teacher = quality.key.recipe, qualities.get(quality.key.forest)
            common = {
                **_identity(quality),
                "learn_from": recipes.get(name, {}).get("distil", {}).get("learn_from", "teacher"),
                "settings": settings.get(name, ""),
                "recipes": len(alike),
                "chosen": quality is best,
                "baseline": baseline.key.recipe if baseline else "",
            }
            seeds = _by_seed(quality, seconds)
            compared = {}
            for other, prefix in ((baseline, ""), (teacher, "teacher_")):
                if other is not None and other is not quality:
                    compared |= against(quality, other, rules, prefix)
            lines += [common | line for line in (_over_seeds(quality, seeds) | compared, *seeds)]
    return table_of(lines, _COLUMNS, (f"vali_{OVERLAP.key}", OVERLAP.key))


def mean_lines(table: pd.DataFrame) -> pd.DataFrame:
    """The lines over all seeds, of those networks that were trained with several recipes."""
    return table[(table["seed"] == ALL_SEEDS) & (table["recipes"] > 1)]


def training_seconds(training: pd.DataFrame) -> dict[tuple[Any, ...], float]:
    """Wall-clock seconds of training by (data set, teacher, student, sparsity, recipe, seed).

    A pruned network's hold its dense one's, and those of a dense network that recipes share count
    for each of them: it is what the recipe alone would take. Mean over folds.
    """
    if training.empty:
        return {}
    names = [*_NETWORK, "recipe", "seed"]
    own = training.groupby([*names, "fold"], as_index=False)["seconds"].sum()
    dense = own[own["sparsity"] == 0].drop(columns="sparsity")
    both = own.merge(dense, on=[*(set(names) - {"sparsity"}), "fold"], suffixes=("", "_dense"))
    both["seconds"] += both["seconds_dense"].where(both["sparsity"] > 0, 0)
    return both.groupby(names)["seconds"].mean().to_dict()


def _by_network(qualities: Mapping[Key, Quality], recipes: list[str]) -> list[list[Quality]]:
    """The networks' qualities, those that differ in the recipe alone together, in its order."""

    def network(quality: Quality) -> tuple[Any, ...]:
        return tuple(getattr(quality.key, name) for name in _NETWORK)

    def rank(quality: Quality) -> tuple[Any, ...]:
        recipe = quality.key.recipe
        return (*network(quality), recipes.index(recipe) if recipe in recipes else len(recipes))

    found = sorted((one for key, one in qualities.items() if not key.is_forest), key=rank)
    return [list(alike) for _, alike in groupby(found, key=network)]


def _identity(quality: Quality) -> dict[str, Any]:
    key = quality.key
    names = {name: getattr(key, name) for name in (*_NETWORK, "recipe")}
    return names | {"name": key.name(), "folds": " ".join(map(str, quality.folds))}


def _by_seed(quality: Quality, seconds: Mapping[tuple[Any, ...], float]) -> list[dict[str, Any]]:
    key = quality.key
    trained = (*(getattr(key, name) for name in _NETWORK), key.recipe)
    values = zip(quality.seeds, quality.seed_means("vali"), quality.seed_means("test"), strict=True)
    return [
        {
            "seed": str(seed),
            "seeds": 1,
            f"vali_{quality.measure.key}": vali,
            quality.measure.key: test,
            "seconds": seconds.get((*trained, str(seed)), float("nan")),
        }
        for seed, vali, test in values
    ]


def _over_seeds(quality: Quality, seeds: list[dict[str, Any]]) -> dict[str, Any]:
    measure = quality.measure.key
    tested = [line[measure] for line in seeds]
    several = {"seed_low": min(tested), "seed_high": max(tested)} if len(seeds) > 1 else {}
    return {
        "seed": ALL_SEEDS,
        "seeds": len(seeds),
        f"vali_{measure}": quality.mean("vali"),
        measure: quality.mean("test"),
        "seed_sd": quality.seed_spread("test"),
        "seconds": float(np.mean([line["seconds"] for line in seeds])),
        **several,
    }


def _words(settings: Mapping[str, Any]) -> str:
    """Such as ``distil.epochs 100; distil.decay_at 70 90``, without what a recipe does not give."""
    return "; ".join(
        f"{key} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in settings.items()
        if value is not None
    )
