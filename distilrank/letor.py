"""Learning-to-rank data: the LETOR/SVMLight text form, and the arrays a split becomes on disk."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.files import growing_array, read_json, write_array, write_json

SPLITS = ("train", "vali", "test")
SPLIT_FILES = ("features.npy", "labels.npy", "offsets.npy", "qids.npy", "meta.json")
# More than any line of numbers needs: 500,000 features. What is longer is no LETOR file.
LONGEST_LINE = 1 << 24
_CHUNK = 4096
_GATHERED = 8192
_MAX_LABEL = 255
_MAX_QID = 2**63 - 1
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_FLOAT64_MAX = float(np.finfo(np.float64).max)
# What stands for a missing value in a split's features: Istella's published one is the largest
# float64, which float32 has not.
MISSING = np.finfo(np.float32).max
# How many of a query's first ranks are compared with the teacher's where there are no labels.
TOP = 10

# What can be wrong with a line, in the order of the native parser's numbers, which start at 1.
# `found` is the token at fault.
PROBLEMS = {
    "label": "label {found}, expected a whole number from 0 to 255",
    "no qid": "nothing after the label, expected qid:<whole number>",
    "qid": "{found} after the label, expected qid:<whole number>",
    "id": "feature {found}, expected an id from 1 to {n_features}",
    "number": "feature {found}, expected <id>:<number>",
    "range": "feature {found}, expected a finite number within float32",
    "twice": "a feature id stands twice, expected each at most once",
    "back": "query {found} comes back after other queries; sort the file by query, or set "
    "group_queries: true",
    "long": "it is longer than {longest_line} bytes; is this a LETOR file?",
    "memory": "no memory left",
}


@dataclass(frozen=True)
class Dataset:
    """One split: documents grouped by query.

    Attributes:
        features: (documents, features) float32; memory-mapped when opened from disk.
        labels: (documents,) uint8 graded relevance, 0 = not relevant; all 0 and meaningless where
            the split is not `labelled`.
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

    @property
    def has_missing(self) -> bool:
        """Some feature of some document is `MISSING`, as ``meta`` of a split on disk says."""
        return "missing" in self.meta

    @property
    def labelled(self) -> bool:
        """Its labels say something; ``labels: false`` in the config's entry says that none does."""
        return self.meta.get("labelled", True)

    def save(self, folder: str | os.PathLike) -> None:
        """Write the split's five files; ``meta.json``, with counts and digests, comes last."""
        with SplitWriter(folder, self.n_features) as writer:
            writer.meta = self.meta
            writer.add(self.features, self.labels, np.repeat(self.qids, self.group_sizes))

    @classmethod
    def open(cls, folder: str | os.PathLike) -> "Dataset":
        """Map a split that ``save`` wrote; reads no features until they are used.

        Raises:
            ValueError: if the files do not belong together, or an array is not there.
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
        sizes = self.group_sizes[queries]
        documents = ranges(self.offsets[queries], sizes)
        return Dataset(
            features=self.features[documents],
            labels=self.labels[documents],
            offsets=np.concatenate([[0], np.cumsum(sizes)]),
            qids=self.qids[queries],
            meta=dict(self.meta),
        )

    def draw(self, share: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The indices of the queries that stay, and of ``share`` of them, at least one, drawn.

        Both keep the file's order of queries.

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
        return np.flatnonzero(~chosen), np.flatnonzero(chosen)

    def save_queries(self, queries: np.ndarray, folder: str | os.PathLike) -> None:
        """Write only ``queries`` (indices, in that order), one after the other, as a split."""
        with SplitWriter(folder, self.n_features) as writer:
            writer.meta = dict(self.meta)
            sizes = self.group_sizes[queries]
            # Some thousand documents at once, however small the queries are.
            starts = np.searchsorted(np.cumsum(sizes), np.arange(0, sizes.sum(), _GATHERED))
            for block in np.split(np.arange(len(queries)), np.unique(starts)[1:]):
                chosen = queries[block]
                documents = ranges(self.offsets[chosen], sizes[block])
                qids = np.repeat(self.qids[chosen], sizes[block])
                writer.add(self.features[documents], self.labels[documents], qids)


class SplitWriter:
    """Write a split's five files from blocks of documents.

    Nothing but the queries' ids is held in memory. Used as a context: the files appear when its
    block succeeds, and not at all when it raises.
    """

    def __init__(self, folder: str | os.PathLike, n_features: int) -> None:
        self._folder = Path(folder)
        self._features = n_features
        self._counts = np.zeros(_MAX_LABEL + 1, dtype=np.int64)
        self._missing = 0
        self._qids: list[np.ndarray] = []
        self._starts: list[np.ndarray] = []
        self._last: int | None = None
        self.meta: dict[str, Any] = {}
        self.n_documents = 0

    @property
    def n_queries(self) -> int:
        return sum(map(len, self._qids))

    def add(self, features: np.ndarray, labels: np.ndarray, qids: np.ndarray) -> None:
        """Append documents: (n, features) float32, (n,) uint8, and each one's query (n,) int64."""
        first = np.ones(len(qids), dtype=bool)
        first[1:] = qids[1:] != qids[:-1]
        first[:1] = self._last is None or qids[:1] != self._last
        self._starts.append(self.n_documents + np.flatnonzero(first))
        self._qids.append(qids[first])
        self._counts += np.bincount(labels, minlength=len(self._counts))
        self._missing += int(np.count_nonzero(features == MISSING))
        self._rows.add(features)
        self._labels.add(labels)
        self.n_documents += len(labels)
        self._last = int(qids[-1]) if len(qids) else self._last

    def __enter__(self) -> "SplitWriter":
        with ExitStack() as stack:
            self._rows = stack.enter_context(
                growing_array(self._folder / "features.npy", np.float32, (self._features,))
            )
            self._labels = stack.enter_context(
                growing_array(self._folder / "labels.npy", np.uint8, ())
            )
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)
        if error[0] is not None:
            return
        offsets = np.concatenate([*self._starts, [self.n_documents]]).astype(np.int64)
        write_array(self._folder / "offsets.npy", offsets)
        write_array(self._folder / "qids.npy", np.concatenate([*self._qids, np.empty(0, np.int64)]))
        counts = {
            "documents": self.n_documents,
            "queries": self.n_queries,
            "features": self._features,
        }
        if self.meta.get("labelled", True):
            counts["labels"] = np.trim_zeros(self._counts, "b").tolist()
        if self._missing:
            counts["missing"] = {"value": float(MISSING), "count": self._missing}
        # What the split was taken from may have had missing values where this one has none.
        given = {key: value for key, value in self.meta.items() if key != "missing"}
        write_json(self._folder / "meta.json", given | counts | {"arrays": _digests(self._folder)})


def _digests(folder: Path) -> dict[str, str]:
    """The sha256 of each of a split's arrays: ``meta.json`` then stands for all five files."""
    digests = {}
    for name in SPLIT_FILES[:-1]:
        with (folder / name).open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """``starts[i], starts[i] + 1, ...``, ``sizes[i]`` of them, one after the other."""
    before = np.cumsum(sizes) - sizes
    return np.arange(sizes.sum()) + np.repeat(starts - before, sizes)


def _map(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is gone; delete the folder, and it is made again") from error
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a whole array; delete the folder ({error})") from error


def parse_letor(
    lines: Iterable[bytes], name: str, n_features: int, returning: bool = False
) -> Dataset:
    """Parse ``label qid:Q 1:v 2:v ... # comment`` lines; features that are not named are 0.

    A value that reads as the largest float64 becomes `MISSING`.

    Args:
        lines: the lines of one file, with or without line ends.
        name: what messages call the file.
        n_features: the highest feature id, and the width of the arrays.
        returning: a query may come back after others; the split then has it once for each time.

    Raises:
        ValueError: names the file, the line, what was found and what was expected. Unless
            ``returning``, a query whose documents do not stand together is an error too.
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
            if qid in seen and not returning:
                raise ValueError(f"{name}, line {number}: {problem('back', qid)}")
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
        try:
            if len(line.removesuffix(b"\n")) > LONGEST_LINE:
                raise ValueError(problem("long"))
            tokens = line.split(b"#", 1)[0].split()
            if not tokens:
                continue
            label, qid = _label(tokens[0]), _qid(tokens)
            features = [_feature(token, n_features) for token in tokens[2:]]
            if len(dict(features)) < len(features):
                raise ValueError(problem("twice"))
            yield number, label, qid, features
        except ValueError as error:
            raise ValueError(f"{name}, line {number}: {error}") from None


def _label(token: bytes) -> int:
    label = _whole(token)
    if label is None or label > _MAX_LABEL:
        raise ValueError(problem("label", token))
    return label


def _qid(tokens: list[bytes]) -> int:
    if len(tokens) < 2:
        raise ValueError(problem("no qid"))
    key, _, value = tokens[1].partition(b":")
    qid = _whole(value)
    if key != b"qid" or qid is None or qid > _MAX_QID:
        raise ValueError(problem("qid", tokens[1]))
    return qid


def _feature(token: bytes, n_features: int) -> tuple[int, float]:
    key, _, text = token.partition(b":")
    column = _whole(key)
    if column is None or not 1 <= column <= n_features:
        raise ValueError(problem("id", token, n_features))
    try:
        value = float(text)
    except ValueError:
        value = None
    # Python alone reads 1_0 as 10.
    if value is None or b"_" in text:
        raise ValueError(problem("number", token))
    if value == _FLOAT64_MAX:
        return column - 1, float(MISSING)
    # Also true of NaN, which compares false to everything.
    if not abs(value) <= _FLOAT32_MAX:
        raise ValueError(problem("range", token))
    return column - 1, value


def _whole(token: bytes) -> int | None:
    """The number that ASCII digits name; anything beyond all limits is 2**64, the rest None."""
    # Python refuses to turn more than a few thousand digits into a number.
    significant = token.lstrip(b"0") or b"0"
    if not token.isdigit():
        return None
    return int(significant) if len(significant) < 20 else 2**64


def problem(kind: str, found: bytes | int = b"", n_features: int = 0) -> str:
    """The sentence about what is wrong with a line; a long token is cut."""
    shown = found if isinstance(found, int) else repr(found[:40].decode("latin-1"))
    return PROBLEMS[kind].format(found=shown, n_features=n_features, longest_line=LONGEST_LINE)
