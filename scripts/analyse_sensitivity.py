"""Measure what each layer of a dense student loses when it alone is pruned."""

from distilrank.job import job

import logging
from pathlib import Path

from distilrank.files import write_json
from distilrank.identity import model_identity
from distilrank.letor import Dataset
from distilrank.planned import NativeTimes
from distilrank.sensitivity import Probe, allocations, layer_points
from distilrank.student import Student


def analyse_sensitivity(
    dense: str | Path,
    vali: str | Path,
    predictor: str | Path,
    output: str | Path,
    batch: int,
    no_relevant: float | None = 1.0,
) -> None:
    """Write ``sensitivity/….json``.

    Args:
        dense: the student's file.
        vali: the split's folder.
        predictor: ``predictor/native.json``.
        batch: documents a call, of the predicted times.
    """
    student = Student.load(dense)
    times = NativeTimes.read(predictor)
    probe = Probe.of(
        student,
        Dataset.open(vali),
        no_relevant,
        lambda pruned: times.of_student(pruned, "fp32", batch).total,
    )
    points = layer_points(student, probe)
    lines = allocations(student, probe, points)
    logging.info("%d points on %d documents", len(points), len(probe.rows))
    write_json(
        output,
        {
            "model": model_identity(dense, student),
            "batch": batch,
            "documents": len(probe.rows),
            "points": points,
            "allocations": lines,
        },
    )


if __name__ == "__main__":
    with job(snakemake.log[0]):
        analyse_sensitivity(
            snakemake.input.dense,
            Path(snakemake.input.vali[0]).parent,
            snakemake.input.predictor,
            snakemake.output[0],
            batch=snakemake.params.batch,
            no_relevant=snakemake.params.no_relevant,
        )
