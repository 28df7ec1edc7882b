"""Check every engine's scores of one model against the reference."""

from distilrank.job import job

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.engines import Engine, engines_for, load_model, make_engine
from distilrank.files import write_json
from distilrank.identity import model_identity
from distilrank.kendall import kendall_tau
from distilrank.letor import Dataset
from distilrank.native import choose_library
from distilrank.parity import References, check_errors, errors, quality_loss, spread_of
from distilrank.progress import progress
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
    no_relevant: float | None = 1.0,
    permutations: int = 10_000,
) -> None:
    """Score the split with each engine and write ``parity/….json``.

    Args:
        model_path: a LightGBM text or a student's safetensors file.
        data_folder: a split's folder; every document is scored, at one of the batches.
        engines: names from the config; those for another kind of model are left out.
        output: the JSON file to write.
        batches: the batch sizes that will be timed.
        no_relevant, permutations: as in `parity.quality_loss`, for engines that are not exact.

    Raises:
        ValueError: if an engine disagrees with the reference.
        WorkerError: if an engine fails or crashes.
    """
    model, split = load_model(model_path), Dataset.open(data_folder)
    features = Path(data_folder).resolve() / "features.npy"
    references = References(model, split.features)
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
            engine = make_engine(name)
            what, reference = references.of(engine)
            output_file = Path(folder) / "scores.npy"
            line, scores = _check(worker, engine, batches, features, reference, output_file)
            if not engine.exact:
                line["quality"] = quality_loss(
                    scores, references.exact, split, no_relevant, permutations
                )
            describe = loaded["describe"][str(_whole(batches))]
            lines.append(line | {"reference": what, "describe": describe})
            logging.info("%s passed: %s", name, lines[-1])
    identity = model_identity(model_path, model)
    write_json(output, {"model": identity, "documents": split.n_documents, "engines": lines})


def _check(
    worker: Worker,
    engine: Engine,
    batches: Sequence[int],
    features: Path,
    reference: np.ndarray,
    output: Path,
) -> tuple[dict[str, Any], np.ndarray]:
    """The engine's line and its scores; every document at one batch, some at the others."""
    line: dict[str, Any] = {"engine": engine.name, "status": "passed", "error": 0.0}
    all_scores = np.empty(0)
    for batch in batches:
        count = len(reference)
        if batch != _whole(batches):
            count = min(count, max(_DOCUMENTS_AT_LEAST, batch + batch // 2))
        worker.ask(
            "score", engine=engine.name, batch=batch, features=str(features), documents=count,
            output=str(output),
        )  # fmt: skip
        scores = np.load(output, allow_pickle=False)
        largest, mean = errors(scores, reference[:count], spread_of(reference))
        line["tolerance"] = check_errors(engine.name, engine.precision, batch, largest, mean)
        line["error"] = max(line["error"], largest)
        if batch == _whole(batches):
            all_scores = scores
            line |= {"mean_error": mean, "kendall_tau": kendall_tau(scores, reference)}
    return line, all_scores


def _whole(batches: Sequence[int]) -> int:
    """The batch at which every document is scored."""
    return min(batches, key=lambda batch: abs(batch - 256))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        choose_library(snakemake.input.native)
        check_parity(
            snakemake.input.model,
            Path(snakemake.input.data[0]).parent,
            snakemake.params.engines,
            snakemake.output[0],
            batches=snakemake.params.batches,
            no_relevant=snakemake.params.no_relevant,
            permutations=snakemake.params.permutations,
        )
