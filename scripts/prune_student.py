"""Prune a dense student to one sparsity, train what is left and remove its dead neurons."""

from distilrank.job import job

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from distilrank.compact import remove_dead_neurons
from distilrank.distil import (
    Schedule,
    checkpoint_beside,
    open_lesson,
    pick_device,
    train,
    write_history,
)
from distilrank.pruning import check_pruned, pruned_from, pruned_layers, rising_masks
from distilrank.scratch import nearby
from distilrank.student import Student


def prune_student(
    dense: str | Path,
    folders: dict[str, str | Path],
    teacher: dict[str, str | Path],
    layers: Sequence[int] | str,
    sparsity: float,
    schedule: Schedule,
    model: str | Path,
    history: str | Path,
    ramp: int = 1,
    no_relevant: float | None = 1.0,
    threads: int = 1,
    precision: str = "fp32",
    library: str | Path | None = None,
) -> None:
    """Prune ``layers`` of ``dense``, train what is left, write ``model`` and ``history``.

    Args:
        folders: where the ``train`` and ``vali`` splits lie.
        teacher: the teacher's ``model``, its ``targets`` (scores of train) and ``midpoints``.
        layers: those pruned, counted from 1: the first layer reads the features; or ``hidden``, all
            but the last one.
        sparsity: the share of zeros of each pruned layer.
        ramp: the epoch in which the sparsity is reached; earlier ones are not kept.
        precision: ``int8`` fine-tunes for the int8 scorer and says so in the student's file.
        library: the native library, which scores synthetic documents.

    A training that is cut off leaves a checkpoint beside ``model``, which the next one goes on
    from.

    Raises:
        ValueError: if a pruned weight came back, or no feature reaches the output: nothing is
            written then.
    """
    torch.set_num_threads(threads)
    student = Student.load(dense)
    layers = pruned_layers(layers, student)
    tuned_for = {} if precision == "fp32" else {"precision": precision}
    student = replace(student, meta=student.meta | {"sparsity": sparsity} | tuned_for)
    masks = rising_masks(student, layers, sparsity, ramp)
    lesson = open_lesson(folders, teacher, library)
    pruning = {"layers": layers, "ramp": ramp, "precision": precision}
    settings = asdict(schedule) | pruning | student.meta
    checkpoint = checkpoint_beside(model, student, lesson, settings)
    tuned, records = train(
        student, lesson, schedule, student.meta["seed"], pick_device(), no_relevant,
        masks, precision, ramp, checkpoint,
    )  # fmt: skip
    check_pruned(tuned, layers, sparsity)
    origin = pruned_from(tuned, layers)
    compact = remove_dead_neurons(tuned)
    logging.info("zeros by layer: %s of %s", origin["zeros"], origin["architecture"])
    logging.info("without dead neurons: %s", compact.architecture)
    replace(compact, meta=compact.meta | {"pruned_from": origin}).save(model)
    write_history(history, records)
    checkpoint.remove()


if __name__ == "__main__":
    with (
        job(snakemake.log[0]),
        nearby({name: Path(snakemake.input[name][0]).parent for name in ("train", "vali")}) as data,
    ):
        recipe = dict(snakemake.params.recipe)
        layers, ramp = recipe.pop("layers"), recipe.pop("ramp", 1)
        precision = recipe.pop("precision", "fp32")
        prune_student(
            snakemake.input.dense,
            data,
            {name: snakemake.input[name] for name in ("model", "targets", "midpoints")},
            layers,
            int(snakemake.wildcards.sparsity) / 1000,
            Schedule(**recipe),
            snakemake.output.model,
            snakemake.output.history,
            ramp=ramp,
            no_relevant=snakemake.params.no_relevant,
            threads=snakemake.threads,
            precision=precision,
            library=snakemake.input.native,
        )
