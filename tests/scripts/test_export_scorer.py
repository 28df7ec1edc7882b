"""scripts/export_scorer.py: the folder stands alone, and every way to score gives the same."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import yaml
from tiny import FEATURES, random_student

from distilrank import export
from distilrank.engines import load_model
from distilrank.files import write_json
from distilrank.letor import MISSING
from scripts.evaluate_ranking import evaluate_ranking
from scripts.export_scorer import export_scorer

MODEL, TEXT = "model.safetensors", "model.txt"
SCORED_BY = {"distilrank.h", "__init__.py", "files.py", "forest.py", "letor.py", "native.py"}
ALWAYS = {
    "LICENSE", "README.md", MODEL, "model_card.md", "rows.csv", "score.c", "score.py", "scores.txt",
    *(f"distilrank/{name}" for name in {*SCORED_BY, "scorer.py", "libdistilrank.so"}),
}  # fmt: skip
# Warnings are errors, and C99 is all that the compiler may know.
COMPILE = (
    "score.c", "-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Idistilrank",
    "-Ldistilrank", "-ldistilrank", "-Wl,-rpath,$ORIGIN/distilrank", "-o", "score",
)  # fmt: skip
COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
NAMES = {"title": "Tiny", "terms": "for tests only"}


class Exporter:
    """Exports models of the tiny fold."""

    def __init__(self, fold, library: Path, root: Path) -> None:
        self.fold, self.library, self.root = fold, library, root
        self.forest = self.quality(fold.model, fold.scores)

    def quality(self, model: Path, scores=None, teacher: Path | None = None) -> Path:
        splits = {name: self.fold.data[name] for name in ("vali", "test")}
        scores = scores and {name: scores[name] for name in splits}
        output = self.root / f"{model.stem}.json"
        evaluate_ranking(model, splits, output, 1.0, 1000, scores, teacher)
        return output

    def export(self, model: Path, folder: Path, settings: dict | None = None, **more) -> Path:
        splits = {name: path / "meta.json" for name, path in self.fold.data.items()}
        midpoints = self.fold.teacher["midpoints"]
        export_scorer(
            model, midpoints, self.library, splits=splits, dataset=NAMES,
            settings=settings or {"trees": 15},
            folder=folder, **more,
        )  # fmt: skip
        return folder

    def student(self, folder: Path, **changes) -> Path:
        network = random_student(
            np.random.default_rng(3), kind="network", dataset="tiny", fold=1, teacher="lm",
            student="narrow", recipe="quick", seed=1, sparsity=0.5,
        )  # fmt: skip
        first = np.where(np.abs(network.weights[0]) < 0.7, 0, network.weights[0])
        network = replace(network, weights=(first, *network.weights[1:]), **changes)
        path = self.root / "sp500.safetensors"
        network.save(path)
        quality = self.quality(path, teacher=self.forest)
        return self.export(path, folder, quality=quality, teacher=self.forest)


@pytest.fixture(scope="module")
def exporter(fold, native_library, tmp_path_factory) -> Exporter:
    return Exporter(fold, native_library, tmp_path_factory.mktemp("quality"))


@pytest.fixture(scope="module")
def student(exporter, tmp_path_factory) -> Path:
    return exporter.student(tmp_path_factory.mktemp("export") / "sp500")


@pytest.fixture(scope="module")
def forest(exporter, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "lm"
    return exporter.export(exporter.fold.model, folder, quality=exporter.forest)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def by_c(folder: Path, build: Path, model: str, *more: str) -> subprocess.CompletedProcess[str]:
    """The C example, compiled in a copy of the folder, so that the folder stays as exported."""
    if COMPILER is None:
        pytest.skip("there is no C compiler")
    if not build.exists():
        shutil.copytree(folder, build)
        subprocess.run([COMPILER, *COMPILE], cwd=build, check=True)
    command = [build / "score", model, *more]
    return subprocess.run(command, cwd=build, capture_output=True, text=True, check=False)


def by_python(folder: Path, tmp_path: Path, model: str) -> str:
    """The Python example, in a Python that has NumPy and nothing else."""
    numpy = Path(np.__file__).parent
    for package in (numpy, numpy.with_name("numpy.libs")):
        if package.exists():
            (tmp_path / package.name).symlink_to(package)
    return subprocess.run(
        [sys.executable, "-S", folder / "score.py", model, "rows.csv"], cwd=folder, check=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True,
    ).stdout  # fmt: skip


def check_everywhere(folder: Path, model: str, tmp_path: Path) -> None:
    """C, Python and ONNX Runtime score the exported documents alike."""
    expected, rows = np.loadtxt(folder / "scores.txt"), rows_of(folder)
    reference = load_model(folder / (TEXT if (folder / TEXT).exists() else MODEL))
    np.testing.assert_allclose(reference.predict(rows), expected, rtol=1e-8)
    in_c = by_c(folder, tmp_path / "build", model, "rows.csv")
    assert in_c.returncode == 0, in_c.stderr
    (tmp_path / "numpy-alone").mkdir()
    # One library scored both: the same digits.
    assert by_python(folder, tmp_path / "numpy-alone", model) == in_c.stdout
    found = [np.array(in_c.stdout.split(), dtype=np.float64)]
    if (folder / "model.onnx").exists():
        session = onnxruntime.InferenceSession(folder / "model.onnx")
        found.append(session.run(["scores"], {"rows": rows})[0][:, 0])
    for scores in found:
        assert scores.shape == expected.shape == (export.DOCUMENTS,)
        assert np.abs(scores - expected).max() <= 1e-5 * expected.std()


def rows_of(folder: Path) -> np.ndarray:
    return np.loadtxt(folder / "rows.csv", np.float32, delimiter=",")


def test_a_student_scores_alike_from_c_python_and_onnx_runtime(student, tmp_path):
    check_everywhere(student, MODEL, tmp_path)


@pytest.mark.parametrize("model", [MODEL, TEXT])
def test_a_forest_scores_alike_from_c_and_python(forest, tmp_path, model):
    check_everywhere(forest, model, tmp_path)


def test_a_student_that_fills_in_missing_values_has_documents_with_some(exporter, tmp_path):
    fill = np.arange(FEATURES, dtype=np.float32)
    folder = exporter.student(tmp_path / "fills", fill=fill)
    assert 0 < np.mean(rows_of(folder) == MISSING) < 0.1
    check_everywhere(folder, MODEL, tmp_path)


def test_the_folders_hold_what_their_readme_lists_and_no_more(student, forest):
    assert files(student) == ALWAYS | {"model.onnx"}
    assert files(forest) == ALWAYS | {TEXT}
    for folder in (student, forest):
        text = (folder / "README.md").read_text()
        for name in files(folder) - {"README.md"}:
            assert f"| `{name.partition('/')[0]}{'/' if '/' in name else ''}` |" in text, name
        # The command that the example gives is the one that works here.
        for line in (" ".join(["cc", "-std=c99", "-O2", "score.c", *COMPILE[7:10]]), COMPILE[10]):
            assert line.replace("$ORIGIN/distilrank", "'$ORIGIN/distilrank'") in text
            assert (
                line.replace("$ORIGIN/distilrank", "'$ORIGIN/distilrank'")
                in (folder / "score.c").read_text()
            )


@pytest.mark.parametrize("entry", [{}, {"prefix_of": "mine", "trees": 15}])
def test_the_card_of_an_own_forest_names_its_file_and_no_folder(exporter, tmp_path, entry):
    entry = entry or {"path": "~/secret/place/model.json", "first_column": 1}
    imported = {"file": "model.json", "sha256": "0badcafe" * 8, "format": "XGBoost JSON"}
    write_json(tmp_path / "train.json", {"imported": imported | {"features": 8}})
    folder = exporter.export(
        exporter.fold.model, tmp_path / "mine", entry, quality=exporter.forest,
        record=tmp_path / "train.json",
    )  # fmt: skip
    card = (folder / "model_card.md").read_text()
    told = yaml.safe_load(card.partition("```yaml\n")[2].partition("```")[0])
    assert told == imported | {key: entry[key] for key in entry.keys() - {"path"}}
    assert not [path for path in folder.rglob("*.md") if "secret" in path.read_text()]


def test_the_documents_are_made_up(student, splits):
    known = {row.tobytes() for split in splits.values() for row in split.features}
    assert not known & {row.tobytes() for row in rows_of(student)}


def test_a_folder_takes_the_place_of_an_older_one(exporter, tmp_path):
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "old").write_text("old")
    folder = exporter.export(exporter.fold.model, tmp_path / "lm", quality=exporter.forest)
    assert files(folder) == ALWAYS | {TEXT}
    assert [path.name for path in tmp_path.iterdir()] == ["lm"]


def test_wrong_scores_are_not_exported(exporter, tmp_path, monkeypatch):
    other = export.onnx_bytes(random_student(np.random.default_rng(4)))
    monkeypatch.setattr(export, "onnx_bytes", lambda student: other)
    with pytest.raises(ValueError, match=r"^model\.onnx gives scores that are off by up to .*, "):
        exporter.student(tmp_path / "wrong")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "words", "said"),
    [
        (lambda content: content, [], "error: give a model's file, a file of rows and"),
        (lambda content: content[:500], ["rows.csv"], "error: the file is cut"),
        (lambda content: b"PK\x03\x04" + content, ["rows.csv"], "error: the file is neither"),
        (
            lambda content: content.replace(b"student-1", b"student-9"), ["rows.csv"],
            "made by a newer distilrank",
        ),
        (lambda content: content, ["none.csv"], "none.csv: No such file"),
        (lambda content: content, ["score.c"], "error: score.c does not hold 8 features a line"),
    ],
)  # fmt: skip
def test_the_c_example_says_what_is_wrong(student, tmp_path, spoil, words, said):
    by_c(student, tmp_path / "build", MODEL, "rows.csv")
    path = tmp_path / "build" / "spoilt"
    path.write_bytes(spoil((student / MODEL).read_bytes()))
    done = by_c(student, tmp_path / "build", "spoilt", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_c_example_takes_the_time(student, tmp_path):
    done = by_c(student, tmp_path / "build", MODEL, "rows.csv", "100")
    assert 0 < float(done.stdout) < 1000
