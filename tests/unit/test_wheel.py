"""pyproject.toml: what a wheel holds, and what it is called."""

import tomllib
from pathlib import Path

from distilrank.dependencies import library_files, shipped_files

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
KEPT = {name.removeprefix("!") for name in PROJECT["tool"]["scikit-build"]["wheel"]["exclude"][1:]}


def test_a_wheel_holds_what_the_command_imports():
    needed = {Path(file).relative_to(ROOT) for file in library_files(ROOT / "distilrank/cli.py")}
    needed |= {Path("distilrank", f"{name}.py") for name in ("__init__", "__main__", "cli")}
    lacking = {str(file) for file in needed if not KEPT & {str(file), *map(str, file.parents)}}
    assert not lacking, f"add {sorted(f'!{name}' for name in lacking)} to wheel.exclude"
    idle = {name for name in KEPT if name.endswith(".py")} - set(map(str, needed))
    assert not idle, f"take {sorted(f'!{name}' for name in idle)} out of wheel.exclude"


def test_what_is_kept_is_there():
    for name in KEPT - {"distilrank/libdistilrank.so", "distilrank/distilrank.h"}:
        assert (ROOT / name).exists(), name


def test_an_export_has_the_modules_of_the_scorer():
    """All that it imports, but for what a type checker alone reads."""
    shipped = {source for place, source in shipped_files().items() if place.endswith(".py")}
    student = ROOT / "distilrank/student.py"
    needed = set(library_files(ROOT / "distilrank/scorer.py"))
    assert needed - shipped - set(library_files(student)) == {str(student)}
