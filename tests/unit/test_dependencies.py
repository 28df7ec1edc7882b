"""distilrank.dependencies: a rule reruns for every library file its script rests on."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from distilrank.dependencies import library_digest, library_files, native_files

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "distilrank"
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
# Imported whatever a script does, and without influence on what it computes.
LEFT_OUT = {"distilrank", "distilrank.job", "distilrank.progress"}


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
    assert found(tmp_path, "from distilrank.job import job") == set()


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


def rules_with_scripts() -> dict[str, tuple[str, str]]:
    """By rule, its script and the script whose library files it says it rests on."""
    found = {}
    for file in (ROOT / "rules").glob("*.smk"):
        text = file.read_text()
        for rule in re.split(r"^(?:rule|checkpoint) ", text, flags=re.MULTILINE)[1:]:
            script = re.search(r'script:\s+"\.\./scripts/(\w+)\.py"', rule)
            if script:
                named = re.search(r'params:\n(?:.*\n)*?\s+library=library\("(\w+)"\),', rule)
                found[rule.split(":")[0]] = (script[1], named[1] if named else "")
    return found


RULES = rules_with_scripts()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_with_a_script_has_its_library_as_a_parameter(rule):
    script, named = RULES[rule]
    assert named == script, f'give the rule {rule} the parameter library=library("{script}")'


def test_an_edit_of_a_module_counts_for_the_scripts_that_import_it_and_no_others(tmp_path):
    """Every module of the package in turn, in a copy of the project."""
    for folder in ("distilrank", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__*__"))
    done = subprocess.run(
        [sys.executable, "-c", EDIT_ALL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,  # which is searched first
    )
    assert done.returncode == 0, done.stderr
    changed = json.loads(done.stdout)
    assert len(changed) > 80
    for module, scripts in changed.items():
        expected = [s.stem for s in SCRIPTS if str(ROOT / module) in library_files(s)]
        assert scripts == expected, f"an edit of {module}"
    assert changed["distilrank/job.py"] == []
    assert changed["distilrank/page.py"] == ["render_report"]
    assert {"distil_student", "evaluate_ranking"} <= set(changed["distilrank/metrics.py"])


def test_a_copy_of_the_project_has_the_same_digests(tmp_path):
    """Nor do times of files count: git sets them anew."""
    shutil.copytree(ROOT / "distilrank", tmp_path / "distilrank")
    for path in (tmp_path / "distilrank").rglob("*.py"):
        path.touch()
    script = ROOT / "scripts" / "train_teacher.py"
    text = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    text += "from distilrank.dependencies import library_digest\nfrom pathlib import Path\n"
    text += f"print(library_digest(Path({str(script)!r})))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == library_digest(script)
    assert re.fullmatch("[0-9a-f]{16}", library_digest(script))


def built_of() -> dict[str, set[str]]:
    """By rule that builds a library of a part of the sources, the files it says it rests on."""
    text = (ROOT / "rules" / "native.smk").read_text()
    found = re.findall(
        r"rule (\w+):\n    input:\n        sources=native_files\((.*?)\)", text, re.DOTALL
    )
    return {
        rule: {Path(file).name for file in native_files(*re.findall(r'"(\S+)"', parts))}
        for rule, parts in found
    }


@pytest.mark.parametrize("rule", built_of())
def test_a_library_rests_on_what_its_sources_include_and_nothing_else(rule):
    files = built_of()[rule] - {"CMakeLists.txt", "distilrank.h", "exports.map"}
    reached = {name for name in files if name.endswith(".cpp")}
    pending = set(reached)
    while pending:
        text = (PACKAGE / "native" / pending.pop()).read_text()
        new = set(re.findall(r'#include "([^"]+)"', text)) - reached
        reached |= new
        pending |= new
    assert reached - {"distilrank.h"} == files


def test_parts_of_the_native_library_rest_on_what_is_compiled_into_them():
    """`-DSCORERS=OFF` and `-DSCORERS=FORESTS`: no network, no file of a model."""
    parser, forests = built_of()["build_parser"], built_of()["build_teacher"]
    assert {"letor.cpp"} <= parser < forests
    assert {"forest.cpp", "absent.cpp"} <= forests
    cmake = (PACKAGE / "native" / "CMakeLists.txt").read_text()
    compiled = re.search(r"if\(SCORERS\)\n(.*?)endif", cmake, re.DOTALL)[1]
    assert set(re.findall(r"\w+\.cpp", compiled)) <= forests
    assert not {"model_file.cpp", "lightgbm_text.cpp", "network.cpp"} & forests


# In the copy: which scripts' digests differ once a module has another line.
EDIT_ALL = """
import json, sys
from pathlib import Path
from distilrank.dependencies import library_digest
root = Path(sys.argv[1])
scripts = sorted((root / "scripts").glob("*.py"))
before = {script: library_digest(script) for script in scripts}
changed = {}
for path in sorted((root / "distilrank").rglob("*.py")):
    text = path.read_text()
    path.write_text(text + "# edited\\n")
    library_digest.cache_clear()
    now = [script.stem for script in scripts if library_digest(script) != before[script]]
    path.write_text(text)
    changed[str(path.relative_to(root))] = now
print(json.dumps(changed))
"""
