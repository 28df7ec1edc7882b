"""Check every engine's scores of one model against the reference."""

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.engines import engines_for, load_model, make_engine
from distilrank.files import write_json
from distilrank.identity import model_identity
from distilrank.logs import job, progress
from distilrank.parity import check_error, kendall_tau, largest_error, references, spread_of
from distilrank.worker import Worker

# Beside the one batch that scores every document, each batch scores enough for a full window and
# a partial one: what is compiled for a batch is checked for that batch.
_DOCUMENTS_AT_LEAST = 50


def check_parity(
    model_path: str | os.PathLike,
    data_folder: str | os.PathLike,
    engines: Sequence[str],
    output: str | os.PathLike,
    batches: Sequence[int] = (256,),
) -> None:
    """Score the split with each engine and write ``parity/….json``.

    Args:
        model_path: a LightGBM text or a student's safetensors file.
        data_folder: a split's folder; every document is scored, at one of the batches.
        engines: names from the config; those for another kind of model are left out.
        output: the JSON file to write.
        batches: the batch sizes that will be timed.

    Raises:
        ValueError: if an engine disagrees with the reference.
        WorkerError: if an engine fails or crashes.
    """
    model = load_model(model_path)
    features = Path(data_folder).resolve() / "features.npy"
    rows = np.load(features, mmap_mode="r", allow_pickle=False)
    expected = references(model, rows)
    lines = []
    # One child for all engines: what they import is the larger part of this job.
    with Worker("(none yet)") as worker, tempfile.TemporaryDirectory() as folder:
        for name in progress(engines_for(model, list(engines)), "engines"):
            worker.name = name
            loaded = worker.ask(
                "load", engine=name, model=str(Path(model_path).resolve()), batches=list(batches)
            )
            if "reason" in loaded:
                logging.info("%s is skipped: %s", name, loaded["reason"])
                lines.append({"engine": name, "status": "skipped", "reason": loaded["reason"]})
                continue
            what, reference = expected.get(name, expected[""])
            scores = Path(folder) / "scores.npy"
            line = _check(worker, name, batches, features, reference, scores)
            describe = loaded["describe"][str(_whole(batches))]
            lines.append(line | {"reference": what, "describe": describe})
            logging.info("%s passed: %s", name, lines[-1])
    identity = model_identity(model_path, model)
    write_json(output, {"model": identity, "documents": len(rows), "engines": lines})


def _check(
    worker: Worker,
    name: str,
    batches: Sequence[int],
    features: Path,
    reference: np.ndarray,
    output: Path,
) -> dict[str, Any]:
    """The engine's line; every document at one batch, some at the others."""
    precision = make_engine(name).precision
    line: dict[str, Any] = {"engine": name, "status": "passed", "error": 0.0}
    for batch in batches:
        count = len(reference)
        if batch != _whole(batches):
            count = min(count, max(_DOCUMENTS_AT_LEAST, batch + batch // 2))
        worker.ask(
            "score", engine=name, batch=batch, features=str(features), documents=count,
            output=str(output),
        )  # fmt: skip
        scores = np.load(output, allow_pickle=False)
        error = largest_error(scores, reference[:count], spread_of(reference))
        line["tolerance"] = check_error(name, precision, batch, error)
        line["error"] = max(line["error"], error)
        if count == len(reference):
            line["kendall_tau"] = kendall_tau(scores, reference)
    return line


def _whole(batches: Sequence[int]) -> int:
    """The batch at which every document is scored."""
    return min(batches, key=lambda batch: abs(batch - 256))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        check_parity(
            snakemake.input.model,
            Path(snakemake.input.data[0]).parent,
            snakemake.params.engines,
            snakemake.output[0],
            batches=snakemake.params.batches,
        )
