"""Distil one dense student from its teacher."""

from distilrank.job import job

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from distilrank.distil import (
    Schedule,
    checkpoint_beside,
    new_student,
    open_lesson,
    pick_device,
    train,
    write_history,
)
from distilrank.scaling import fit_zscore
from distilrank.scratch import nearby


def distil_student(
    folders: dict[str, str | Path],
    teacher: dict[str, str | Path],
    widths: Sequence[int],
    schedule: Schedule,
    identity: dict[str, Any],
    model: str | Path,
    history: str | Path,
    no_relevant: float | None = 1.0,
    threads: int = 1,
    library: str | Path | None = None,
) -> None:
    """Train a new student and write ``model`` (safetensors) and ``history`` (CSV, a line an epoch).

    Args:
        folders: where the ``train`` and ``vali`` splits lie.
        teacher: the teacher's ``model``, its ``targets`` (scores of train) and ``midpoints``.
        widths: hidden layers' outputs.
        identity: data set, fold, teacher, student, recipe and seed; the seed is the training's.
        library: the native library, which scores synthetic documents.

    A training that is cut off leaves a checkpoint beside ``model``, which the next one goes on
    from.
    """
    torch.set_num_threads(threads)
    lesson = open_lesson(folders, teacher, library)
    mean, scale = fit_zscore(lesson.train.features)
    seed = identity["seed"]
    meta = {"kind": "network", "sparsity": 0.0} | identity
    if schedule.learn_from != "teacher":
        meta["learn_from"] = schedule.learn_from
    fills = lesson.train.has_missing or lesson.vali.has_missing
    untrained = new_student(widths, mean, scale, seed, meta, fills)
    checkpoint = checkpoint_beside(model, untrained, lesson, asdict(schedule) | {"seed": seed})
    student, records = train(
        untrained, lesson, schedule, seed, pick_device(), no_relevant, checkpoint=checkpoint
    )
    student.save(model)
    write_history(history, records)
    checkpoint.remove()


if __name__ == "__main__":
    with (
        job(snakemake.log[0]),
        nearby({name: Path(snakemake.input[name][0]).parent for name in ("train", "vali")}) as data,
    ):
        distil_student(
            data,
            {name: snakemake.input[name] for name in ("model", "targets", "midpoints")},
            snakemake.params.widths,
            Schedule(**snakemake.params.schedule),
            snakemake.params.identity,
            snakemake.output.model,
            snakemake.output.history,
            no_relevant=snakemake.params.no_relevant,
            threads=snakemake.threads,
            library=snakemake.input.native,
        )
