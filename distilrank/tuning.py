"""Tune a teacher: search LightGBM's settings for the best vali nDCG@10 within a budget of trials.

The search is Optuna's TPE (Bergstra et al., NeurIPS 2011), its first ten trials at random. No
trial is given up for being behind others after the same number of trees: that would favour high
learning rates, which lead early. The entry's `early_stopping` ends hopeless ones.
"""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightgbm
import optuna
from optuna.distributions import FloatDistribution, IntDistribution

from distilrank.files import read_json, write_json
from distilrank.letor import Dataset
from distilrank.progress import progress
from distilrank.teacher import TUNABLE, bin_splits, grow

_WHOLE = {"min_data_in_leaf", "lambdarank_truncation_level"}
# Shares are searched evenly, all else on a logarithmic scale.
_SHARES = {"feature_fraction", "bagging_fraction"}
Trial = dict[str, Any]


def tune_forest(
    train: Dataset,
    vali: Dataset,
    settings: Mapping[str, Any],
    threads: int,
    unfinished: str | os.PathLike,
) -> list[Trial]:
    """Try as many settings as the entry's `tune` says.

    The same entry, data and number of threads give the same trials, whether or not the search was
    cut off and went on: the sampler is asked for every trial again, and told what a finished
    one's forest had given, in place of training it.

    Args:
        settings: an entry of the config's `teachers` with `tune`.
        threads: LightGBM's threads.
        unfinished: the finished trials are written to it as they end (JSON), and read back from it
            if the search was cut off; whoever has the result may delete it.

    Returns:
        One mapping a trial: ``settings`` searched, ``vali`` (nDCG@10 of the kept forest), ``trees``
        kept and ``seconds``.

    Raises:
        ValueError: if vali has no relevant document.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tune = settings["tune"]
    sampler = optuna.samplers.TPESampler(seed=tune.get("seed", 0))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    space = search_space(tune)
    splits = bin_splits(train, vali, dict(settings), threads)
    of = _origin(train, vali, settings, threads)
    finished, trials = _finished(Path(unfinished), of), []
    for number in progress(range(tune["trials"]), "tuning"):
        asked = study.ask(space)
        if number < len(finished) and finished[number]["settings"] == asked.params:
            trials.append(finished[number])
        else:
            start = time.perf_counter()
            booster, curve = grow(splits, trained_settings(settings, asked.params))
            trees = booster.num_trees()
            found = {"vali": curve[trees - 1], "trees": trees}
            seconds = time.perf_counter() - start
            trials.append({"settings": asked.params, "seconds": seconds, **found})
            write_json(unfinished, {"of": of, "trials": trials})
            _tell_progress(trials, tune["trials"])
        study.tell(asked, trials[-1]["vali"])
    return trials


def search_space(tune: Mapping[str, Any]) -> dict[str, optuna.distributions.BaseDistribution]:
    """What the sampler draws from; its order is fixed, so that the config's does not matter."""
    space: dict[str, optuna.distributions.BaseDistribution] = {}
    for name in TUNABLE:
        if name in tune:
            kind = IntDistribution if name in _WHOLE else FloatDistribution
            space[name] = kind(*tune[name], log=name not in _SHARES)
    return space


def trained_settings(settings: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The entry as one that is trained as it stands, with a trial's settings."""
    return {name: value for name, value in settings.items() if name != "tune"} | dict(found)


def best_of(trials: list[Trial]) -> int:
    """The index of the trial with the highest vali nDCG@10, the first of equal ones."""
    return max(range(len(trials)), key=lambda number: trials[number]["vali"])


def _origin(
    train: Dataset, vali: Dataset, settings: Mapping[str, Any], threads: int
) -> dict[str, Any]:
    """All that decides a trial but the code; a larger budget begins with the same trials."""
    tune = {name: value for name, value in settings["tune"].items() if name != "trials"}
    return {
        "settings": trained_settings(settings, {"tune": tune}),
        "threads": threads,
        "versions": {"lightgbm": lightgbm.__version__, "optuna": optuna.__version__},
        "data": {"train": train.meta, "vali": vali.meta},
    }


def _finished(path: Path, of: Mapping[str, Any]) -> list[Trial]:
    """The trials of a search that was cut off; none if it was another one."""
    if not path.exists():
        return []
    content = read_json(path)
    if content["of"] != of:
        logging.info("%s is of other settings, data or versions: starting anew", path)
        return []
    logging.info("going on after %d trials of %s", len(content["trials"]), path)
    return content["trials"]


def _tell_progress(trials: list[Trial], budget: int) -> None:
    best, last = best_of(trials), trials[-1]
    left = sum(trial["seconds"] for trial in trials) / len(trials) * (budget - len(trials))
    logging.info(
        "trial %d of %d: vali nDCG@10 %.4f with %d trees of %s in %.1f s; "
        "the best so far is trial %d with %.4f; about %.0f s to go",
        *(len(trials), budget, last["vali"], last["trees"], last["settings"], last["seconds"]),
        *(best + 1, trials[best]["vali"], left),
    )
