"""Train one forest, as its entry in the catalogue says or as it was tuned."""

from distilrank.job import job

import logging
from pathlib import Path
from typing import Any

from distilrank.files import read_json, write_json
from distilrank.letor import Dataset
from distilrank.teacher import STOPPED_ON, save_forest, train_forest


def train_teacher(
    train: str | Path,
    vali: str | Path,
    settings: dict[str, Any],
    identity: dict[str, Any],
    model: str | Path,
    record: str | Path,
    tuned: str | Path | None = None,
    threads: int = 1,
) -> None:
    """Train on the split in ``train`` and write ``model`` (LightGBM text) and ``record`` (JSON).

    Args:
        settings: an entry of the config's `teachers`.
        identity: data set, fold and teacher, as the model's files carry them.
        tuned: what tuning found for it (JSON), if it is tuned.
    """
    used = read_json(tuned)["settings"] if tuned else settings
    booster, curve = train_forest(Dataset.open(train), Dataset.open(vali), used, threads)
    shape = save_forest(booster, model)
    logging.info("%d trees of up to %d leaves", shape["trees"], shape["max_leaves"])
    write_json(
        record,
        {
            "model": {"kind": "forest"} | identity | shape,
            "settings": used,
            **({"tune": settings["tune"]} if tuned else {}),
            "selected_by": f"vali {STOPPED_ON}",
            "vali": curve,
        },
    )


if __name__ == "__main__":
    with job(snakemake.log[0]):
        train_teacher(
            Path(snakemake.input.train[0]).parent,
            Path(snakemake.input.vali[0]).parent,
            snakemake.params.teacher,
            snakemake.params.identity,
            snakemake.output.model,
            snakemake.output.train,
            snakemake.input.tuned[0] if snakemake.input.tuned else None,
            threads=snakemake.threads,
        )
