"""A person's own forest, fitted to a data set: which of its columns is which feature."""

import hashlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.forest import DEFAULT_LEFT, Forest
from distilrank.readers import read_with_format

# What libraries call columns whose names they were not told, beside the column's number.
_GENERIC = re.compile(r"(Column_|feature_?|[fx])?(\d+)", re.IGNORECASE)
_SHOWN = 3


def import_forest(
    path: str | os.PathLike, metas: Sequence[Mapping[str, Any]], first_column: int = 0
) -> tuple[Forest, dict[str, Any]]:
    """Read a forest and put its columns in the order of the data's features.

    Features are matched by name where forest and data have names, else by their positions.

    Args:
        path: a file of `readers.read_forest`.
        metas: ``meta.json`` of the splits that it is to score.
        first_column: the forest's column of the data's first feature, of no matter to names.

    Returns:
        The forest, as wide as the data, and what a record says of it: ``file``, ``sha256``,
        ``format``, ``features`` as it was, ``matched_by`` (``name`` or ``position``) and
        ``reordered``.

    Raises:
        ValueError: if the file is no forest that is read exactly, or does not fit the data.
    """
    path = Path(path)
    forest, kind = read_with_format(path)
    if not any(len(tree.feature) for tree in forest.trees):
        raise ValueError(f"{path} has no split, and such a forest scores all documents alike")
    width, names = metas[0]["features"], metas[0].get("feature_names", [])
    if forest.names and len(forest.names) != forest.n_features:
        raise ValueError(
            f"{path} names {len(forest.names)} features and has {forest.n_features}; a name must "
            "hold no space"
        )
    by_name = bool(names and forest.names) and not _are_generic(forest.names)
    if by_name:
        place = _by_name(forest, names, path)
    else:
        place = _by_position(forest, width, first_column, path)
    _check_missing(forest, metas, path)
    told = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "format": kind,
        "features": forest.n_features,
        "matched_by": "name" if by_name else "position",
        "reordered": bool((np.diff(place) < 0).any()),
    }
    trees = tuple(
        replace(tree, feature=place[tree.feature].astype(np.int32)) for tree in forest.trees
    )
    logging.info(
        "%s: %s, %d trees on %d features; the data's %d matched by %s%s", path, kind, len(trees),
        forest.n_features, width, told["matched_by"], ", reordered" if told["reordered"] else "",
    )  # fmt: skip
    return Forest(trees, width), told


def _are_generic(names: Sequence[str]) -> bool:
    """Whether the names say no more than positions do."""
    found = [_GENERIC.fullmatch(name) for name in names]
    numbers = [int(match[2][:9]) if match else -1 for match in found]
    return numbers in ([*range(len(names))], [*range(1, len(names) + 1)])


def _plain(name: str) -> str:
    """LightGBM writes a name's spaces as underscores."""
    return name.strip().replace(" ", "_")


def _by_name(forest: Forest, names: Sequence[str], path: Path) -> np.ndarray:
    """(forest's columns,) int64, the data's feature of each one's name."""
    known = {_plain(name): place for place, name in enumerate(names)}
    wanted = [_plain(name) for name in forest.names]
    for whose, each, distinct in (
        ("the data set", names, known),
        (str(path), forest.names, set(wanted)),
    ):
        if len(distinct) < len(each):
            raise ValueError(f"two features of {whose} have the same name; rename one")
    lacking = [name for name in wanted if name not in known]
    if lacking:
        others = [name for name in known if name not in set(wanted)]
        raise ValueError(
            f"{path} has {_listed(lacking)}, which the data set does not name"
            + (f"; it has {_listed(others)} instead" if others else "")
            + ": name them alike, in the data set's feature_names or in the forest"
        )
    return np.array([known[name] for name in wanted], np.int64)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    return f"{'the features' if len(names) > 1 else 'the feature'} {shown}" + (
        f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    )


def _by_position(forest: Forest, width: int, first_column: int, path: Path) -> np.ndarray:
    """(forest's columns,) int64, the data's feature at each one's position."""
    lowest = min(int(tree.feature.min()) for tree in forest.trees if len(tree.feature))
    if lowest < first_column:
        raise ValueError(
            f"{path} splits on its column {lowest}, and first_column is {first_column}: columns "
            "count from 0, and those before first_column are no features"
        )
    if forest.n_features - first_column > width:
        hint = " or, as its column 0 is in no split, say first_column: 1 in its entry"
        raise ValueError(
            f"{path} has {forest.n_features - first_column} features, expected up to the data "
            f"set's {width}; give the features that it was trained on"
            + (hint if lowest and not first_column else "")
        )
    return np.arange(forest.n_features) - first_column


def _check_missing(forest: Forest, metas: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Missing values are the largest number here, which goes right of every threshold."""
    if not any("missing" in meta for meta in metas):
        return
    routes = np.concatenate([tree.route for tree in forest.trees])
    left = np.count_nonzero((routes > DEFAULT_LEFT) & (routes & DEFAULT_LEFT > 0))
    if left:
        raise ValueError(
            f"{path} sends missing values (NaN) left in {left} splits, and the data set has "
            "missing values, which forests see here as the largest float32: they would go right; "
            "fill them in, or train the forest with the largest float32 in their place"
        )
