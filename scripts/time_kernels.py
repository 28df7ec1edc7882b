"""Time single layers over shapes, sparsities and batches, to fit the time predictors on."""

from distilrank.job import job

import csv
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from distilrank.files import replacing, write_json
from distilrank.machine import fingerprint
from distilrank.progress import progress
from distilrank.sweep import KERNELS, as_json, design
from distilrank.timing import core_sets
from distilrank.worker import Worker

COLUMNS = (
    "kernel", "kind", "part", "outputs", "inputs", "sparsity", "nonzeros", "active_rows",
    "active_columns", "batch", "round", "microseconds",
)  # fmt: skip


def time_kernels(
    kind: str,
    output: str | os.PathLike,
    context: str | os.PathLike,
    *,
    settings: Mapping[str, Any],
    batches: Sequence[int],
) -> None:
    """Write ``kernels/{kind}.csv``: one line a sample, microseconds a call.

    Each kernel has a child process of its own. Rounds are interleaved: in each, every kernel
    times every layer once, in a new order.

    Args:
        kind: ``dense`` or ``sparse``.
        output: the CSV file to write.
        context: the JSON file that gets the machine's fingerprint and the settings.
        settings: the config's ``kernels`` section.
        batches: documents a call.

    Raises:
        ValueError: if no kernel of this kind can run here.
        WorkerError: if a kernel fails or crashes.
    """
    points = as_json(design(kind, settings))
    place = core_sets(1)[-1]
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name)) for name in KERNELS[kind]}
        for name, worker in workers.items():
            worker.ask("pin", cores=place)
            worker.send(
                "prepare_kernel", kind=kind, kernel=name, points=points, batches=list(batches)
            )
        facts = _prepared(workers)
        if not facts:
            raise ValueError(f"no {kind} kernel can run here, of {', '.join(KERNELS[kind])}")
        lines = _rounds(workers, facts, settings)
    with replacing(output) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)
    write_json(context, {"machine": fingerprint(), "settings": dict(settings)})


def _prepared(workers: dict[str, Worker]) -> dict[str, list[dict[str, Any]]]:
    """Each kernel's layers; a kernel that cannot run is logged and taken out of ``workers``."""
    facts = {}
    for name, worker in list(workers.items()):
        answer = worker.receive()
        if "reason" in answer:
            logging.warning("kernel %s is left out: %s", name, answer["reason"])
            workers.pop(name).close()
            continue
        facts[name] = answer["facts"]
        worker.ask("quiet")
    return facts


def _rounds(
    workers: dict[str, Worker], facts: dict[str, list[dict[str, Any]]], settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    generator = np.random.default_rng(settings["seed"])
    lines = []
    # Round -1 warms up and is dropped.
    for number in progress(range(-1, settings["rounds"]), "kernel rounds"):
        for name, worker in workers.items():
            order = generator.permutation(len(facts[name])).tolist()
            answer = worker.ask("sample_kernel", order=order, milliseconds=settings["sample_ms"])
            for index, microseconds in zip(order, answer["microseconds"], strict=True):
                line = facts[name][index] | {"round": number, "microseconds": microseconds}
                if number >= 0:
                    lines.append(line)
    return lines


if __name__ == "__main__":
    with job(snakemake.log[0]):
        time_kernels(
            snakemake.wildcards.kind,
            snakemake.output.samples,
            snakemake.output.context,
            settings=snakemake.params.kernels,
            batches=snakemake.params.batches,
        )
