"""Plot how much faster sparse engines are than the fastest dense one, by sparsity."""

from distilrank.job import job

import os

import pandas as pd

from distilrank import plots

StrPath = str | os.PathLike


def plot_speedup(speedup: StrPath, svg: StrPath, png: StrPath, *, dataset: str) -> None:
    """Read ``tables/speedup.csv`` and write the plot of ``dataset``."""
    table = pd.read_csv(speedup)
    plots.save(plots.speedup(table[table["dataset"] == dataset]), svg, png)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        plot_speedup(
            speedup=snakemake.input.speedup,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
            dataset=snakemake.params.dataset,
        )
