"""Benchmarks are run by hand: that they still fit the library is seen here."""

import importlib
from pathlib import Path

import pytest

NAMES = sorted(path.stem for path in Path(__file__).parents[2].glob("benchmarks/*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_imports_what_it_measures(name):
    assert "train" in NAMES
    assert importlib.import_module(f"benchmarks.{name}").__doc__
