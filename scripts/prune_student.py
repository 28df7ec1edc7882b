"""Prune a dense student to one sparsity, train what is left and remove its dead neurons."""

import logging
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch

from distilrank.compact import remove_dead_neurons
from distilrank.distil import Schedule, open_lesson, pick_device, train, write_history
from distilrank.logs import job
from distilrank.pruning import Pruning, pruned_from
from distilrank.pruning_schedules import prune
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
) -> None:
    """Prune ``dense`` by ``pruning``, train what is left, write ``model`` and ``history``.

    Args:
        folders: where the ``train`` and ``vali`` splits lie.
        teacher: the teacher's ``model``, its ``targets`` (scores of train) and ``midpoints``.
        sparsity: the share of zeros of each pruned layer, or of all of them (`Pruning.scope`).
        precision: ``int8`` fine-tunes for the int8 scorer and says so in the student's file.

    Raises:
        ValueError: if a pruned weight came back, or no feature reaches the output: nothing is
            written then.
    """
    torch.set_num_threads(threads)
    student = Student.load(dense)
    tuned_for = {} if precision == "fp32" else {"precision": precision}
    student = replace(student, meta=student.meta | {"sparsity": sparsity} | tuned_for)
    lesson = open_lesson(folders, teacher, threads)

    def run(
        start: Student, seed: int, masks_at: Callable, select_from: int
    ) -> tuple[Student, list[dict[str, float]]]:
        return train(
            start, lesson, schedule, seed, pick_device(), no_relevant, precision=precision,
            masks_at=masks_at, select_from=select_from,
        )  # fmt: skip

    rows = _some(lesson.train.features) if pruning.importance == "activation" else None
    tuned, records = prune(student, pruning, sparsity, student.meta["seed"], run, rows)
    origin = pruned_from(tuned, pruning)
    compact = remove_dead_neurons(tuned)
    logging.info("zeros by layer: %s of %s", origin["zeros"], origin["architecture"])
    logging.info("without dead neurons: %s", compact.architecture)
    replace(compact, meta=compact.meta | {"pruned_from": origin}).save(model)
    write_history(history, records)


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
        )
