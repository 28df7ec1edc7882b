"""distilrank.dependencies: a rule reruns for every library file its script rests on."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from distilrank.dependencies import library_files

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "distilrank"
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
# Imported whatever a script does, and without influence on what it computes.
LEFT_OUT = {"distilrank", "distilrank.logs"}


def found(tmp_path: Path, source: str) -> set[str]:
    """The library files of a script with this text, relative to the package."""
    # A new name each time: what a file imports is read once in a process.
    script = tmp_path / f"script{len(list(tmp_path.iterdir()))}.py"
    script.write_text(source)
    return {str(Path(file).relative_to(PACKAGE)) for file in library_files(script)}


@pytest.mark.parametrize(
    "source",
    [
        "from distilrank.files import read_json",
        "import distilrank.files",
        "import distilrank.files as f, os",
        "from distilrank import files",
        "def work():\n    if True:\n        from distilrank.files import read_json",
        "try:\n    import distilrank.files\nexcept ImportError:\n    pass",
    ],
)
def test_every_form_of_import_counts(tmp_path, source):
    assert found(tmp_path, source) == {"files.py"}


def test_imports_of_imports_count(tmp_path):
    """letor imports files; synthetic imports files and forest."""
    assert found(tmp_path, "import distilrank.letor") == {"letor.py", "files.py"}
    both = "from distilrank.letor import Dataset\nfrom distilrank.synthetic import Midpoints"
    assert found(tmp_path, both) == {"letor.py", "files.py", "forest.py", "synthetic.py"}


@pytest.mark.parametrize(
    "source",
    [
        "import distilrank.engines",
        "from distilrank import engines",
        "from distilrank.engines import make_engine",
        "from distilrank.engines.base import Engine",
    ],
)
def test_a_folder_of_plug_ins_counts_as_a_whole(tmp_path, source):
    inside = {f"engines/{path.name}" for path in (PACKAGE / "engines").glob("*.py")}
    assert len(inside) > 3
    assert inside <= found(tmp_path, source)


def test_what_is_not_imported_does_not_count(tmp_path):
    source = "import numpy\nfrom pathlib import Path\nname = 'distilrank.letor'\nimport distilrank"
    assert found(tmp_path, source) == set()
    assert "distil.py" not in found(tmp_path, "from distilrank.student import Student")


def test_what_a_job_says_does_not_count(tmp_path):
    assert found(tmp_path, "from distilrank.logs import job") == set()


def test_the_files_are_sorted_and_exist():
    for script in SCRIPTS:
        files = library_files(script)
        assert files == sorted(set(files))
        assert all(Path(file).is_file() for file in files)


def test_no_module_is_imported_relatively():
    """`from . import x` would go unseen."""
    for path in [*PACKAGE.rglob("*.py"), *SCRIPTS]:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), (
                f"{path.relative_to(ROOT)}, line {node.lineno}: write 'from distilrank... import'"
            )


# Each script is imported in a fork of one process that has the heavy libraries already.
IMPORT_ALL = """
import importlib.util, json, os, sys
import lightgbm, matplotlib.pyplot, pandas, scipy.stats, torch
for path in sys.argv[1:]:
    sys.stdout.flush()
    if os.fork() == 0:
        spec = importlib.util.spec_from_file_location("script", path)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        names = [name for name in sys.modules if name.split(".")[0] == "distilrank"]
        print(json.dumps([path, names]), flush=True)
        os._exit(0)
    _, status = os.wait()
    if status:
        sys.exit(f"{path} cannot be imported")
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """By script, the package's modules that importing it really loads."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *map(str, SCRIPTS)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_all_that_a_script_loads_is_covered(imported, script):
    covered = set(library_files(script))
    loaded = set(imported[str(script)]) - LEFT_OUT
    assert loaded, "every script rests on the package"
    for name in loaded:
        module = ROOT.joinpath(*name.split("."))
        package = module / "__init__.py"
        file = package if package.exists() else module.with_suffix(".py")
        assert str(file) in covered, f"{name} is loaded by {script.name} and not named by its rule"


def test_every_script_can_be_imported_without_snakemake(imported):
    """Only a main block may say `snakemake`: tests and readers import the functions."""
    assert set(imported) == set(map(str, SCRIPTS))
