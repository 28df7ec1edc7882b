"""Search the settings of one forest."""

from distilrank.job import job

import logging
from pathlib import Path
from typing import Any

from distilrank.files import write_json
from distilrank.letor import Dataset
from distilrank.teacher import STOPPED_ON
from distilrank.tuning import best_of, trained_settings, tune_forest


def tune_teacher(
    train: str | Path,
    vali: str | Path,
    settings: dict[str, Any],
    tuned: str | Path,
    threads: int = 1,
) -> None:
    """Search on the splits in ``train`` and ``vali``; write ``tuned`` (JSON).

    Args:
        settings: an entry of the config's `teachers` with `tune`.
    """
    unfinished = Path(tuned).with_name("unfinished-trials.json")
    trials = tune_forest(Dataset.open(train), Dataset.open(vali), settings, threads, unfinished)
    best = trials[best_of(trials)]
    logging.info("best: vali %s %.4f with %s", STOPPED_ON, best["vali"], best["settings"])
    write_json(
        tuned,
        {
            "settings": trained_settings(settings, best["settings"]),
            "tune": settings["tune"],
            "selected_by": f"vali {STOPPED_ON}",
            "vali": best["vali"],
            "threads": threads,
            "trials": trials,
        },
    )
    unfinished.unlink()


if __name__ == "__main__":
    with job(snakemake.log[0]):
        tune_teacher(
            Path(snakemake.input.train[0]).parent,
            Path(snakemake.input.vali[0]).parent,
            snakemake.params.teacher,
            snakemake.output.tuned,
            threads=snakemake.threads,
        )
