"""Prune a dense student to one sparsity, train what is left and remove its dead neurons."""

import logging
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import torch

from distilrank.checkpoint import Checkpoint
from distilrank.compact import remove_dead_neurons
from distilrank.distil import (
    Schedule,
    checkpoint_beside,
    open_lesson,
    pick_device,
    train,
    write_history,
)
from distilrank.logs import job
from distilrank.pruning import Pruning, pruned_from
from distilrank.pruning_schedules import MasksAt, prune
from distilrank.student import Student

_DOCUMENTS = 20_000


def prune_student(
    dense: str | Path,
    folders: dict[str, str | Path],
    teacher: dict[str, str | Path],
    pruning: Pruning,
    sparsity: float,
    schedule: Schedule,
    model: str | Path,
    history: str | Path,
    no_relevant: float | None = 1.0,
    threads: int = 1,
    precision: str = "fp32",
    library: str | Path | None = None,
) -> None:
    """Prune ``dense`` by ``pruning``, train what is left, write ``model`` and ``history``.

    Args:
        folders: where the ``train`` and ``vali`` splits lie.
        teacher: the teacher's ``model``, its ``targets`` (scores of train) and ``midpoints``.
        sparsity: the share of zeros of each pruned layer, or of all of them (`Pruning.scope`).
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
    tuned_for = {} if precision == "fp32" else {"precision": precision}
    student = replace(student, meta=student.meta | {"sparsity": sparsity} | tuned_for)
    lesson = open_lesson(folders, teacher, library)
    settings = asdict(schedule) | asdict(pruning) | {"precision": precision} | student.meta
    checkpoints: list[Checkpoint] = []

    def run(
        start: Student, seed: int, masks_at: MasksAt, select_from: int
    ) -> tuple[Student, list[dict[str, float]]]:
        """One training; each round has a checkpoint of its own, kept until the last is done."""
        own = Path(model).with_suffix(f".{len(checkpoints) + 1}.checkpoint")
        checkpoints.append(checkpoint_beside(own, start, lesson, settings | {"seed": seed}))
        return train(
            start, lesson, schedule, seed, pick_device(), no_relevant, masks_at(1, start),
            precision, masks_at, select_from, checkpoints[-1],
        )  # fmt: skip

    rows = _some(lesson.train.features) if pruning.importance == "activation" else None
    tuned, records = prune(student, pruning, sparsity, student.meta["seed"], run, rows)
    origin = pruned_from(tuned, pruning)
    compact = remove_dead_neurons(tuned)
    logging.info("zeros by layer: %s of %s", origin["zeros"], origin["architecture"])
    logging.info("without dead neurons: %s", compact.architecture)
    replace(compact, meta=compact.meta | {"pruned_from": origin}).save(model)
    write_history(history, records)
    for checkpoint in checkpoints:
        checkpoint.remove()


def _some(features: np.ndarray) -> np.ndarray:
    """Documents that are enough to know how much an activation varies."""
    return features[:: -(-len(features) // _DOCUMENTS)]


if __name__ == "__main__":
    with job(snakemake.log[0]):
        recipe = dict(snakemake.params.recipe)
        precision = recipe.pop("precision", "fp32")
        own = {field.name for field in fields(Pruning)} & set(recipe)
        pruning = Pruning(**{name: recipe.pop(name) for name in own})
        prune_student(
            snakemake.input.dense,
            {name: Path(snakemake.input[name][0]).parent for name in ("train", "vali")},
            {name: snakemake.input[name] for name in ("model", "targets", "midpoints")},
            pruning,
            int(snakemake.wildcards.sparsity) / 1000,
            Schedule(**recipe),
            snakemake.output.model,
            snakemake.output.history,
            no_relevant=snakemake.params.no_relevant,
            threads=snakemake.threads,
            precision=precision,
            library=snakemake.input.native,
        )
