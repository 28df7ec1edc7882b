"""The folds of a data set: published ones, or all its queries dealt into as many as it says."""

from collections.abc import Mapping
from typing import Any

# Such as cv5: the queries of all files are dealt into five folds.
_DEALT = "cv"
# The fold whose files are dealt; of published folds each holds all queries.
_FIRST = 1
# Where files come from, and a guess of their size: not what is read of them.
_ORIGIN = {"archive", "documents", "folder", "generate", "package", "page", "terms"}


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


def entry_of_fold(dataset: Mapping[str, Any], fold: int | str) -> dict[str, Any]:
    """What reading one fold depends on of a catalogue entry.

    Other folds are no part of it, unless all are dealt from the same queries, nor is where the
    files come from: an entry that gets another fold or page has nothing to read anew.
    """
    number = str(source_fold(dataset, fold))
    files = {
        name: {**file, "sha256": {f: s for f, s in file["sha256"].items() if str(f) == number}}
        if "sha256" in file
        else file
        for name, file in dataset["files"].items()
    }
    left_out = _ORIGIN if is_dealt(dataset) else _ORIGIN | {"folds"}
    kept = {key: value for key, value in dataset.items() if key not in left_out}
    return kept | {"files": files}
