"""Learning-to-rank data: the LETOR/SVMLight text form, and the arrays a split becomes on disk."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.files import read_json, write_array, write_json

SPLITS = ("train", "vali", "test")
SPLIT_FILES = ("features.npy", "labels.npy", "offsets.npy", "qids.npy", "meta.json")
_CHUNK = 4096
_MAX_LABEL = 255
_MAX_QID = 2**63 - 1
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Dataset:
    """One split: documents grouped by query.

    Attributes:
        features: (documents, features) float32; memory-mapped when opened from disk.
        labels: (documents,) uint8 graded relevance, 0 = not relevant.
        offsets: (queries + 1,) int64; query ``q`` owns documents ``offsets[q]:offsets[q + 1]``.
        qids: (queries,) int64, the ids of the published file.
        meta: where it came from.
    """

    features: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray
    qids: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def n_documents(self) -> int:
        return len(self.labels)

    @property
    def n_queries(self) -> int:
        return len(self.qids)

    @property
    def n_features(self) -> int:
        return self.features.shape[1]

    @property
    def group_sizes(self) -> np.ndarray:
        """(queries,) int64, the number of documents of each query."""
        return np.diff(self.offsets)

    def save(self, folder: str | os.PathLike) -> None:
        """Write the split's five files; ``meta.json``, with the counts, comes last."""
        folder = Path(folder)
        for name in ("features", "labels", "offsets", "qids"):
            write_array(folder / f"{name}.npy", getattr(self, name))
        counts = {
            "documents": self.n_documents,
            "queries": self.n_queries,
            "features": self.n_features,
            "labels": np.bincount(self.labels).tolist(),
        }
        write_json(folder / "meta.json", self.meta | counts)

    @classmethod
    def open(cls, folder: str | os.PathLike) -> "Dataset":
        """Map a split that ``save`` wrote; reads no features until they are used.

        Raises:
            ValueError: if the files do not belong together.
        """
        folder = Path(folder)
        meta = read_json(folder / "meta.json")
        arrays = {
            name: _map(folder / f"{name}.npy") for name in ("features", "labels", "offsets", "qids")
        }
        dataset = cls(**arrays, meta=meta)
        found = (*dataset.features.shape, len(dataset.offsets) - 1, *dataset.offsets[-1:])
        documents, queries = dataset.n_documents, dataset.n_queries
        if found != (documents, meta.get("features"), queries, documents):
            raise ValueError(f"the arrays in {folder} do not belong together; delete the folder")
        return dataset

    def select(self, queries: np.ndarray) -> "Dataset":
        """The split with only ``queries`` (indices, in that order), as arrays in memory."""
        starts, ends = self.offsets[queries], self.offsets[queries + 1]
        documents = np.concatenate(
            [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        )
        return Dataset(
            features=self.features[documents],
            labels=self.labels[documents],
            offsets=np.concatenate([[0], np.cumsum(ends - starts)]),
            qids=self.qids[queries],
            meta=dict(self.meta),
        )

    def divide(self, share: float, generator: np.random.Generator) -> tuple["Dataset", "Dataset"]:
        """Draw ``share`` of the queries, at least one, into a second split.

        Both parts keep the file's order of queries.

        Raises:
            ValueError: if one of the parts would be empty.
        """
        drawn = max(1, round(share * self.n_queries))
        if not 0 < share < 1 or drawn >= self.n_queries:
            raise ValueError(
                f"a share of {share} of {self.n_queries} queries leaves an empty split; "
                "vali_share must lie between 0 and 1 and leave queries on both sides"
            )
        chosen = np.zeros(self.n_queries, dtype=bool)
        chosen[generator.choice(self.n_queries, size=drawn, replace=False)] = True
        return self.select(np.flatnonzero(~chosen)), self.select(np.flatnonzero(chosen))


def _map(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a whole array; delete the folder ({error})") from error


def parse_letor(lines: Iterable[bytes], name: str, n_features: int) -> Dataset:
    """Parse ``label qid:Q 1:v 2:v ... # comment`` lines; features that are not named are 0.

    Args:
        lines: the lines of one file, with or without line ends.
        name: what messages call the file.
        n_features: the highest feature id, and the width of the arrays.

    Raises:
        ValueError: names the file, the line, what was found and what was expected. A query
            whose documents do not stand together is an error too.
    """
    chunks: list[np.ndarray] = []
    labels: list[int] = []
    qids: list[int] = []
    starts: list[int] = []
    seen: set[int] = set()
    for number, label, qid, features in _documents(lines, name, n_features):
        if len(labels) % _CHUNK == 0:
            chunks.append(np.zeros((_CHUNK, n_features), dtype=np.float32))
        for column, value in features:
            chunks[-1][len(labels) % _CHUNK, column] = value
        if not qids or qid != qids[-1]:
            if qid in seen:
                raise ValueError(
                    f"{name}, line {number}: query {qid} comes back after other queries; sort the "
                    "file by query"
                )
            seen.add(qid)
            qids.append(qid)
            starts.append(len(labels))
        labels.append(label)
    if not labels:
        raise ValueError(f"{name} holds no document")
    return Dataset(
        features=np.concatenate(chunks)[: len(labels)],
        labels=np.array(labels, dtype=np.uint8),
        offsets=np.array([*starts, len(labels)], dtype=np.int64),
        qids=np.array(qids, dtype=np.int64),
    )


def _documents(
    lines: Iterable[bytes], name: str, n_features: int
) -> Iterator[tuple[int, int, int, list[tuple[int, float]]]]:
    """Line number, label, qid and the named (column, value) pairs of each document."""
    for number, line in enumerate(lines, start=1):
        tokens = line.split(b"#", 1)[0].split()
        if not tokens:
            continue
        try:
            label, qid = _label(tokens[0]), _qid(tokens)
            features = [_feature(token, n_features) for token in tokens[2:]]
            if len(dict(features)) < len(features):
                raise ValueError("a feature id stands twice, expected each at most once")
            yield number, label, qid, features
        except ValueError as error:
            raise ValueError(f"{name}, line {number}: {error}") from None


def _label(token: bytes) -> int:
    if not token.isdigit() or int(token) > _MAX_LABEL:
        raise ValueError(f"label {_shown(token)}, expected a whole number from 0 to {_MAX_LABEL}")
    return int(token)


def _qid(tokens: list[bytes]) -> int:
    key, _, value = tokens[1].partition(b":") if len(tokens) > 1 else (b"", b"", b"")
    if key != b"qid" or not value.isdigit() or int(value) > _MAX_QID:
        found = _shown(tokens[1]) if len(tokens) > 1 else "nothing"
        raise ValueError(f"{found} after the label, expected qid:<whole number>")
    return int(value)


def _feature(token: bytes, n_features: int) -> tuple[int, float]:
    key, _, text = token.partition(b":")
    if not key.isdigit() or not 1 <= int(key) <= n_features:
        raise ValueError(f"feature {_shown(token)}, expected an id from 1 to {n_features}")
    try:
        value = float(text)
    except ValueError:
        value = None
    # Python alone reads 1_0 as 10.
    if value is None or b"_" in text:
        raise ValueError(f"feature {_shown(token)}, expected <id>:<number>")
    # Also true of NaN, which compares false to everything.
    if not abs(value) <= _FLOAT32_MAX:
        raise ValueError(f"feature {_shown(token)}, expected a finite number within float32")
    return int(key) - 1, value


def _shown(token: bytes) -> str:
    return repr(token[:40].decode("latin-1"))
