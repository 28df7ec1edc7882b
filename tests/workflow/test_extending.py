"""A grid that grows, or a library that is edited, reruns what is new or changed and nothing else.

Nothing is trained: a small grid's files are made empty, recorded as made by Snakemake's own
``--touch``, and what dry runs would do after each change is counted by rule.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from test_design_workflow import jobs, pretend
from test_workflow import ROOT, snakemake

from distilrank.files import write_text
from distilrank.layout import LAYOUT

COPIED = ("config", "distilrank", "envs", "profiles", "report", "rules", "scripts")
# Two folds, so that one is not timed; `labels` has no teacher and is not timed.
GRID = {
    "datasets": ["mslr-sample-cv5"],
    "folds": [1, 2],
    "teachers": ["lm-large"],
    "forests": [],
    "students": ["C"],
    "recipes": ["sample", "labels"],
    "sparsities": [0, 0.9],
    "seeds": [1],
    "engines": ["lightgbm", "ydf-quickscorer", "native-fp32", "numpy"],
}
PLOTS = ("plot_tradeoff", "plot_speedup", "plot_training", "plot_sensitivity")
# Whatever changes is reported; what is timed is predicted beside it.
PAGE = {"render_report": 1, "check_results": 1, "report": 1}
REPORT = dict.fromkeys((*PLOTS, "make_tables", "plot_predictor"), 1) | PAGE
TIMED = REPORT | {"validate_predictor": 1}


class Settled:
    """A copy of the project, and a folder in which all that `GRID` asks for is up to date."""

    def __init__(self, folder: Path) -> None:
        self.project, self.folder = folder / "project", folder / "run"
        for name in COPIED:
            shutil.copytree(
                ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "Snakefile", self.project)
        self.folder.mkdir()
        pretend(self.folder, *self.arguments({}))
        write_text(self.folder / "results" / ".layout", f"{LAYOUT}\n")
        done = snakemake(self.folder, "--touch", "--forceall", *self.arguments({}))
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    def arguments(self, changes: dict, **catalogue: dict) -> list[str]:
        config = self.folder / "grid.yaml"
        config.write_text(yaml.safe_dump({"run": GRID | changes} | catalogue), encoding="utf-8")
        return ["--snakefile", str(self.project / "Snakefile"), "--configfile", str(config)]

    def planned(self, changes: dict | None = None, **catalogue: dict) -> dict[str, int]:
        """By rule, the jobs of a dry run after these changes of the selection and catalogue."""
        return jobs(self.folder, *self.arguments(changes or {}, **catalogue))


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Settled:
    return Settled(tmp_path_factory.mktemp("extending"))


def test_nothing_is_planned_where_nothing_changed(settled: Settled) -> None:
    assert settled.planned() == {}


def more(key: str, value: object) -> dict:
    return {key: [*GRID[key], value]}


# By what is added: the new jobs, beside the report and, if `timed`, the predictor's validation.
ADDED = {
    "a sparsity": (
        more("sparsities", 0.95),
        TIMED,
        # Two recipes in two folds; the first fold's distilled one is timed.
        {"prune_student": 4, "evaluate_student": 4, "check_parity_student": 1, "time_student": 1},
    ),
    "a student": (
        more("students", "E"),
        TIMED,
        {"distil_student": 4, "prune_student": 4, "evaluate_student": 8, "analyse_sensitivity": 1}
        | {"check_parity_student": 2, "time_student": 2},
    ),
    "a seed": (
        more("seeds", 2),
        REPORT,
        {"distil_student": 4, "prune_student": 4, "evaluate_student": 8},
    ),
    "a fold": (
        more("folds", 3),
        REPORT,
        {"parse_letor": 1, "train_teacher": 1, "score_documents": 1, "evaluate_teacher": 1}
        | {"distil_student": 2, "prune_student": 2, "evaluate_student": 4},
    ),
    # Engines are timed in turns within a job, so that their ratios hold: all is timed again.
    "an engine": (
        more("engines", "native-bf16"),
        TIMED,
        {"check_parity_teacher": 1, "check_parity_student": 2}
        | {"time_teacher": 1, "time_student": 2},
    ),
    "a recipe": (
        more("recipes", "best"),
        TIMED,
        {"distil_student": 2, "prune_student": 2, "evaluate_student": 4, "analyse_sensitivity": 1}
        | {"check_parity_student": 2, "time_student": 2},
    ),
    "a recipe that distils as another does": (
        more("recipes", "sample-int8"),
        TIMED,
        {"share_student": 2, "prune_student": 2, "evaluate_student": 4}
        | {"check_parity_student": 2, "time_student": 2},
    ),
    "a forest": (
        more("forests", "lm-small"),
        TIMED,
        {"train_teacher": 2, "score_documents": 2, "evaluate_teacher": 2}
        | {"check_parity_teacher": 1, "time_teacher": 1},
    ),
    "a teacher": (
        more("teachers", "lm-small"),
        TIMED,
        {"train_teacher": 2, "score_documents": 2, "evaluate_teacher": 2}
        | {"check_parity_teacher": 1, "time_teacher": 1, "analyse_sensitivity": 1}
        | {"distil_student": 2, "prune_student": 2, "evaluate_student": 4}
        | {"check_parity_student": 2, "time_student": 2},
    ),
    "a data set": (
        more("datasets", "mslr-sample"),
        TIMED | dict.fromkeys(PLOTS, 2),
        {"fetch_dataset": 1, "parse_letor": 1, "train_teacher": 1, "score_documents": 1}
        | {"evaluate_teacher": 1, "check_parity_teacher": 1, "time_teacher": 1}
        | {"distil_student": 2, "prune_student": 2, "evaluate_student": 4}
        | {"check_parity_student": 2, "time_student": 2, "analyse_sensitivity": 1},
    ),
}


@pytest.mark.parametrize("what", ADDED)
def test_an_addition_runs_its_own_jobs_and_the_report(settled: Settled, what: str) -> None:
    changes, report, new = ADDED[what]
    assert settled.planned(changes) == report | new


def test_entries_of_the_catalogue_that_are_not_selected_run_nothing(settled: Settled) -> None:
    files = {split: {"path": f"{split}.txt"} for split in ("train", "vali", "test")}
    other = {"title": "Other", "features": 3, "folds": [1], "folder": "other", "files": files}
    plan = settled.planned(
        datasets={"other": other},
        students={"tiny": [8]},
        teachers={"lm-tiny": {"trees": 10, "leaves": 4}},
    )
    assert plan == {}


def test_where_an_archive_comes_from_is_no_news_and_its_bytes_are(settled: Settled) -> None:
    name = "mslr-sample-cv5"
    assert settled.planned(datasets={name: {"page": "elsewhere", "terms": "none"}}) == {}
    changed = settled.planned(datasets={name: {"package": {"sha256": "0" * 64}}})
    assert changed["fetch_dataset"] == 1 and changed["parse_letor"] == 2


def test_what_only_the_report_reads_runs_only_the_report(settled: Settled) -> None:
    assert settled.planned(quality={"margin": 0.01}) == REPORT
    assert settled.planned(checks={"ndcg_min_share": 0.5}) == REPORT


@pytest.fixture
def edited(settled: Settled, request: pytest.FixtureRequest) -> Iterator[set[str]]:
    """The rules of a dry run after a line more in one file of the package."""
    path = settled.project / "distilrank" / request.param
    text = path.read_text(encoding="utf-8")
    mark = "//" if path.suffix == ".cpp" else "#"
    path.write_text(f"{text}{mark} edited\n", encoding="utf-8")
    yield set(settled.planned())
    path.write_text(text, encoding="utf-8")


DATA = {"parse_letor", "fetch_dataset"}
TEACHERS = {"train_teacher", "score_documents", "evaluate_teacher"}
STUDENTS = {"distil_student", "prune_student", "evaluate_student", "analyse_sensitivity"}
TRAINED = TEACHERS | {"distil_student", "prune_student", "evaluate_student"}
MEASURED = {"check_parity_teacher", "check_parity_student", "time_teacher", "time_student"}


@pytest.mark.parametrize(
    ("edited", "runs", "stays"),
    [
        ("job.py", set(), DATA | TEACHERS | STUDENTS | MEASURED | set(REPORT)),
        ("page.py", set(PAGE), DATA | TEACHERS | STUDENTS | MEASURED | {"make_tables"}),
        ("timing.py", {"time_teacher", "time_student"}, DATA | TRAINED),
        ("losses.py", STUDENTS, DATA | TEACHERS),
        ("download.py", DATA | TEACHERS | STUDENTS | MEASURED, {"calibrate", "build_native"}),
        ("native/network.cpp", {"build_native", "calibrate"} | MEASURED, DATA | TRAINED),
        ("native/forest.cpp", {"build_native", "build_teacher"} | STUDENTS, DATA | TEACHERS),
        ("native/letor.cpp", {"build_parser", "parse_letor"} | TEACHERS, {"fetch_dataset"}),
    ],
    indirect=["edited"],
)
def test_an_edit_of_a_module_runs_what_rests_on_it(
    edited: set[str], runs: set[str], stays: set[str]
) -> None:
    """tests/unit/test_dependencies.py has all modules, by the parameter that an edit changes."""
    assert runs <= edited
    assert not stays & edited
