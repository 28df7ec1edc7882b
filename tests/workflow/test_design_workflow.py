"""`snakemake design`: a checkpoint, whose designs go the students' way, and only the new ones."""

import os
import re
import time
from pathlib import Path

import pytest
import yaml
from calibrated import write_calibration
from test_workflow import ROOT, snakemake, written

from distilrank.files import write_text
from distilrank.layout import LAYOUT
from distilrank.machine import fingerprint

LISTS = f"results/design/{fingerprint()['id']}/mslr-sample"
TRAIN = """
design: {{budget_us: {budgets}, depths: [2], widths: [25, 50, 100], sparsities: [0.95], train: 2}}
"""


def jobs(folder: Path, *arguments: str) -> dict[str, int]:
    """How many jobs of each rule a dry run plans."""
    plan = snakemake(folder, "-n", *arguments)
    assert plan.returncode == 0, plan.stdout[-4000:] + plan.stderr[-4000:]
    found = re.findall(r"^(\w+) +(\d+)$", plan.stdout + plan.stderr, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule != "total"}


def pretend(folder: Path, *arguments: str) -> None:
    """Every file that the plan would make and is not there appears, empty and of one time."""
    summary = snakemake(folder, "--summary", *arguments)
    now = time.time()
    for line in summary.stdout.splitlines()[1:]:
        path = folder / line.split("\t")[0]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (now, now))


@pytest.fixture
def calibrated(tmp_path: Path) -> Path:
    return calibrate(tmp_path)


def calibrate(folder: Path, machine: str | None = None) -> Path:
    """A calibration, and empty files of all that it was made from, which plans look at too."""
    results = folder / "results"
    write_text(results / ".layout", f"{LAYOUT}\n")
    files = [
        results / "native/libdistilrank.so",
        *(results / f"calibration/native.{suffix}" for suffix in ("csv", "json")),
        write_calibration(results / "predictor/native.json", machine),
    ]
    now = time.time()
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (now, now))
    return folder


def test_designs_are_listed_from_the_calibration_alone(calibrated: Path) -> None:
    assert jobs(calibrated, "design") == {"design_students": 1, "design": 1}
    done = snakemake(calibrated, "design")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "0.5 us a document:" in done.stdout + done.stderr
    catalogue = (calibrated / LISTS / "students.yaml").read_text()
    assert "design-200ns-1" in yaml.safe_load(catalogue)["students"]
    assert "Nothing to be done" in str(snakemake(calibrated, "design"))
    # As a config file the catalogue keeps them, and a design is a student like any other.
    frozen = str(calibrated / LISTS / "students.yaml")
    target = "results/students/mslr-sample/fold1/lm-small/design-200ns-1/sample/seed1/sp0.csv"
    for configured in ([], ["--configfile", frozen]):
        assert jobs(calibrated, *configured, "--", target)["distil_student"] == 1


@pytest.mark.parametrize(
    ("given", "limit"), [([], "None"), (["--max-jobs-per-timespan", "5/1s"], "5")]
)
def test_only_a_limit_of_submissions_that_is_given_wakes_the_scheduler(
    calibrated: Path, given: list[str], limit: str
) -> None:
    """Snakemake's own one does so for ever more often: a core's work after some hundred jobs."""
    outer = calibrated / "Snakefile"
    outer.write_text(
        f"include: {str(ROOT / 'Snakefile')!r}\n"
        "onsuccess:\n"
        "    print('limit', getattr(workflow.scheduler.job_rate_limiter, 'max_jobs', None))\n"
    )
    done = snakemake(calibrated, "design", "--snakefile", str(outer), *given)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"limit {limit}\n" in done.stdout


def test_only_the_designs_of_a_new_budget_are_trained(calibrated: Path) -> None:
    first = ("design", "--configfile", written(calibrated, TRAIN.format(budgets=[0.2, 0.5])))
    done = snakemake(calibrated, *first, "--until", "design_students")
    assert done.returncode == 0, done.stderr[-4000:]
    planned = jobs(calibrated, *first)
    for rule in ("distil_student", "prune_student", "evaluate_student", "time_student"):
        assert planned[rule] == 2 * 2, rule  # budgets x designs
    assert planned["check_parity_student"] == 4 and planned["train_teacher"] == 1
    pretend(calibrated, *first)
    assert jobs(calibrated, *first) == {}
    more = ("design", "--configfile", written(calibrated, TRAIN.format(budgets=[0.2, 0.5, 1.0])))
    assert jobs(calibrated, *more)["design_students"] == 1
    done = snakemake(calibrated, *more, "--until", "design_students")
    assert done.returncode == 0, done.stderr[-4000:]
    planned = jobs(calibrated, *more)
    for rule in ("distil_student", "prune_student", "evaluate_student", "time_student"):
        assert planned[rule] == 2, rule
    assert "train_teacher" not in planned


def test_what_designs_learn_from_is_trained_first(calibrated: Path) -> None:
    config = written(calibrated, "design: {learn_from: [E], train: 1}\n")
    planned = jobs(calibrated, "design", "--configfile", config)
    assert planned["design_students"] == 1
    assert planned["evaluate_student"] == 5 and planned["distil_student"] == 1  # E's sparsities
    assert "time_student" not in planned


def test_the_report_has_no_checkpoint_unless_designs_are_trained(calibrated: Path) -> None:
    assert not {"design_students", "plot_designed"} & set(jobs(calibrated, "report"))
    config = written(calibrated, "design: {train: 1}\n")
    assert jobs(calibrated, "report", "--configfile", config)["design_students"] == 1
    done = snakemake(calibrated, "design", "--configfile", config, "--until", "design_students")
    assert done.returncode == 0, done.stderr[-4000:]
    planned = jobs(calibrated, "report", "--configfile", config)
    assert planned["time_student"] == 2 * 5 * 2 + 3  # students x sparsities x teachers, designs
    assert planned["make_tables"] == planned["plot_designed"] == 1


@pytest.mark.parametrize(
    ("student", "said"),
    [
        ("Cc", "there is no student 'Cc': did you mean 'C'?"),
        ("design-200ns-99", "has no 'design-200ns-99': did you mean 'design-200ns-9'?"),
    ],
)
def test_an_unknown_student_is_named(calibrated: Path, student: str, said: str) -> None:
    assert snakemake(calibrated, "design").returncode == 0
    target = f"results/students/mslr-sample/fold1/lm-small/{student}/sample/seed1/sp0.csv"
    failed = snakemake(calibrated, "-n", "--", target)
    assert failed.returncode != 0
    assert said in failed.stdout + failed.stderr


def test_another_machines_calibration_stops_the_job_with_a_sentence(tmp_path: Path) -> None:
    calibrate(tmp_path, machine="0badcafe")
    failed = snakemake(tmp_path, "design")
    assert failed.returncode != 0
    assert "was calibrated on machine 0badcafe" in failed.stdout + failed.stderr
    assert not (tmp_path / LISTS).exists() or not list((tmp_path / LISTS).glob("*.yaml"))
