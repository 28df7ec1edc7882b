"""Prune a dense student to one sparsity and fine-tune what is left."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from distilrank.distil import (
    Schedule,
    checkpoint_beside,
    open_lesson,
    pick_device,
    train,
    write_history,
)
from distilrank.logs import job
from distilrank.pruning import check_masked, masks_for
from distilrank.student import Student


def prune_student(
    dense: str | Path,
    folders: dict[str, str | Path],
    teacher: dict[str, str | Path],
    layers: Sequence[int],
    sparsity: float,
    schedule: Schedule,
    model: str | Path,
    history: str | Path,
    no_relevant: float | None = 1.0,
    threads: int = 1,
    precision: str = "fp32",
    library: str | Path | None = None,
) -> None:
    """Prune ``layers`` (counted from 1) of ``dense``, fine-tune, write ``model`` and ``history``.

    Args:
        folders: where the ``train`` and ``vali`` splits lie.
        teacher: the teacher's ``model``, its ``targets`` (scores of train) and ``midpoints``.
        sparsity: the share of zeros of each pruned layer.
        precision: ``int8`` fine-tunes for the int8 scorer and says so in the student's file.
        library: the native library, which scores synthetic documents.

    A training that is cut off leaves a checkpoint beside ``model``, which the next one goes on
    from.

    Raises:
        ValueError: if a pruned weight came back: nothing is written then.
    """
    torch.set_num_threads(threads)
    student = Student.load(dense)
    tuned_for = {} if precision == "fp32" else {"precision": precision}
    student = replace(student, meta=student.meta | {"sparsity": sparsity} | tuned_for)
    masks = masks_for(student, layers, sparsity)
    lesson = open_lesson(folders, teacher, library)
    settings = asdict(schedule) | {"layers": list(layers), "precision": precision}
    checkpoint = checkpoint_beside(model, student, lesson, settings | student.meta)
    tuned, records = train(
        student, lesson, schedule, student.meta["seed"], pick_device(), no_relevant, masks,
        precision, checkpoint=checkpoint,
    )  # fmt: skip
    check_masked(tuned, masks)
    logging.info("share of zeros by layer: %s", [tuned.sparsity(n) for n in range(len(masks))])
    tuned.save(model)
    write_history(history, records)
    checkpoint.remove()


if __name__ == "__main__":
    with job(snakemake.log[0]):
        recipe = dict(snakemake.params.recipe)
        layers, precision = recipe.pop("layers"), recipe.pop("precision", "fp32")
        prune_student(
            snakemake.input.dense,
            {name: Path(snakemake.input[name][0]).parent for name in ("train", "vali")},
            {name: snakemake.input[name] for name in ("model", "targets", "midpoints")},
            layers,
            int(snakemake.wildcards.sparsity) / 1000,
            Schedule(**recipe),
            snakemake.output.model,
            snakemake.output.history,
            no_relevant=snakemake.params.no_relevant,
            threads=snakemake.threads,
            precision=precision,
            library=snakemake.input.native,
        )
