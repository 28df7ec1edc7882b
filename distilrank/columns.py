"""Learning-to-rank data from tables with named columns: CSV and Parquet, read as a stream."""

import difflib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import compute, csv, parquet

from distilrank.archives import member
from distilrank.formats import content_suffix
from distilrank.letor import MISSING
from distilrank.native import Rows

_ROWS = 1 << 14
_BLOCK = 1 << 20
_EMPTY_CELLS = ["", "NA", "null", "NULL"]
_LARGEST_LABEL = 255
_SHOWN = 8
_BAD_VALUE = re.compile(
    r"In CSV column #(?P<column>\d+): Row #(?P<row>\d+): .*: invalid value '(?P<value>.*)'"
)
# Beyond it a float64 no longer holds every whole number.
_LARGEST_WHOLE = 2**53


class Table:
    """A table of documents, one a row.

    Args:
        source, path, largest_gb: as `archives.member` takes them; a Parquet file needs a folder.
        columns: the names of the ``label`` and ``query`` columns and, optionally, of the
            ``features``; without them every other column is one, in the file's order. The label's
            may be missing where it is not read.
        labelled: whether labels are read; without them every label is 0.

    Attributes:
        features: the names of the feature columns.

    Raises:
        ValueError: if a named column is not there.
    """

    def __init__(
        self,
        source: str | Path,
        path: str,
        columns: Mapping[str, Any],
        largest_gb: float | None = None,
        labelled: bool = True,
    ) -> None:
        self._source, self._path, self._largest = Path(source), path, largest_gb
        self._label, self._query = columns["label"] if labelled else None, columns["query"]
        with self._readable():
            found = self._names()
        # A label that is not read is no feature either.
        special = [columns[name] for name in ("label", "query") if name in columns]
        self.features = list(columns.get("features", [n for n in found if n not in special]))
        self._names_in_order = found
        for name in (*special, *self.features):
            if found.count(name) != 1:
                near = difflib.get_close_matches(name, found, _SHOWN) or found[:_SHOWN]
                raise ValueError(
                    f"{path} has {found.count(name)} columns named '{name}', expected one; there "
                    f"are {', '.join(near)}{', ...' if len(found) > len(near) else ''}"
                )
        if not self.features:
            raise ValueError(f"{path} has no feature column beside {' and '.join(special)}")

    def rows(self) -> Iterator[Rows]:
        """Read the table from its start.

        Yields:
            Features (n, features) float32, labels (n,) uint8 and each document's query (n,) int64.
            An empty cell is `letor.MISSING`.

        Raises:
            ValueError: names the file, the row (from 1; a CSV file's heading is one), the column
                and what was found.
        """
        first = done = int(content_suffix(self._path) == ".csv")
        with self._readable():
            for batch in self._batches():
                if batch.num_rows:
                    yield self._rows_of(batch, done)
                done += batch.num_rows
        if done == first:
            raise ValueError(f"{self._path} holds no document")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            raise ValueError(f"{self._path} is no UTF-8 text: {error}; save it as UTF-8") from error
        except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
            raise ValueError(self._sentence(str(error))) from error

    def _sentence(self, said: str) -> str:
        """Arrow's words about a CSV file's value, with the column's name; its other words as is."""
        value = _BAD_VALUE.search(said)
        if value is None:
            return f"{self._path} cannot be read: {said}"
        name = self._names_in_order[int(value["column"])]
        return (
            f"{self._path}, row {value['row']}: column '{name}' holds '{value['value']}', expected "
            f"a {'whole number' if name == self._query else 'number'}"
        )

    def _names(self) -> list[str]:
        if content_suffix(self._path) == ".parquet":
            return parquet.read_schema(self._file()).names
        with member(self._source, self._path, self._largest) as stream:
            return csv.open_csv(stream, csv.ReadOptions(block_size=_BLOCK)).schema.names

    def _file(self) -> Path:
        if not self._source.is_dir() or not (self._source / self._path).is_file():
            raise ValueError(
                f"there is no file {self._source / self._path}; a Parquet file is read in any "
                "order and must lie in a folder, not in an archive"
            )
        return self._source / self._path

    def _batches(self) -> Iterator[pyarrow.RecordBatch]:
        wanted = [self._query, *self.features]
        if self._label is not None:
            wanted.insert(0, self._label)
        if content_suffix(self._path) == ".parquet":
            with parquet.ParquetFile(self._file(), buffer_size=_BLOCK) as file:
                yield from file.iter_batches(_ROWS, columns=wanted, use_threads=False)
            return
        # Types are told, since a guess from the first rows fails later in the file.
        types = dict.fromkeys(wanted, pyarrow.float64()) | {self._query: pyarrow.int64()}
        convert = csv.ConvertOptions(
            column_types=types, include_columns=wanted, null_values=_EMPTY_CELLS
        )
        read = csv.ReadOptions(block_size=_BLOCK, use_threads=False)
        with member(self._source, self._path, self._largest) as stream:
            yield from csv.open_csv(stream, read, convert_options=convert)

    def _rows_of(self, batch: pyarrow.RecordBatch, done: int) -> Rows:
        features = np.empty((batch.num_rows, len(self.features)), np.float32)
        for column, name in enumerate(self.features):
            features[:, column] = self._feature(batch, name, done)
        labels = np.zeros(batch.num_rows, np.uint8)
        if self._label is not None:
            labels = self._whole(batch, self._label, _LARGEST_LABEL, done).astype(np.uint8)
        queries = self._whole(batch, self._query, np.iinfo(np.int64).max, done)
        return features, labels, queries

    def _feature(self, batch: pyarrow.RecordBatch, name: str, done: int) -> np.ndarray:
        column = self._numbers(batch, name).cast(pyarrow.float64(), safe=False)
        values = compute.fill_null(column, float(MISSING)).to_numpy(zero_copy_only=False)
        # As in LETOR text, the largest float64 stands for a missing value.
        values = np.where(values == sys.float_info.max, float(MISSING), values)
        # NaN compares false.
        wrong = np.flatnonzero(~(np.abs(values) <= float(MISSING)))
        self._refuse(wrong, values, name, done, "a finite number within float32, or an empty cell")
        return values

    def _whole(self, batch: pyarrow.RecordBatch, name: str, largest: int, done: int) -> np.ndarray:
        column = self._numbers(batch, name)
        if column.null_count:
            values = column.to_pylist()
            empty = np.array([value is None for value in values])
            self._refuse(np.flatnonzero(empty), values, name, done, "a whole number")
        values = column.to_numpy(zero_copy_only=False)
        wrong = (values < 0) | (values > largest)
        if values.dtype.kind == "f":
            wrong |= ~(np.abs(values) <= min(largest, _LARGEST_WHOLE)) | (values % 1 != 0)
        self._refuse(
            np.flatnonzero(wrong), values, name, done, f"a whole number from 0 to {largest}"
        )
        return values.astype(np.int64)

    def _numbers(self, batch: pyarrow.RecordBatch, name: str) -> pyarrow.Array:
        column = batch.column(batch.schema.get_field_index(name))
        kind = column.type
        known = (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_boolean,
                 pyarrow.types.is_decimal, pyarrow.types.is_null)  # fmt: skip
        if not any(is_kind(kind) for is_kind in known):
            raise ValueError(
                f"{self._path}: column '{name}' holds {kind}, expected numbers; number the texts, "
                "or name the feature columns in columns: features"
            )
        if pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind):
            return column
        return column.cast(pyarrow.float64())

    def _refuse(
        self, wrong: np.ndarray, values: Sequence[Any], name: str, done: int, expected: str
    ) -> None:
        if len(wrong):
            raise ValueError(
                f"{self._path}, row {done + int(wrong[0]) + 1}: column '{name}' holds "
                f"{values[wrong[0]]}, expected {expected}"
            )
