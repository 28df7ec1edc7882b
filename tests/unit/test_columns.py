"""distilrank.columns: tables with named columns become the same blocks that LETOR text does."""

import gzip

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from distilrank.columns import Table
from distilrank.letor import MISSING

COLUMNS = {"label": "grade", "query": "query"}
CSV = "grade,query,age,length\n1,7,0.5,3\n0,7,,-2e3\n4,2,1,0\n"


def read(folder, path, columns=COLUMNS):
    parts = [tuple(part.copy() for part in rows) for rows in Table(folder, path, columns).rows()]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def failure(folder, path, columns=COLUMNS) -> str:
    with pytest.raises(ValueError) as raised:
        read(folder, path, columns)
    return str(raised.value)


@pytest.mark.parametrize("name", ["train.csv", "train.csv.gz"])
def test_a_csv_file(tmp_path, name):
    content = CSV.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    features, labels, queries = read(tmp_path, name)
    assert features.dtype == np.float32 and labels.dtype == np.uint8 and queries.dtype == np.int64
    assert features.tolist() == [[0.5, 3], [float(MISSING), -2000], [1, 0]]
    assert labels.tolist() == [1, 0, 4] and queries.tolist() == [7, 7, 2]
    assert Table(tmp_path, name, COLUMNS).features == ["age", "length"]


def test_a_parquet_file_whatever_its_numbers_are(tmp_path):
    table = pyarrow.table(
        {
            "length": pyarrow.array([3, None, 0], pyarrow.int16()),
            "grade": [1.0, 0.0, 4.0],
            "query": pyarrow.array([7, 7, 2**62], pyarrow.uint64()),
            "known": [True, False, True],
            "title": ["a", "b", "c"],
        }
    )
    parquet.write_table(table, tmp_path / "train.parquet", row_group_size=2)
    columns = COLUMNS | {"features": ["known", "length"]}
    features, labels, queries = read(tmp_path, "train.parquet", columns)
    assert features.tolist() == [[1, 3], [0, float(MISSING)], [1, 0]]
    assert labels.tolist() == [1, 0, 4] and queries.tolist() == [7, 7, 2**62]


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(
        st.tuples(
            st.integers(0, 255), st.integers(0, 2**40),
            st.one_of(st.none(), st.floats(-3e38, 3e38)), st.floats(-3e38, 3e38),
        ),
        min_size=1, max_size=40,
    )
)  # fmt: skip
def test_csv_and_parquet_give_what_was_written(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("table")
    grade, query, a, b = zip(*values, strict=True)
    table = {"grade": grade, "query": query, "a": pyarrow.array(a, pyarrow.float64()), "b": b}
    parquet.write_table(pyarrow.table(table), folder / "t.parquet")
    lines = [",".join("" if value is None else repr(value) for value in row) for row in values]
    (folder / "t.csv").write_text("\n".join(["grade,query,a,b", *lines]))
    expected = np.array([[MISSING if x is None else x, y] for x, y in zip(a, b, strict=True)])
    for name in ("t.csv", "t.parquet"):
        features, labels, queries = read(folder, name)
        assert np.array_equal(features, expected.astype(np.float32))
        assert labels.tolist() == list(grade) and queries.tolist() == list(query)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("2.5,7,1,1", "train.csv, row 3: column 'grade' holds 2.5, expected a whole number from 0"),
        ("-1,7,1,1", "train.csv, row 3: column 'grade' holds -1.0, expected"),
        ("256,7,1,1", "train.csv, row 3: column 'grade' holds 256.0, expected"),
        ("nan,7,1,1", "train.csv, row 3: column 'grade' holds nan, expected"),
        (",7,1,1", "train.csv, row 3: column 'grade' holds None, expected a whole number"),
        ("1,,1,1", "train.csv, row 3: column 'query' holds None, expected a whole number"),
        ("1,-3,1,1", "train.csv, row 3: column 'query' holds -3, expected"),
        ("1,x,1,1", "train.csv, row 3: column 'query' holds 'x', expected a whole number"),
        ("1,7,nan,1", "train.csv, row 3: column 'age' holds nan, expected a finite number"),
        ("1,7,1,-inf", "train.csv, row 3: column 'length' holds -inf, expected a finite number"),
        ("1,7,1e39,1", "train.csv, row 3: column 'age' holds 1e+39, expected a finite number"),
        ("1,7,one,1", "train.csv, row 3: column 'age' holds 'one', expected a number"),
        ("1,7,1", "train.csv cannot be read: CSV parse error: Expected 4 columns, got 3"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path, line, sentence):
    (tmp_path / "train.csv").write_text(f"grade,query,age,length\n0,7,0,0\n{line}\n")
    assert failure(tmp_path, "train.csv").startswith(sentence)


def test_rows_are_counted_through_the_whole_file(tmp_path):
    lines = ["grade,query,age"] + [f"0,{number},1" for number in range(200_000)] + ["0,1,inf"]
    (tmp_path / "train.csv").write_text("\n".join(lines))
    assert failure(tmp_path, "train.csv").startswith("train.csv, row 200002: column 'age'")


@pytest.mark.parametrize(
    ("content", "columns", "sentence"),
    [
        ("", COLUMNS, "train.csv cannot be read: Empty CSV file"),
        ("grade,query,age\n", COLUMNS, "train.csv holds no document"),
        ("grade,query\n1,1\n", COLUMNS, "train.csv has no feature column beside grade and query"),
        ("grade,age\n1,1\n", COLUMNS,
         "train.csv has 0 columns named 'query', expected one; there are grade, age"),
        ("grade,query,age,age\n1,1,1,1\n", COLUMNS, "train.csv has 2 columns named 'age'"),
        ("grade,query,age\n1,1,1\n", COLUMNS | {"features": ["size"]},
         "train.csv has 0 columns named 'size'"),
    ],
)  # fmt: skip
def test_a_bad_table_is_named(tmp_path, content, columns, sentence):
    (tmp_path / "train.csv").write_text(content)
    assert failure(tmp_path, "train.csv", columns).startswith(sentence)


def test_a_column_of_text_is_no_feature(tmp_path):
    table = pyarrow.table({"grade": [1], "query": [1], "title": ["a page"]})
    parquet.write_table(table, tmp_path / "train.parquet")
    assert failure(tmp_path, "train.parquet").startswith(
        "train.parquet: column 'title' holds string, expected numbers"
    )


@pytest.mark.parametrize("length", [0, 6, 100])
def test_a_cut_parquet_file(tmp_path, length):
    table = pyarrow.table({"grade": [1, 2], "query": [1, 1], "age": [0.5, 1.5]})
    parquet.write_table(table, tmp_path / "train.parquet")
    whole = (tmp_path / "train.parquet").read_bytes()
    (tmp_path / "train.parquet").write_bytes(whole[:length])
    assert failure(tmp_path, "train.parquet").startswith("train.parquet cannot be read: ")


def test_a_parquet_file_in_an_archive_is_refused(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"")
    assert "must lie in a folder, not in an archive" in failure(tmp_path / "data.zip", "a.parquet")


def test_the_largest_float64_is_missing_as_in_text(tmp_path):
    (tmp_path / "t.csv").write_text("grade,query,age\n1,7,1.7976931348623157e308\n1,7,2\n")
    assert read(tmp_path, "t.csv")[0].tolist() == [[float(MISSING)], [2]]


def test_a_table_in_latin_1(tmp_path):
    (tmp_path / "t.csv").write_bytes("grade,query,größe\n1,7,2\n".encode("latin-1"))
    assert failure(tmp_path, "t.csv").startswith("t.csv is no UTF-8 text")


def test_a_misspelt_column_is_told_its_nearest(tmp_path):
    columns = COLUMNS | {"features": ["lenght"]}
    (tmp_path / "train.csv").write_text(CSV)
    assert failure(tmp_path, "train.csv", columns).endswith("expected one; there are length, ...")
