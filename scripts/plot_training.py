"""Plot the students' loss and nDCG@10 on vali by epoch."""

from distilrank.job import job

import os

import pandas as pd

from distilrank import plots

StrPath = str | os.PathLike


def plot_training(training: StrPath, svg: StrPath, png: StrPath, *, dataset: str) -> None:
    """Read ``tables/training.csv`` and write the plot of ``dataset``."""
    table = pd.read_csv(training)
    plots.save(plots.training(table[table["dataset"] == dataset]), svg, png)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        plot_training(
            training=snakemake.input.training,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
            dataset=snakemake.params.dataset,
        )
