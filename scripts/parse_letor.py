"""Parse one fold of an archive into train, vali and test."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.download import checked_lines, member
from distilrank.letor import SPLITS, Dataset, parse_letor
from distilrank.logs import job, progress


def parse_fold(
    archive: str | Path, dataset: dict[str, Any], name: str, fold: int, output: str | Path
) -> None:
    """Read a fold's files out of ``archive`` and write one folder a split under ``output``.

    Where the data set has no vali file, ``vali_share`` of the train file's queries become vali,
    drawn by ``vali_seed``.

    Args:
        dataset: the catalogue's entry.
        name: the entry's key.
        output: the fold's folder; gets ``train/``, ``vali/`` and ``test/``.

    Raises:
        ValueError: names the file and line of anything that is not as expected.
    """
    splits = {
        split: _parse(archive, dataset, split, fold)
        for split in SPLITS
        if split in dataset["files"]
    }
    if "vali" not in splits:
        generator = np.random.default_rng(dataset.get("vali_seed", 0))
        splits["train"], splits["vali"] = splits["train"].divide(dataset["vali_share"], generator)
    _warn_of_overlap(splits)
    for split in SPLITS:
        splits[split].meta.update(dataset=name, fold=fold, split=split, title=dataset["title"])
        splits[split].save(Path(output) / split)


def _parse(archive: str | Path, dataset: dict[str, Any], split: str, fold: int) -> Dataset:
    entry = dataset["files"][split]
    path = entry["path"].replace("{fold}", str(fold))
    sha256 = {str(key): value for key, value in entry.get("sha256", {}).items()}.get(str(fold))
    with member(archive, path) as stream:
        lines = progress(checked_lines(stream, sha256, path), f"parsing {split}")
        parsed = parse_letor(lines, path, dataset["features"])
    parsed.meta.update(file=path, sha256=sha256)
    logging.info("%s: %d documents, %d queries", path, parsed.n_documents, parsed.n_queries)
    return parsed


def _warn_of_overlap(splits: dict[str, Dataset]) -> None:
    for one, other in (("train", "vali"), ("train", "test"), ("vali", "test")):
        shared = np.intersect1d(splits[one].qids, splits[other].qids)
        if len(shared):
            logging.warning("%s and %s share %d query ids", one, other, len(shared))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        parse_fold(
            snakemake.input.archive,
            snakemake.params.dataset,
            snakemake.wildcards.dataset,
            int(snakemake.wildcards.fold),
            Path(snakemake.output.train[0]).parents[1],
        )
