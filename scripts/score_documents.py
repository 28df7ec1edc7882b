"""Score every split with its teacher, and take the midpoints of the teacher's splits."""

from distilrank.job import job

from collections.abc import Mapping
from pathlib import Path

import lightgbm

from distilrank.files import write_array
from distilrank.letor import Dataset
from distilrank.lightgbm_text import read_lightgbm_text
from distilrank.scaling import present_range
from distilrank.synthetic import Midpoints
from distilrank.teacher import score


def score_documents(
    model: str | Path,
    splits: Mapping[str, str | Path],
    outputs: Mapping[str, str | Path],
    midpoints: str | Path,
    threads: int = 1,
) -> None:
    """Write the teacher's raw scores of each split, float64, and the midpoints.

    Args:
        model: the LightGBM text.
        splits: the folder of each split; ``train`` gives the features' ranges.
        outputs: where the scores of each split go.
        midpoints: where the midpoints go.
    """
    booster = lightgbm.Booster(model_file=model)
    for name, output in outputs.items():
        write_array(output, score(booster, Dataset.open(splits[name]).features, threads))
    low, high = present_range(Dataset.open(splits["train"]).features)
    Midpoints.of(read_lightgbm_text(model), low, high).save(midpoints)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        score_documents(
            snakemake.input.model,
            {name: Path(snakemake.input[name][0]).parent for name in ("train", "vali", "test")},
            {name: snakemake.output[name] for name in ("train", "vali", "test")},
            snakemake.output.midpoints,
            threads=snakemake.threads,
        )
