"""A fold's train, vali and test splits on disk, out of the files that a data set names."""

import logging
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.archives import checked_blocks, member
from distilrank.columns import Table
from distilrank.formats import is_table
from distilrank.letor import PROBLEMS, SPLITS, TOP, Dataset, SplitWriter
from distilrank.native import Rows, parse_blocks
from distilrank.progress import progress

# The file that is dealt into folds, in place of the three splits' own.
ALL = "all"


@dataclass(frozen=True)
class Source:
    """Where a fold's files come from.

    Attributes:
        place: an archive or a folder.
        dataset: the catalogue's entry.
        fold: the number in the files' paths, of `folds.source_fold`.
        names: the features' names; a table has its own.
        library: the native library; where `native.find_library` finds it if None.
    """

    place: str | os.PathLike
    dataset: Mapping[str, Any]
    fold: int
    names: Sequence[str] = ()
    library: str | os.PathLike | None = None

    def write(self, names: Sequence[str], folder: Path, told: Mapping[str, Any]) -> None:
        """Read the files ``names`` (of train, vali, test, all) in turn into a split at ``folder``.

        Neither the text nor the features are ever in memory as a whole.

        Args:
            told: what the split's ``meta.json`` says beside its counts.

        Raises:
            ValueError: names the file and line of anything that is not as expected, or the query
                that stands in two of the files.
        """
        grouped = self.dataset.get("group_queries", False)
        apart = folder.with_name(f"{folder.name}-as-it-came") if grouped else folder
        opened = {name: self._rows(self._path(name), self._sha256(name)) for name in names}
        features = opened[names[0]][1]
        _check_width(self.dataset.get("features"), len(features) or None, "feature_names names")
        paths = ", ".join(map(self._path, names))
        known = ", ".join(filter(None, map(self._sha256, names)))
        meta = {**told, "file": paths, "sha256": known or None}
        if features:
            meta["feature_names"] = features
        seen: dict[int, str] = {}
        with SplitWriter(apart, len(features) or self.dataset["features"]) as writer:
            for name, (rows, _) in opened.items():
                for block in progress(_refuse_shared(rows, name, seen), f"reading {name}"):
                    writer.add(*(block if self._labelled else _without_labels(block)))
            writer.meta = meta
        if grouped:
            group_queries(apart, folder)
        logging.info("%s: %d documents, %d queries", paths, writer.n_documents, writer.n_queries)

    @property
    def _labelled(self) -> bool:
        return self.dataset.get("labels", True)

    def _path(self, name: str) -> str:
        """The place of the file ``name`` in the archive or folder."""
        return self.dataset["files"][name]["path"].replace("{fold}", str(self.fold))

    def _sha256(self, name: str) -> str | None:
        known = self.dataset["files"][name].get("sha256", {})
        return {str(fold): sha256 for fold, sha256 in known.items()}.get(str(self.fold))

    def _rows(self, path: str, sha256: str | None) -> tuple[Iterator[Rows], list[str]]:
        """The documents of one file, and the features' names where they are known."""
        largest, grouped = self.dataset.get("largest_file_gb"), self.dataset.get("group_queries")
        if is_table(path):
            table = Table(self.place, path, self._columns(), largest, self._labelled)
            if sha256 is not None:
                with member(self.place, path, largest) as stream:
                    deque(checked_blocks(stream, sha256, path), maxlen=0)
            rows = table.rows() if grouped else _refuse_returning(table.rows(), path)
            _check_width(
                self.dataset.get("features"), len(table.features), f"{path} has columns for"
            )
            return rows, list(self.names) or table.features
        return self._letor(path, sha256, largest, bool(grouped)), list(self.names)

    def _columns(self) -> dict[str, Any]:
        """The named columns; the features are the train file's, in its order, in every file."""
        columns, files = dict(self.dataset["columns"]), self.dataset["files"]
        if "features" not in columns and "train" in files:
            largest = self.dataset.get("largest_file_gb")
            first = Table(self.place, self._path("train"), columns, largest, self._labelled)
            columns["features"] = first.features
        return columns

    def _letor(
        self, path: str, sha256: str | None, largest: float | None, grouped: bool
    ) -> Iterator[Rows]:
        with member(self.place, path, largest) as stream:
            blocks = checked_blocks(stream, sha256, path)
            yield from parse_blocks(
                blocks, path, self.dataset["features"], self.library, returning=grouped
            )


def _check_width(expected: int | None, found: int | None, what: str) -> None:
    if None not in (expected, found) and expected != found:
        raise ValueError(f"{what} {found} features, expected {expected} as the config says")


def _without_labels(rows: Rows) -> Rows:
    """What stands in the place of labels that nobody gave is not kept, whatever it is."""
    features, labels, qids = rows
    return features, np.zeros_like(labels), qids


def _refuse_returning(rows: Iterator[Rows], path: str) -> Iterator[Rows]:
    """Pass tables' rows on; ``ValueError`` where a query comes back after others."""
    seen: set[int] = set()
    last, done = None, 1
    for block in rows:
        qids = block[2]
        starts = np.flatnonzero(np.concatenate([[True], qids[1:] != qids[:-1]]))
        for place, qid in zip(starts.tolist(), qids[starts].tolist(), strict=True):
            if qid in seen and qid != last:
                sentence = PROBLEMS["back"].format(found=qid)
                raise ValueError(f"{path}, document {done + place}: {sentence}")
            seen.add(qid)
            last = qid
        done += len(qids)
        yield block


def _refuse_shared(rows: Iterator[Rows], name: str, seen: dict[int, str]) -> Iterator[Rows]:
    """Pass the rows of the file ``name`` on; ``ValueError`` where a query is another file's too.

    Args:
        seen: the file of each query so far; this one's are added.
    """
    for block in rows:
        for qid in np.unique(block[2]).tolist():
            if seen.setdefault(qid, name) != name:
                raise ValueError(
                    f"query {qid} stands in files.{seen[qid]} and in files.{name}: queries that "
                    "are dealt into folds must each be in one file; give them ids of their own, or "
                    "take cv out of the data set's folds"
                )
        yield block


def group_queries(source: Path, folder: Path) -> None:
    """Write the split in ``source`` with each query's documents together, at ``folder``.

    Queries come in the order of their first documents; a query's documents keep their order.
    """
    opened = Dataset.open(source)
    _, first, inverse = np.unique(opened.qids, return_index=True, return_inverse=True)
    opened.save_queries(np.argsort(first[inverse], kind="stable"), folder)
    moved = opened.n_queries - len(first)
    if moved:
        logging.info("%d times a query came back; its documents were grouped", moved)


def draw_vali(whole: Path, folder: Path, share: float, seed: int) -> None:
    """Divide the split in ``whole`` into ``train/`` and ``vali/`` under ``folder``, by query."""
    opened = Dataset.open(whole)
    drawn = opened.draw(share, np.random.default_rng(seed))
    for split, queries in zip(("train", "vali"), drawn, strict=True):
        opened.meta["split"] = split
        opened.save_queries(queries, folder / split)


def deal_fold(whole: Path, folder: Path, fold: int, folds: int, seed: int) -> None:
    """Write one fold of a cross-validation by query of the split in ``whole``.

    The queries are dealt into ``folds`` parts of equal size, give or take one, in an order that
    the seed decides. Fold ``f`` tests on part ``f``, validates on the one before and trains on the
    others, as the folds of LETOR and MSLR do: over all folds each query is tested once and
    validated on once.

    Raises:
        ValueError: if there are fewer queries than folds.
    """
    opened = Dataset.open(whole)
    if opened.n_queries < folds:
        raise ValueError(
            f"{opened.n_queries} queries cannot be dealt into {folds} folds: name fewer folds"
        )
    part = np.empty(opened.n_queries, dtype=np.int64)
    part[np.random.default_rng(seed).permutation(opened.n_queries)] = (
        np.arange(opened.n_queries) % folds
    )
    test, vali = fold - 1, (fold - 2) % folds
    chosen = {"train": (part != test) & (part != vali), "vali": part == vali, "test": part == test}
    for split in SPLITS:
        opened.meta["split"] = split
        opened.save_queries(np.flatnonzero(chosen[split]), folder / split)


def check_can_be_judged(folder: Path) -> None:
    """Whether every split under ``folder`` can tell a good ranking from a bad one.

    Raises:
        ValueError: if a split with labels has no relevant document: a column of zeros is no labels;
            or if no query of one without labels is longer than the first ranks that are compared.
    """
    for name in SPLITS:
        split = Dataset.open(folder / name)
        if split.labelled and not np.any(split.labels):
            raise ValueError(
                f"{split.meta['file']}: no document of {name} has a label above 0, so that every "
                "ranking of it is as good; if these are no labels, set labels: false in the data "
                "set's entry"
            )
        longest = int(split.group_sizes.max())
        if not split.labelled and longest <= TOP:
            raise ValueError(
                f"{split.meta['file']}: the longest query of {name} has {longest} documents; data "
                f"without labels is judged by who is among the first {TOP}, which takes longer "
                "queries"
            )


def shared_queries(folder: Path) -> dict[str, int]:
    """How many query ids two splits under ``folder`` share, such as ``{"train and test": 3}``."""
    qids = {split: Dataset.open(folder / split).qids for split in SPLITS}
    counts = {
        f"{one} and {other}": len(np.intersect1d(qids[one], qids[other]))
        for one, other in combinations(SPLITS, 2)
    }
    return {pair: count for pair, count in counts.items() if count}
