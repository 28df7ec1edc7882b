"""Plot promised and delivered time of one data set's designs."""

from distilrank.job import job

import os

import pandas as pd

from distilrank import plots

StrPath = str | os.PathLike


def plot_designed(designed: StrPath, svg: StrPath, png: StrPath, *, dataset: str) -> None:
    """Read ``tables/designed.csv`` and write the plot."""
    table = pd.read_csv(designed)
    plots.save(plots.designed(table[table["dataset"] == dataset]), svg, png)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        plot_designed(
            designed=snakemake.input.designed,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
            dataset=snakemake.params.dataset,
        )
