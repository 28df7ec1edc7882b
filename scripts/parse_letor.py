"""Read one fold of a data set into train, vali and test."""

from distilrank.job import job

import logging
import shutil
import sys
from pathlib import Path
from typing import Any

from distilrank.files import read_json, temporary_beside, write_json
from distilrank.folds import folds_of, is_dealt, source_fold
from distilrank.letor import SPLIT_FILES, SPLITS
from distilrank.splits import (
    ALL,
    Source,
    check_can_be_judged,
    deal_fold,
    draw_vali,
    shared_queries,
)

# Where neither a vali file nor its share is named.
VALI_SHARE = 0.2


def parse_fold(
    source: str | Path,
    dataset: dict[str, Any],
    name: str,
    fold: int,
    output: str | Path,
    library: str | Path | None = None,
    names: str | Path | None = None,
) -> None:
    """Read a fold's files out of ``source`` and write one folder a split under ``output``.

    Where the data set has no vali file, ``vali_share`` of the train file's queries become vali;
    where it is cross-validated, the queries of all its files are dealt into its folds;
    ``split_seed`` decides.
    The splits appear when all of them are good.

    Args:
        source: an archive or a folder.
        dataset: the catalogue's entry.
        name: the entry's key.
        output: the fold's folder; gets ``train/``, ``vali/`` and ``test/``.
        library: the native library; where `native.find_library` finds it if not given.
        names: a text file with one feature's name a line, where the entry names one.

    Raises:
        ValueError: names the file and line of anything that is not as expected, or the split in
            which no ranking is better than another.
    """
    output = Path(output)
    unchecked = temporary_beside(output)
    names = _feature_names(dataset, names)
    reader = Source(source, dataset, source_fold(dataset, fold), names, library)
    told: dict[str, Any] = {"dataset": name, "fold": fold, "title": dataset["title"]}
    if not dataset.get("labels", True):
        told["labelled"] = False
    seed = dataset.get("split_seed", 0)
    try:
        if is_dealt(dataset):
            pooled = [name for name in (ALL, *SPLITS) if name in dataset["files"]]
            folds = len(folds_of(dataset))
            reader.write(pooled, unchecked / ALL, told | {"dealt": folds})
            deal_fold(unchecked / ALL, unchecked, fold, folds, seed)
        else:
            drawn = "vali" not in dataset["files"]
            for split in dataset["files"]:
                folder = "whole" if drawn and split == "train" else split
                reader.write([split], unchecked / folder, {**told, "split": split})
            if drawn:
                draw_vali(
                    unchecked / "whole", unchecked, dataset.get("vali_share", VALI_SHARE), seed
                )
        check_can_be_judged(unchecked)
        _warn_of_overlap(unchecked)
        for split in SPLITS:
            (output / split).mkdir(parents=True, exist_ok=True)
            for file in SPLIT_FILES:
                (unchecked / split / file).replace(output / split / file)
    finally:
        shutil.rmtree(unchecked, ignore_errors=True)


def _feature_names(dataset: dict[str, Any], path: str | Path | None) -> list[str]:
    names = dataset.get("feature_names", [])
    if isinstance(names, list):
        return names
    if path is None or not Path(path).is_file():
        raise ValueError(f"feature_names is {names}, and there is no such file")
    return [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def _warn_of_overlap(folder: Path) -> None:
    """Tell of queries that stand in two splits, on the console, in the log and in ``meta.json``."""
    shared = shared_queries(folder)
    for pair, count in shared.items():
        warning = f"{pair} share {count} query ids: what is tested may have been learnt"
        logging.warning(warning)
        print(f"warning: {warning}", file=sys.stderr)
    if shared:
        for split in SPLITS:
            meta = folder / split / "meta.json"
            write_json(meta, read_json(meta) | {"shared_queries": shared})


if __name__ == "__main__":
    with job(snakemake.log[0]):
        dataset = snakemake.params.dataset
        parse_fold(
            Path(snakemake.params.folder or snakemake.input.files[0]).expanduser(),
            dataset,
            snakemake.params.name,
            int(snakemake.params.fold),
            Path(snakemake.output[0]).parents[1],
            snakemake.input.native,
            next(iter(snakemake.input.names), None),
        )
