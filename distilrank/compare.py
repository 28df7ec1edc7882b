"""Two results folders, file by file: what should be the same bytes wherever and however it ran.

Compared are splits, forests, students and quality. Times, and what follows from them, differ from
run to run by nature and are left out, as are the seconds that a history or a search tells.
"""

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = ("data", "teachers", "students", "quality")
_TIMES = ("seconds", "rows_per_second")


@dataclass
class Comparison:
    """What two results folders have of one kind.

    Attributes:
        equal: the number of files that say the same.
        differing: files of both whose contents differ, relative to the results folders.
        missing: files that only the first folder has.
        added: files that only the second folder has.
    """

    kind: str
    equal: int = 0
    differing: list[Path] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)
    added: list[Path] = field(default_factory=list)

    @property
    def same(self) -> bool:
        return not (self.differing or self.missing or self.added)


def compare_results(first: Path, second: Path) -> list[Comparison]:
    """Compare two results folders, or folders that hold one as ``results``; one item a kind.

    Raises:
        ValueError: if one of them holds no results, or neither holds a file that is compared.
    """
    first, second = _results(first), _results(second)
    found = [_compare(kind, first, second) for kind in KINDS]
    if not any(each.equal or not each.same for each in found):
        raise ValueError(
            f"neither {first} nor {second} has anything to compare, expected files under "
            f"{', '.join(KINDS)}: run the workflow first"
        )
    return found


def _results(folder: Path) -> Path:
    for candidate in (folder / "results", folder):
        if any((candidate / kind).is_dir() for kind in KINDS):
            return candidate
    raise ValueError(
        f"{folder} is no results folder: expected {', '.join(KINDS)} in it, or in its 'results'"
    )


def _compare(kind: str, first: Path, second: Path) -> Comparison:
    result = Comparison(kind)
    own, other = _files(first, kind), _files(second, kind)
    result.missing, result.added = sorted(own - other), sorted(other - own)
    for file in sorted(own & other):
        if _same(first / file, second / file):
            result.equal += 1
        else:
            result.differing.append(file)
    return result


def _files(results: Path, kind: str) -> set[Path]:
    return {
        path.relative_to(results)
        for path in (results / kind).rglob("*")
        if path.is_file() and not is_passing(path)
    }


def is_passing(path: Path) -> bool:
    """Whether a file is of what is not finished: a search, a training, a hidden temporary one."""
    hidden = path.name.startswith(".")
    return hidden or path.suffix == ".checkpoint" or path.name == "unfinished-trials.json"


def _same(first: Path, second: Path) -> bool:
    one, other = first.read_bytes(), second.read_bytes()
    if one == other:
        return True
    without_times = {".json": _json_without_times, ".csv": _csv_without_times}.get(first.suffix)
    return without_times is not None and without_times(one) == without_times(other)


def _json_without_times(content: bytes) -> Any:
    def strip(value: dict[str, Any]) -> dict[str, Any]:
        return {key: inner for key, inner in value.items() if key not in _TIMES}

    # NaN is never equal to itself; its text is.
    return json.loads(content, object_hook=strip, parse_float=str, parse_constant=str)


def _csv_without_times(content: bytes) -> list[list[str]]:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8"))))
    kept = [place for place, name in enumerate(rows[0]) if name not in _TIMES] if rows else []
    return [[row[place] for place in kept] for row in rows]
