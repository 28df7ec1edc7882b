"""Generate data of a real sample's shape: any number of documents, learnable graded labels.

Documents are a smoothed bootstrap of the sample's. A generated query takes after one real query;
each of its documents lies between a real document and one of its nearest neighbours in the same
query (Chawla et al., SMOTE, JAIR 2002), on the scale of ranks, with a little noise. What is zero
stays zero, signs and whole numbers stay, and what is constant within every query stays constant.
Labels follow from a seeded random function of the features, not from the sample's labels, of
which only the shares are taken.
"""

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distilrank.files import replacing
from distilrank.letor import MISSING, SPLITS, Dataset
from distilrank.letor_text import MILLION, letor_text, values_of

# Ranks are spread by this share of the sample's documents; query constants by whole ranks.
_SPREAD = 0.01
_CONSTANT_SPREAD = 1.0
_NEIGHBOURS = 5
# Halfway to a neighbour and no further: a document in the middle of its query is the neighbour
# of many, and would be drawn too often.
_FURTHEST = np.float32(0.5)
# With fewer values a feature is a category: no value between two of them makes sense.
_FEWEST_VALUES = 17
_UNITS, _INPUTS = 32, 4
_QUERY_EFFECT = 0.4
_PILOT_QUERIES, _PILOT_DOCUMENTS = 400, 20_000
_BLOCK = 4096
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


class Sample:
    """Real documents, prepared for drawing.

    Ranks are those of a feature's sorted values; equal values share a span of ranks.

    Attributes:
        millionths: (documents, features) int64, the features times a million.
        table: (features, documents) float64, the same sorted.
        rank, width: (documents, features) float32, the middle and length of a value's span.
        low, high: (documents, features) float32, the ranks of the values of the same sign.
        neighbours: (documents, k) the nearest documents of the same query, by ranks.
        offsets: (queries + 1,) int64, as in `Dataset`.
        whole, few, constant: (features,) bool: only whole numbers; few values; the same for all
            documents of each query.
        shares: (grades,) the share of each label.
    """

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        """Take all documents of ``datasets``, whose queries differ.

        Raises:
            ValueError: if there are fewer than two queries, or a value is too large.
        """
        sizes = np.concatenate([dataset.group_sizes for dataset in datasets])
        if len(sizes) < 2:
            raise ValueError("the sample has one query, expected at least two to draw from")
        features = np.concatenate([dataset.features for dataset in datasets])
        absent = np.count_nonzero(features == MISSING)
        if absent:
            raise ValueError(
                f"{absent:,} values of the sample are missing, and documents are drawn between "
                "values; write a data set without missing values under generate.from"
            )
        if not np.abs(features).max() < 1e9:
            raise ValueError("the sample has a feature of 1e9 or more; nothing this large is drawn")
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])
        self.millionths = np.rint(features.astype(np.float64) * MILLION).astype(np.int64)
        self.table = np.ascontiguousarray(np.sort(self.millionths, axis=0).T.astype(np.float64))
        self.whole = (self.millionths % MILLION == 0).all(axis=0)
        self.few = np.array([len(np.unique(row)) < _FEWEST_VALUES for row in self.table])
        starts = self.offsets[:-1]
        lowest = np.minimum.reduceat(self.millionths, starts)
        self.constant = (lowest == np.maximum.reduceat(self.millionths, starts)).all(axis=0)
        self.constants = lowest[:, self.constant]
        self._rank()
        self.neighbours = self._find_neighbours()
        labels = np.concatenate([dataset.labels for dataset in datasets])
        self.shares = np.bincount(labels) / len(labels)

    @property
    def n_documents(self) -> int:
        return len(self.millionths)

    @property
    def n_features(self) -> int:
        return self.millionths.shape[1]

    def _rank(self) -> None:
        shape = self.millionths.shape
        self.rank, self.width, self.low, self.high = np.zeros((4, *shape), dtype=np.float32)
        last = self.n_documents - 1
        for feature, row in enumerate(self.table):
            values = self.millionths[:, feature]
            first = np.searchsorted(row, values, "left")
            final = np.searchsorted(row, values, "right") - 1
            negative, not_positive = (
                np.searchsorted(row, 0, "left"),
                np.searchsorted(row, 0, "right"),
            )
            self.rank[:, feature] = (first + final) / 2
            self.width[:, feature] = final - first
            self.low[:, feature] = np.select([values < 0, values > 0], [0, not_positive], first)
            self.high[:, feature] = np.select([values < 0, values > 0], [negative - 1, last], final)

    def _find_neighbours(self) -> np.ndarray:
        """A document is no neighbour of its own, unless it is its query's only one."""
        found = np.zeros((self.n_documents, _NEIGHBOURS), dtype=np.int64)
        for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            ranks = self.rank[start:end].astype(np.float64)
            for place, row in enumerate(ranks):
                # Halves of whole numbers: sums are exact, and the order the same on any machine.
                order = np.argsort(np.abs(ranks - row).sum(axis=1), kind="stable")
                others = order[order != place][:_NEIGHBOURS] if len(order) > 1 else order
                found[start + place] = start + np.resize(others, _NEIGHBOURS)
        return found


@dataclass(frozen=True)
class Block:
    """Generated documents of whole queries.

    Attributes:
        millionths: (documents, features) int64, the features times a million.
        labels: (documents,) uint8.
        qids: (documents,) int64, equal for the documents of a query, which stand together.
    """

    millionths: np.ndarray
    labels: np.ndarray
    qids: np.ndarray

    @property
    def features(self) -> np.ndarray:
        """(documents, features) float32, as a parser reads them from the block's text."""
        return values_of(self.millionths)

    def text(self) -> bytes:
        return letor_text(self.labels, self.qids, self.millionths)


class Relevance:
    """A random network of few-input ReLU units, a query's own effect and noise, cut into grades.

    Its inputs are ranks, standardised over the sample. Sums have a fixed order, so that a seed
    gives the same labels whatever linear algebra library there is.
    """

    def __init__(self, sample: Sample, noise: float, generator: np.random.Generator) -> None:
        rank = sample.rank.astype(np.float64)
        self.noise = noise
        self.mean = rank.mean(axis=0)
        spread = rank.std(axis=0)
        self.scale = np.where(spread > 0, spread, np.inf)
        inputs = min(_INPUTS, sample.n_features)
        self.inputs = np.array(
            [generator.choice(sample.n_features, inputs, replace=False) for _ in range(_UNITS)]
        )
        self.weights = generator.normal(size=self.inputs.shape)
        self.biases = generator.normal(size=_UNITS)
        self.outputs = generator.normal(size=_UNITS)
        self.centre, self.size, self.cuts = 0.0, 1.0, np.empty(0)

    def signal(self, ranks: np.ndarray) -> np.ndarray:
        """(documents,) the part of relevance that follows from the features."""
        total = np.zeros(len(ranks))
        for unit in range(_UNITS):
            activation = np.full(len(ranks), self.biases[unit])
            for feature, weight in zip(self.inputs[unit], self.weights[unit], strict=True):
                column = (ranks[:, feature] - self.mean[feature]) / self.scale[feature]
                activation += weight * column
            total += self.outputs[unit] * np.maximum(activation, 0)
        return (total - self.centre) / self.size

    def wish(
        self, ranks: np.ndarray, query: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """(documents,) relevance before it is cut into grades; ``query`` counts from 0."""
        effect = _QUERY_EFFECT * generator.normal(size=query[-1] + 1)
        return self.signal(ranks) + effect[query] + self.noise * generator.normal(size=len(ranks))

    def calibrate(
        self, pilot: list[tuple[np.ndarray, np.ndarray]], shares: np.ndarray,
        generator: np.random.Generator,
    ) -> None:  # fmt: skip
        """Scale the signal to deviation 1 and set the cuts for these ``shares`` of grades."""
        signal = np.concatenate([self.signal(ranks) for ranks, _ in pilot])
        self.centre, self.size = signal.mean(), max(signal.std(), 1e-12)
        wishes = np.concatenate([self.wish(*drawn, generator) for drawn in pilot])
        self.cuts = np.quantile(wishes, np.clip(np.cumsum(shares)[:-1], 0, 1))

    def labels(
        self, ranks: np.ndarray, query: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        return np.digitize(self.wish(ranks, query, generator), self.cuts).astype(np.uint8)


class Generator:
    """Draws splits of generated documents; the same seed gives the same documents."""

    def __init__(self, sample: Sample, seed: int, noise: float) -> None:
        """Fix the labels' function and its cuts.

        Args:
            sample: the real documents.
            seed: a whole number from 0.
            noise: standard deviation of the labels' noise, in those of the signal.

        Raises:
            ValueError: if ``seed`` or ``noise`` is negative.
        """
        if seed < 0 or not 0 <= noise < np.inf:
            raise ValueError(f"a seed of {seed} and noise of {noise}, expected neither below 0")
        self.sample, self.seed = sample, seed
        generator = np.random.default_rng([seed, len(SPLITS)])
        self.relevance = Relevance(sample, noise, generator)
        pilot = [
            self._documents(bases, sizes, generator)[1:]
            for _, bases, sizes in _blocks(
                *self._queries(_PILOT_QUERIES, _PILOT_DOCUMENTS, generator)
            )
        ]
        self.relevance.calibrate(pilot, sample.shares, generator)

    def blocks(self, split: str, queries: int, documents: int, first_qid: int) -> Iterator[Block]:
        """Blocks of whole queries, ``queries`` and ``documents`` in all, ids from ``first_qid``.

        Queries have as many documents as the real ones they take after, in proportion.

        Raises:
            ValueError: if there is no query, or fewer documents than queries.
        """
        if not 1 <= queries <= documents:
            raise ValueError(
                f"{split} with {queries} queries and {documents} documents, expected at least one "
                "query and a document for each"
            )
        generator = np.random.default_rng([self.seed, SPLITS.index(split)])
        for first, bases, sizes in _blocks(*self._queries(queries, documents, generator)):
            millionths, ranks, query = self._documents(bases, sizes, generator)
            labels = self.relevance.labels(ranks, query, generator)
            yield Block(millionths, labels, first_qid + first + query)

    def _queries(
        self, queries: int, documents: int, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """(queries,) the real query that each takes after, and its number of documents."""
        real = np.diff(self.sample.offsets)
        # All real queries equally often, in random order.
        rounds = np.tile(np.arange(len(real)), (-(-queries // len(real)), 1))
        bases = generator.permuted(rounds, axis=1).ravel()[:queries]
        ideal = real[bases] * ((documents - queries) / real[bases].sum())
        sizes = 1 + np.floor(ideal).astype(np.int64)
        most_cut = np.argsort(np.floor(ideal) - ideal, kind="stable")
        sizes[most_cut[: documents - sizes.sum()]] += 1
        return bases, sizes

    def _documents(
        self, bases: np.ndarray, sizes: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Millionths, ranks (documents, features) and the query (documents,) from 0."""
        sample = self.sample
        query = np.repeat(np.arange(len(bases)), sizes)
        start, real = sample.offsets[bases], np.diff(sample.offsets)[bases]
        one = start[query] + generator.integers(real[query])
        place = generator.integers(sample.neighbours.shape[1], size=len(one))
        other = sample.neighbours[one, place]
        share = _FURTHEST * generator.random((len(one), 1), dtype=np.float32)
        # What cannot lie between the two comes from one of them, the same for all features.
        chosen = np.where(generator.random(len(one)) < share[:, 0], other, one)
        ranks = self._ranks(one, other, chosen, share, generator)
        millionths = self._values(ranks, chosen)
        values, constant_ranks = self._constants(bases, generator)
        millionths[:, sample.constant] = values[query]
        ranks[:, sample.constant] = constant_ranks[query]
        return millionths, ranks, query

    def _ranks(
        self, one: np.ndarray, other: np.ndarray, chosen: np.ndarray, share: np.ndarray,
        generator: np.random.Generator,
    ) -> np.ndarray:  # fmt: skip
        sample = self.sample
        low, high = sample.low[chosen], sample.high[chosen]
        apart = (sample.low[one] != sample.low[other]) | sample.few
        ranks, width = (
            np.where(apart, array[chosen], array[one] + share * (array[other] - array[one]))
            for array in (sample.rank, sample.width)
        )
        noise = generator.random(ranks.shape, dtype=np.float32) - np.float32(0.5)
        ranks += noise * np.where(sample.few, 0, width + 2 * _SPREAD * sample.n_documents)
        # Reflected at the ends of its sign's ranks; a zero's are its own.
        ranks = low + np.abs(ranks - low)
        ranks = high - np.abs(high - ranks)
        return np.clip(ranks, low, high)

    def _values(self, ranks: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        sample = self.sample
        below = ranks.astype(np.int64)
        part = ranks - below
        below += np.arange(sample.n_features) * sample.n_documents
        values = sample.table.ravel()[below]
        above = sample.table.ravel()[np.minimum(below + (part > 0), sample.table.size - 1)]
        values += part * (above - values)
        whole = np.flatnonzero(sample.whole)
        values[:, whole] = np.rint(values[:, whole] / MILLION) * MILLION
        millionths = np.rint(values).astype(np.int64)
        few = np.flatnonzero(sample.few)
        millionths[:, few] = sample.millionths[:, few][chosen]
        return millionths

    def _constants(
        self, bases: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """(queries, constants) values and ranks; a query's constants move together."""
        sample = self.sample
        moved = _CONSTANT_SPREAD * generator.uniform(-1, 1, len(bases))
        features = np.flatnonzero(sample.constant)
        values = np.empty((len(bases), len(features)))
        ranks = np.empty_like(values)
        for place, feature in enumerate(features):
            ordered = np.sort(sample.constants[:, place])
            real = np.searchsorted(ordered, sample.constants[bases, place])
            values[:, place] = np.interp(real + moved, np.arange(len(ordered)), ordered)
            if sample.few[feature] or (ordered[0] <= 0 <= ordered[-1]):
                values[:, place] = sample.constants[bases, place]
            if sample.whole[feature]:
                values[:, place] = np.rint(values[:, place] / MILLION) * MILLION
            ranks[:, place] = np.searchsorted(sample.table[feature], values[:, place])
        return np.rint(values).astype(np.int64), ranks


def _blocks(bases: np.ndarray, sizes: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The first query, bases and sizes of runs of queries of about ``_BLOCK`` documents."""
    ends = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        before = ends[first] - sizes[first]
        end = max(first + 1, int(np.searchsorted(ends, before + _BLOCK, "right")))
        yield first, bases[first:end], sizes[first:end]
        first = end


def write_archive(
    path: str | os.PathLike, generator: Generator, queries: Mapping[str, int],
    documents_per_query: float,
) -> dict[str, int]:  # fmt: skip
    """Write a zip with ``Fold1/{train,vali,test}.txt``, as the MSLR sets are published.

    No two splits share a query id. The same generator writes the same bytes with the same zlib.

    Args:
        queries: the number of queries of each split.
        documents_per_query: their mean; it may have decimals.

    Returns:
        The number of documents of each split.
    """
    first_qid, written = 1, {}
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for split in SPLITS:
            documents = round(queries[split] * documents_per_query)
            entry = zipfile.ZipInfo(f"Fold1/{split}.txt", _TIMESTAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as stream:
                for block in generator.blocks(split, queries[split], documents, first_qid):
                    stream.write(block.text())
            first_qid += queries[split]
            written[split] = documents
    return written
