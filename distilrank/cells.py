"""Columns of tables: what of a row stands in a cell, under which heading and unit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from distilrank.rounding import MISSING, fixed, percent, significant, whole

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: its heading, its unit and the text of a row's cell.

    ``labelled`` is false of a column that only data without labels has.
    """

    title: str
    unit: str
    cell: Callable[[Row], str]
    numeric: bool = True
    labelled: bool = True


def text(key: str, title: str) -> Column:
    return Column(title, "", lambda row: _text(row[key]), numeric=False)


def _text(value: Any) -> str:
    # An empty string comes back from a CSV file as NaN.
    return MISSING if value is None or pd.isna(value) or value == "" else str(value)


def number(key: str, title: str, unit: str = "", digits: int = 3) -> Column:
    return Column(title, unit, lambda row: significant(row[key], digits))


def decimal(key: str, title: str, places: int = 4, sign: bool = False) -> Column:
    return Column(title, "", lambda row: fixed(row[key], places, sign))


def unlabelled(key: str, title: str) -> Column:
    """A metric that only data without labels has: a table may lack its column."""
    return Column(title, "", lambda row: fixed(row.get(key), 4), labelled=False)


def count(key: str, title: str, unit: str = "") -> Column:
    return Column(title, unit, lambda row: whole(row[key]))


def share(key: str, title: str, places: int = 1, sign: bool = False) -> Column:
    return Column(title, "%", lambda row: percent(row[key], places, sign))


def used(table: pd.DataFrame, columns: Sequence[Column]) -> list[Column]:
    """The columns that hold something in some row."""
    rows = cells(table, columns)
    return [column for at, column in enumerate(columns) if any(row[at] != MISSING for row in rows)]


def cells(table: pd.DataFrame, columns: Sequence[Column]) -> list[list[str]]:
    """The text of every cell, a list for each row."""
    return [[column.cell(row) for column in columns] for row in table.to_dict("records")]
