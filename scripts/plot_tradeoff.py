"""Plot nDCG@10 on test against scoring time for one data set."""

from distilrank.job import job

import os

import pandas as pd

from distilrank import plots

StrPath = str | os.PathLike


def plot_tradeoff(
    models: StrPath, svg: StrPath, png: StrPath, *, dataset: str, headline_batch: int
) -> None:
    """Read ``tables/models.csv`` and write the trade-off plot of ``dataset``."""
    table = pd.read_csv(models)
    plots.save(plots.tradeoff(table[table["dataset"] == dataset], headline_batch), svg, png)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        plot_tradeoff(
            models=snakemake.input.models,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
            dataset=snakemake.params.dataset,
            headline_batch=snakemake.params.headline_batch,
        )
