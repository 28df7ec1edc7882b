"""Fit the time model of dense or sparse layers on the kernel sweep."""

from distilrank.job import job

import logging
import os

from distilrank.files import read_json, write_json
from distilrank.predictor import fit, read_samples, relative_errors


def fit_predictor(
    kernels_csv: str | os.PathLike, context: str | os.PathLike, output: str | os.PathLike
) -> None:
    """Write ``predictor/{kind}.json``: coefficients with units, and how well they fit.

    Args:
        kernels_csv: the sweep's samples.
        context: the sweep's JSON file, with the machine that it ran on.
        output: the JSON file to write.

    Raises:
        ValueError: if there are fewer samples than coefficients.
    """
    samples = read_samples(kernels_csv)
    kind = samples[0].kind
    predictor = fit(samples, kind)
    fitted = [sample for sample in samples if sample.part == "fit"]
    quality = {}
    for kernel in predictor.coefficients:
        own = [sample for sample in fitted if sample.kernel == kernel]
        predicted = [predictor.layer(kernel, s.layer, s.batch) for s in own]
        quality[kernel] = relative_errors(predicted, [s.microseconds for s in own])
        logging.info("%s: %s", kernel, quality[kernel])
    content = predictor.as_json() | {"fit": quality, "machine": read_json(context)["machine"]}
    write_json(output, content)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        fit_predictor(snakemake.input.kernels, snakemake.input.context, snakemake.output[0])
