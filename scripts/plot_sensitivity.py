"""Plot nDCG@10 against the share of zeros of each layer alone."""

from distilrank.job import job

import os

import pandas as pd

from distilrank import pruning_plots
from distilrank.plots import save

StrPath = str | os.PathLike


def plot_sensitivity(sensitivity: StrPath, svg: StrPath, png: StrPath, *, dataset: str) -> None:
    """Read ``tables/sensitivity.csv`` and write the plot of ``dataset``."""
    table = pd.read_csv(sensitivity)
    save(pruning_plots.sensitivity(table[table["dataset"] == dataset]), svg, png)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        plot_sensitivity(
            sensitivity=snakemake.input.sensitivity,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
            dataset=snakemake.params.dataset,
        )
