"""Fit the native scorer's time model on its calibration."""

from distilrank.job import job

import logging
import os

from distilrank.calibration import read_samples
from distilrank.files import read_json, write_json
from distilrank.forest_times import ForestSample, fit_forests
from distilrank.native_errors import cross_validated, intervals
from distilrank.native_fit import fit_native
from distilrank.native_net import Geometry
from distilrank.planned import FORMAT
from distilrank.predictor import relative_errors
from distilrank.residual import learn

StrPath = str | os.PathLike


def fit_native_times(samples_csv: StrPath, context_json: StrPath, output: StrPath) -> None:
    """Write ``predictor/native.json``: costs with units, intervals, and where they hold.

    Args:
        samples_csv: the calibration's samples; those held out are not looked at.
        context_json: the file beside it: machine, library and networks.
        output: the JSON file to write.

    Raises:
        ValueError: if there are fewer samples than costs.
    """
    context = read_json(context_json)
    samples = read_samples(samples_csv, context)
    geometries = {
        precision: Geometry.of(level, context["machine"])
        for precision, level in context["levels"].items()
    }
    forests = fit_forests(
        [ForestSample.from_json(each) for each in context["forests"]], geometries.pop("forest")
    )
    model = fit_native(samples, geometries)
    left_out = cross_validated(samples, geometries)
    residual, factors, found = learn(left_out)
    logging.info("trees on what the costs leave over: %s", found)
    unseen = [
        (sample, factor * sum(time for _, time in made))
        for (sample, made), factor in zip(left_out, factors, strict=True)
    ]
    quality = {
        precision: relative_errors(
            [time for sample, time in unseen if sample.net.precision == precision],
            [sample.median for sample, _ in unseen if sample.net.precision == precision],
        )
        for precision in geometries
    }
    logging.info("cross-validated on the networks of the fit: %s", quality)
    content = {
        "format": FORMAT,
        "machine": context["machine"],
        "library": context["library"],
        "model": model.as_json(),
        "forests": forests.as_json(),
        "residual": found | ({"text": residual.text} if residual else {}),
        "intervals": intervals(unseen),
        "cross_validation": quality,
        "busy_points": len(context["busy"]),
        "points": context["points"],
    }
    write_json(output, content)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        fit_native_times(snakemake.input.samples, snakemake.input.context, snakemake.output[0])
