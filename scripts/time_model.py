"""Time one model on its engines, in interleaved rounds, beside the reference forest."""

from distilrank.job import job

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.engines import Model, check_reference, engines_for, load_model, make_engine
from distilrank.files import read_json, write_json
from distilrank.identity import model_identity
from distilrank.machine import fingerprint
from distilrank.native import choose_library
from distilrank.progress import progress
from distilrank.timing import DOCUMENTS_AT_MOST, core_sets, round_order, summarise
from distilrank.worker import Worker

_MODEL, _REFERENCE = "model", "reference"


def time_model(
    model_path: str | os.PathLike,
    reference_path: str | os.PathLike,
    data_folder: str | os.PathLike,
    parity_path: str | os.PathLike,
    output: str | os.PathLike,
    *,
    engines: Sequence[str],
    reference_engine: str,
    batches: Sequence[int],
    rounds: int,
    sample_ms: float,
    threads: int = 1,
) -> None:
    """Write ``timing/….json``.

    Args:
        model_path, reference_path: the model and the data set's reference forest; may be one.
        data_folder: the test split; documents are scored in query order.
        parity_path: the model's parity file; only engines that passed there are timed.
        output: the JSON file to write.
        engines: names from the config.
        reference_engine: the forest engine that scores the reference in every job.
        batches: documents a call.
        rounds: samples for each engine and batch.
        sample_ms: milliseconds a sample.
        threads: cores that every engine may use.

    Raises:
        ValueError: if the reference engine cannot score such a forest as the reference, the
            parity file lacks an engine, or an engine cannot be loaded now.
        WorkerError: if an engine fails or crashes.
    """
    model, reference = load_model(model_path), load_model(reference_path)
    forest = model_identity(reference_path, reference)
    check_reference(
        reference_engine, forest["teacher"], reference.max_leaves, reference.routes_missing
    )
    passed, skipped = _from_parity(parity_path, model, engines)
    same = Path(model_path).resolve() == Path(reference_path).resolve()
    # A job on the reference forest itself times its reference engine once, for both rows.
    jobs = [(_MODEL, name) for name in passed]
    shared = same and reference_engine in passed
    if not shared:
        jobs.append((_REFERENCE, reference_engine))
    paths = {_MODEL: Path(model_path).resolve(), _REFERENCE: Path(reference_path).resolve()}
    features = Path(data_folder).resolve() / "features.npy"
    with ExitStack() as stack:
        workers = {of_and_name: _start(stack, of_and_name, threads) for of_and_name in jobs}
        describe = _load(workers, paths, batches, threads, skipped)
        samples = _rounds(workers, features, batches, rounds, sample_ms)
    measurements = [
        _measurement(of, name, batch, samples[(of, name), batch], describe[of, name])
        for of, name in workers
        for batch in batches
    ]
    if shared:
        again = [line for line in measurements if line["engine"] == reference_engine]
        measurements += [line | {"of": _REFERENCE} for line in again]
    write_json(
        output,
        {
            "model": model_identity(model_path, model),
            "reference": {
                "model": forest,
                "engine": reference_engine,
            },
            "machine": fingerprint(),
            "settings": _settings(features, batches, rounds, sample_ms, threads),
            "measurements": measurements,
            "skipped": skipped,
        },
    )


def _from_parity(
    path: str | os.PathLike, model: Model, engines: Sequence[str]
) -> tuple[list[str], list[dict[str, str]]]:
    """The engines that may be timed, and the skipped ones with their reasons."""
    lines = {line["engine"]: line for line in read_json(path)["engines"]}
    wanted = engines_for(model, list(engines))
    unchecked = [name for name in wanted if name not in lines]
    if unchecked:
        raise ValueError(
            f"{path} has no line for {', '.join(unchecked)}; delete it and run again, so that "
            "the engines are checked before they are timed"
        )
    passed = [name for name in wanted if lines[name]["status"] == "passed"]
    skipped = [
        {"engine": name, "reason": lines[name]["reason"]} for name in wanted if name not in passed
    ]
    return passed, skipped


def _start(stack: ExitStack, of_and_name: tuple[str, str], threads: int) -> Worker:
    return stack.enter_context(Worker(of_and_name[1], threads))


def _load(
    workers: dict[tuple[str, str], Worker],
    paths: dict[str, Path],
    batches: Sequence[int],
    threads: int,
    skipped: list[dict[str, str]],
) -> dict[tuple[str, str], dict[str, Any]]:
    """Load every child at once, then quiet all; ``describe`` by child and batch.

    A reference engine that cannot run here is taken out of ``workers`` and named in ``skipped``.
    """
    places = core_sets(threads)
    for place, ((of, name), worker) in zip(cycle(places), workers.items(), strict=False):
        worker.ask("pin", cores=place)
        worker.send(
            "load", engine=name, model=str(paths[of]), batches=list(batches), threads=threads
        )
    describe = {}
    for (of, name), worker in list(workers.items()):
        answer = worker.receive()
        if "describe" in answer:
            describe[of, name] = answer["describe"]
        elif of == _REFERENCE:
            skipped.append({"engine": name, "of": of, "reason": answer["reason"]})
            workers.pop((of, name)).close()
        else:
            raise ValueError(f"engine {name} passed the parity check, yet now {answer['reason']}")
    for worker in workers.values():
        # One at a time from here on: all on the same cores.
        worker.ask("pin", cores=places[-1])
        worker.ask("quiet")
    return describe


def _rounds(
    workers: dict[tuple[str, str], Worker],
    features: Path,
    batches: Sequence[int],
    rounds: int,
    sample_ms: float,
) -> dict[tuple[tuple[str, str], int], list[float]]:
    """Microseconds a document: one sample a round of each child at each batch."""
    samples: dict[tuple[tuple[str, str], int], list[float]] = {
        (key, batch): [] for key in workers for batch in batches
    }
    # Round -1 warms up and is dropped.
    for number in progress(range(-1, rounds), "timing rounds"):
        for batch in batches:
            for key in round_order(list(workers), number):
                answer = workers[key].ask(
                    "sample", engine=key[1], batch=batch, features=str(features),
                    milliseconds=sample_ms,
                )  # fmt: skip
                if number >= 0:
                    samples[key, batch].append(answer["microseconds"])
    return samples


def _measurement(
    of: str, name: str, batch: int, samples: list[float], describe: dict[str, Any]
) -> dict[str, Any]:
    engine = make_engine(name)
    line = {
        "engine": name,
        "of": of,
        "batch": batch,
        "precision": engine.precision,
        "exact": engine.exact,
        "sparse": engine.sparse,
        "describe": describe[str(batch)],
    }
    statistics = summarise(samples)
    logging.info("%s of the %s, batch %d: %.4g us/doc", name, of, batch, statistics["median"])
    return line | statistics


def _settings(
    features: Path, batches: Sequence[int], rounds: int, sample_ms: float, threads: int
) -> dict[str, Any]:
    count = len(np.load(features, mmap_mode="r", allow_pickle=False))
    which = (
        "test split"
        if count <= DOCUMENTS_AT_MOST
        else f"first {DOCUMENTS_AT_MOST} of the test split"
    )
    return {
        "batches": list(batches),
        "rounds": rounds,
        "sample_ms": sample_ms,
        "threads": threads,
        "documents": f"{which}, in query order",
    }


if __name__ == "__main__":
    with job(snakemake.log[0]):
        choose_library(snakemake.input.native)
        time_model(
            snakemake.input.model,
            snakemake.input.reference,
            Path(snakemake.input.data[0]).parent,
            snakemake.input.parity,
            snakemake.output[0],
            engines=snakemake.params.engines,
            reference_engine=snakemake.params.reference_engine,
            batches=snakemake.params.batches,
            rounds=snakemake.params.rounds,
            sample_ms=snakemake.params.sample_ms,
        )
