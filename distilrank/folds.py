"""The folds of a data set: published ones, or all its queries dealt into as many as it says."""

from collections.abc import Mapping
from typing import Any

# Such as cv5: the queries of all files are dealt into five folds.
_DEALT = "cv"
# The fold whose files are dealt; of published folds each holds all queries.
_FIRST = 1


def folds_of(dataset: Mapping[str, Any]) -> list[int]:
    """The folds of a catalogue entry: those it names, ``[1, 2, 3, 4, 5]`` of cv5, else ``[1]``."""
    folds = dataset.get("folds", [1])
    if isinstance(folds, str):
        return list(range(1, int(folds.removeprefix(_DEALT)) + 1))
    return list(folds)


def is_dealt(dataset: Mapping[str, Any]) -> bool:
    """True where the files' queries are dealt into folds, not taken as train, vali and test."""
    return "all" in dataset["files"] or isinstance(dataset.get("folds"), str)


def source_fold(dataset: Mapping[str, Any], fold: int | str) -> int | str:
    """What ``{fold}`` in the files' paths, and the key of their sha256, stands for."""
    return _FIRST if is_dealt(dataset) else fold
