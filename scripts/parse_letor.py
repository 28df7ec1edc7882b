"""Parse one fold of an archive or a folder into train, vali and test."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.archives import checked_blocks, member
from distilrank.letor import SPLIT_FILES, SPLITS, Dataset, SplitWriter
from distilrank.logs import job, progress
from distilrank.native import parse_blocks


def parse_fold(
    source: str | Path,
    dataset: dict[str, Any],
    name: str,
    fold: int,
    output: str | Path,
    library: str | Path | None = None,
) -> None:
    """Read a fold's files out of ``source`` and write one folder a split under ``output``.

    Where the data set has no vali file, ``vali_share`` of the train file's queries become vali,
    drawn by ``vali_seed``. The text and the features stream through: neither is ever in memory as
    a whole. The splits appear when all of them are good.

    Args:
        source: an archive or a folder.
        dataset: the catalogue's entry.
        name: the entry's key.
        output: the fold's folder; gets ``train/``, ``vali/`` and ``test/``.
        library: the native library; where `native.find_library` finds it if not given.

    Raises:
        ValueError: names the file and line of anything that is not as expected.
    """
    output = Path(output)
    unchecked = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        for split in SPLITS:
            if split in dataset["files"]:
                told = {"dataset": name, "fold": fold, "split": split, "title": dataset["title"]}
                _parse(source, dataset, split, fold, unchecked / split, told, library)
        if "vali" not in dataset["files"]:
            _draw_vali(unchecked, dataset)
        _warn_of_overlap(unchecked)
        for split in SPLITS:
            (output / split).mkdir(parents=True, exist_ok=True)
            for file in SPLIT_FILES:
                (unchecked / split / file).replace(output / split / file)
    finally:
        shutil.rmtree(unchecked, ignore_errors=True)


def _parse(
    source: str | Path,
    dataset: dict[str, Any],
    split: str,
    fold: int,
    folder: Path,
    told: dict[str, Any],
    library: str | Path | None,
) -> None:
    entry = dataset["files"][split]
    path = entry["path"].replace("{fold}", str(fold))
    sha256 = {str(key): value for key, value in entry.get("sha256", {}).items()}.get(str(fold))
    largest_gb = dataset.get("largest_file_gb")
    with (
        SplitWriter(folder, dataset["features"]) as writer,
        member(source, path, largest_gb) as stream,
    ):
        blocks = progress(checked_blocks(stream, sha256, path), f"parsing {split}")
        for rows in parse_blocks(blocks, path, dataset["features"], library):
            writer.add(*rows)
        writer.meta = {**told, "file": path, "sha256": sha256}
    logging.info("%s: %d documents, %d queries", path, writer.n_documents, writer.n_queries)


def _draw_vali(folder: Path, dataset: dict[str, Any]) -> None:
    """Turn ``train/`` into what stays of it and ``vali/``."""
    whole = folder / "whole"
    (folder / "train").rename(whole)
    opened = Dataset.open(whole)
    generator = np.random.default_rng(dataset.get("vali_seed", 0))
    drawn = opened.draw(dataset["vali_share"], generator)
    for split, queries in zip(("train", "vali"), drawn, strict=True):
        opened.meta["split"] = split
        opened.save_queries(queries, folder / split)


def _warn_of_overlap(folder: Path) -> None:
    qids = {split: Dataset.open(folder / split).qids for split in SPLITS}
    for one, other in (("train", "vali"), ("train", "test"), ("vali", "test")):
        shared = np.intersect1d(qids[one], qids[other])
        if len(shared):
            logging.warning("%s and %s share %d query ids", one, other, len(shared))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        parse_fold(
            snakemake.params.source,
            snakemake.params.dataset,
            snakemake.wildcards.dataset,
            int(snakemake.wildcards.fold),
            Path(snakemake.output.train[0]).parents[1],
            snakemake.input.native,
        )
