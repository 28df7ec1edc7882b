"""Train one forest."""

import logging
from pathlib import Path
from typing import Any

from distilrank.files import replacing, write_json
from distilrank.letor import Dataset
from distilrank.logs import job
from distilrank.readers import read_forest
from distilrank.teacher import STOPPED_ON, train_forest


def train_teacher(
    train: str | Path,
    vali: str | Path,
    settings: dict[str, Any],
    identity: dict[str, Any],
    model: str | Path,
    record: str | Path,
    threads: int = 1,
) -> None:
    """Train on the split in ``train`` and write ``model`` (LightGBM text) and ``record`` (JSON).

    Args:
        settings: an entry of the config's `teachers`.
        identity: data set, fold and teacher, as the model's files carry them.
    """
    booster, curve = train_forest(Dataset.open(train), Dataset.open(vali), settings, threads)
    with replacing(model) as temporary:
        booster.save_model(temporary)
    forest = read_forest(model)
    shape = {"trees": len(forest.trees), "max_leaves": forest.max_leaves}
    logging.info("%d trees of up to %d leaves", shape["trees"], shape["max_leaves"])
    write_json(
        record,
        {
            "model": {"kind": "forest"} | identity | shape,
            "settings": settings,
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
            {
                "dataset": snakemake.wildcards.dataset,
                "fold": int(snakemake.wildcards.fold),
                "teacher": snakemake.wildcards.teacher,
            },
            snakemake.output.model,
            snakemake.output.train,
            threads=snakemake.threads,
        )
