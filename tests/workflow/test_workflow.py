"""The workflow as a whole: from the published archive to the report, on real documents."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from distilrank.student import Student

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "workflow" / "small.yaml"
# It routes NaN.
XGBOOST = ROOT / "tests/data/forests/xgboost.json"
RUN = "results/students/mslr-sample/fold1/small/narrow/quick/seed1"


def command(folder: Path, *arguments: str) -> list[str]:
    """Snakemake on this checkout's workflow, with results under ``folder``."""
    program = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return [*program, "--directory", str(folder), "--cores", "2", *arguments]


def snakemake(
    folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments), capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | environment,
    )  # fmt: skip


def written(folder: Path, text: str) -> str:
    path = folder / "changed.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def begin(folder: Path, finished: Path) -> None:
    """Results with what a run does not train: the download, and libraries that take a minute."""
    (folder / "results").mkdir()
    (folder / "results/raw").symlink_to(finished / "results/raw")
    shutil.copytree(finished / "results/native", folder / "results/native")


def test_the_report_is_one_file_that_opens_offline(finished: Path) -> None:
    page = (finished / "results/report/index.html").read_text(encoding="utf-8")
    assert "MSLR sample" in page
    assert not re.search(r"""(src|href)=["'](https?:)?//[^"']+\.(js|css|png|svg|woff)""", page)
    assert page.count("<svg") >= 4


def test_every_model_has_quality_parity_and_timing(finished: Path) -> None:
    models = 3 + 2 * 2 * 2  # forests, and teachers x students x sparsities
    for kind in ("quality", "parity", "timing"):
        assert len(list((finished / "results" / kind).rglob("*.json"))) == models


def test_chosen_models_are_exported(finished: Path) -> None:
    chosen = written(finished, "export: {models: [small/narrow/quick/sp950, first]}")
    done = snakemake(finished, "export", "--configfile", str(SMALL), chosen)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    folder = finished / "results/export"
    cards = {
        str(path.parent.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("model_card.md")
    }
    student = "students/mslr-sample/fold1/small/narrow/quick/seed1/sp950"
    assert set(cards) == {student, "teachers/mslr-sample/fold1/first"}
    for card in cards.values():
        assert "for research use only" in card and "not timed" not in card
    assert "Fisher's" in cards[student] and "| native-fp32 |" in cards[student]


def test_a_tuned_forest_teaches_and_its_prefix_is_compared_alone(finished: Path) -> None:
    folder = finished / "results/teachers/mslr-sample/fold1"
    tuned = json.loads((folder / "small/tuned.json").read_text())
    whole, first = (
        json.loads((folder / name / "train.json").read_text()) for name in ("small", "first")
    )
    assert len(tuned["trials"]) == 2
    assert (whole["settings"], max(whole["vali"])) == (tuned["settings"], tuned["vali"])
    assert (first["prefix_of"], first["model"]["trees"]) == ("small", 1)
    models = pd.read_csv(finished / "results/report/tables/models.csv")
    assert set(models.loc[models["kind"] == "forest", "name"]) == {"small", "tiny", "first"}
    assert set(models.loc[models["kind"] != "forest", "teacher"]) == {"small", "tiny"}
    vali = models[models["kind"] == "forest"].set_index("name")["vali_ndcg@10"]
    assert set(models["best_forest"]) == {vali.idxmax()}


def test_only_engines_that_passed_parity_are_timed(finished: Path) -> None:
    for path in (finished / "results/timing").rglob("*.json"):
        timing = json.loads(path.read_text())
        parity = json.loads(Path(str(path).replace("/timing/", "/parity/")).read_text())
        passed = {e["engine"] for e in parity["engines"] if e["status"] == "passed"}
        own = [m for m in timing["measurements"] if m["of"] == "model"]
        assert {m["engine"] for m in own} == passed
        assert len(own) == 2 * len(passed)  # two batch sizes
        assert all(len(m["samples"]) == 3 and min(m["samples"]) > 0 for m in own)
        for engine in parity["engines"]:
            assert engine["status"] == "skipped" or engine["error"] <= engine["tolerance"]


def test_the_pruned_student_is_as_sparse_as_asked(finished: Path) -> None:
    student = Student.load(finished / RUN / "sp950.safetensors")
    zeros = round(0.95 * 24 * 136)
    assert student.meta["pruned_from"] == {
        "architecture": "136-24-8-1", "zeros": [zeros, 0, 0], "layers": [1],
    }  # fmt: skip
    assert np.count_nonzero(student.weights[0]) <= 24 * 136 - zeros
    assert student.sparsity(1) < 0.01


def test_what_low_precision_costs_stands_beside_what_it_gains(finished: Path) -> None:
    """bf16 of every network; the pruned ones were tuned for int8."""
    table = pd.read_csv(finished / "results/report/tables/precision.csv")
    bf16 = table[table["engine"] == "native-bf16"]
    assert len(bf16) == 2 * 2 * 2  # teachers x students x sparsities
    assert set(bf16["base_engine"]) == {"native-fp32"}
    assert (bf16["ndcg@10"] - bf16["ndcg_exact"]).to_numpy() == pytest.approx(bf16["difference"])
    assert bf16["kendall_tau"].between(0.95, 1).all() and bf16["p_value"].between(0, 1).all()
    tuned = bf16["tuned_for"].where(bf16["sparsity"] == 0, "pruned: " + bf16["tuned_for"])
    assert set(tuned) == {"fp32", "pruned: int8"}
    assert Student.load(finished / RUN / "sp950.safetensors").meta["precision"] == "int8"


def test_the_student_learned_from_its_teacher(finished: Path) -> None:
    history = pd.read_csv(finished / RUN / "sp0.csv")
    assert list(history["epoch"]) == list(range(1, 7))
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]


def test_tables_exist_as_csv_and_latex_and_figures_as_svg_and_png(finished: Path) -> None:
    report = finished / "results/report"
    models = pd.read_csv(report / "tables/models.csv")
    assert len(models) == 3 + 2 * 2 * 2
    assert (report / "tables/models.tex").read_text().count(r"\\") >= 10
    for figure in ("tradeoff-mslr-sample", "speedup-mslr-sample", "predictor"):
        assert (report / f"figures/{figure}.svg").stat().st_size > 2000
        assert (report / f"figures/{figure}.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_run_does_nothing(finished: Path) -> None:
    again = snakemake(finished, "--configfile", str(SMALL))
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_same_seed_gives_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    target = f"{RUN}/sp950.safetensors"
    begin(tmp_path, finished)
    done = snakemake(tmp_path, "--configfile", str(SMALL), "--", target)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / target).read_bytes() == (finished / target).read_bytes()


def test_the_accounts_count_every_job_but_the_reports_own(finished: Path) -> None:
    accounts = pd.read_csv(finished / "results/report/tables/accounts.csv").set_index("rule")
    benchmarks = finished / "results/benchmarks"
    names = [path.relative_to(benchmarks).parts[0] for path in benchmarks.rglob("*.tsv")]
    # Exports are asked for apart from the report.
    own = ("make_tables", "render_report", "check_results", "plot_", "export_")
    counted = [name for name in names if not name.startswith(own)]
    assert accounts.loc["all jobs", "jobs"] == len(counted)
    assert accounts.loc["all jobs", "without_record"] == 0
    assert accounts.loc["distil_student", "jobs"] == 2 * 2  # teachers x students
    assert accounts.loc["all jobs", "seconds"] > accounts.loc["calibrate", "seconds"] > 0
    page = (finished / "results/report/index.html").read_text(encoding="utf-8")
    assert "What the run cost" in page and "there is no record" not in page


def test_snakemakes_own_report_works(finished: Path) -> None:
    done = snakemake(finished, "--configfile", str(SMALL), "--report", "snakemake-report.html")
    assert done.returncode == 0, done.stderr[-4000:]
    page = (finished / "snakemake-report.html").read_text(encoding="utf-8")
    assert "distilrank" in page
    # Run times: every job's, and the captions of what is new.
    assert "time_student" in page and "runtime" in page
    assert "What the run cost" in page


def test_an_old_native_library_is_built_anew_and_the_rest_follows(tmp_path: Path) -> None:
    """Snakemake drops what depends on a rebuilt file through ``ancient()`` from its plan."""
    folder = tmp_path / "results" / "native"
    folder.mkdir(parents=True)
    for name in ("libdistilrank.so", "libdistilrank-letor.so"):
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    plan = snakemake(tmp_path, "-n").stdout
    for rule in ("build_native", "build_parser", "parse_letor", "train_teacher", "time_student"):
        assert rule in plan, rule


def test_the_papers_grid_can_be_planned_without_its_data(tmp_path: Path) -> None:
    plan = snakemake(tmp_path, "-n", "--configfile", str(ROOT / "config/paper.yaml"))
    assert plan.returncode == 0, plan.stderr[-4000:]
    counts = dict(re.findall(r"^(\w+) +(\d+)$", plan.stdout + plan.stderr, flags=re.MULTILINE))
    assert counts["tune_teacher"] == counts["train_teacher"] == str(2 * 5)  # data sets x forests
    assert counts["cut_teacher"] == str(2 * 3)
    assert counts["time_teacher"] == str(2 * 8)
    # Two recipes learn from each of two teachers, and one from labels: x students x seeds.
    assert counts["distil_student"] == str(2 * (2 * 2 + 1) * 6 * 3)
    assert counts["prune_student"] == str(2 * (2 * 2 + 1) * 6 * 3 * 7)  # x sparsities above 0
    assert counts["time_student"] == str(2 * 2 * 2 * 6 * 8)  # the first seed of the two alone


def test_a_grid_is_planned_point_by_point_and_trains_no_dense_network_twice(tmp_path: Path) -> None:
    text = """
        recipes:
          mine:
            grid: {distil.dropout: [0, 0.1], prune.epochs: [1, 2, 3]}
            distil: {epochs: 1, batch: 250, learning_rate: 1.0e-3}
            prune: {layers: [1], epochs: 1, batch: 250, learning_rate: 1.0e-3}
        run:
          {recipes: [mine], teachers: [lm-small], students: [C], sparsities: [0.9], seeds: [3, 4]}
    """
    plan = snakemake(tmp_path, "-n", "--configfile", written(tmp_path, text))
    assert plan.returncode == 0, plan.stderr[-4000:]
    counts = dict(re.findall(r"^(\w+) +(\d+)$", plan.stdout + plan.stderr, flags=re.MULTILINE))
    assert counts["distil_student"] == str(2 * 2)  # dropouts x seeds
    assert counts["share_student"] == str((2 * 3 - 2) * 2)
    assert counts["prune_student"] == str(2 * 3 * 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rum: {}", "unknown key 'rum': did you mean 'run'?"),
        ("run: {teachers: [lm-larg]}", "names unknown 'lm-larg': did you mean 'lm-large'?"),
        ("run: {sparsities: [1.5]}", "config key 'run.sparsities.0'"),
        (
            f"teachers: {{mine: {{path: {XGBOOST}}}}}\nrun: {{teachers: [mine]}}",
            "'ydf-quickscorer', which cannot score the forest 'mine'",
        ),
    ],
)
def test_a_bad_config_stops_before_any_job_with_one_sentence(
    text: str, said: str, tmp_path: Path
) -> None:
    failed = snakemake(tmp_path, "--configfile", written(tmp_path, text))
    output = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert said in output
    assert "Traceback" not in output
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_taken_up_again(
    finished: Path, tmp_path: Path, how: signal.Signals
) -> None:
    """Cut off while students train; the next run ends with the bytes of an undisturbed one.

    SIGKILL ends the scheduler alone: its jobs end by themselves, not to disturb the next run.
    """
    begin(tmp_path, finished)
    arguments = ("--configfile", str(SMALL), "--nolock", "--rerun-incomplete", "pruned")
    running = subprocess.Popen(
        command(tmp_path, *arguments),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    students = tmp_path / "results/logs/distil_student"
    for _ in range(600):
        if students.exists() or running.poll() is not None:
            break
        time.sleep(0.1)
    time.sleep(2)
    (os.kill if how == signal.SIGKILL else os.killpg)(running.pid, how)
    running.wait(timeout=300)  # Snakemake lets jobs end
    for path in (tmp_path / "results/students").rglob("*.safetensors"):
        if not path.name.startswith("."):
            Student.load(path)  # whole, or it raises
    done = snakemake(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr[-4000:]
    for path in (finished / "results/students").rglob("*.safetensors"):
        again = tmp_path / path.relative_to(finished)
        assert again.read_bytes() == path.read_bytes()
