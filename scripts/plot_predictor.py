"""Plot predicted against measured scoring times."""

from distilrank.job import job

import os

import pandas as pd

from distilrank import plots

StrPath = str | os.PathLike


def plot_predictor(predictor: StrPath, svg: StrPath, png: StrPath) -> None:
    """Read ``tables/predictor.csv`` and write the plot."""
    plots.save(plots.predictor(pd.read_csv(predictor)), svg, png)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        plot_predictor(
            predictor=snakemake.input.predictor,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
        )
