"""The workflow as a whole: from the published archive to the report, on real documents."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, spearmanr

from distilrank.letor import Dataset
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
    raw = tmp_path / "results" / "raw"
    raw.parent.mkdir()
    raw.symlink_to(finished / "results/raw")
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


GENERATED = """
datasets:
  made:
    title: Made
    features: 136
    folds: [1]
    generate: {from: mslr-sample, queries: {train: 120, vali: 4, test: 4},
               documents_per_query: 60, seed: 1, noise: 0.5}
    files: {train: {path: Fold1/train.txt}, vali: {path: Fold1/vali.txt},
            test: {path: Fold1/test.txt}}
"""


def test_a_data_set_of_the_samples_shape_is_generated_and_parsed(
    finished: Path, tmp_path: Path
) -> None:
    """Selected like any other; what it is drawn from comes first by itself."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results/raw").symlink_to(finished / "results/raw")
    config = written(tmp_path, GENERATED)
    target = "results/data/made/fold1/train/meta.json"
    done = snakemake(tmp_path, "--configfile", config, "--", target)
    assert done.returncode == 0, done.stderr[-4000:]
    made = Dataset.open((tmp_path / target).parent)
    assert (made.n_queries, made.n_documents) == (120, 120 * 60)
    folder = finished / "results/data/mslr-sample/fold1"
    sample = [Dataset.open(folder / split) for split in ("train", "vali")]
    real = np.concatenate([each.features for each in sample])
    distances = [
        ks_2samp(real[:, feature], made.features[:, feature]).statistic for feature in range(136)
    ]
    assert np.max(distances) < 0.08
    assert np.median(distances) < 0.03
    varied = np.ptp(real, axis=0) > 0
    assert varied.sum() > 130
    correlations = [spearmanr(each[:, varied]).statistic for each in (real, made.features)]
    assert np.abs(correlations[0] - correlations[1]).max() < 0.1
    labels = np.concatenate([each.labels for each in sample])
    shares = [np.bincount(each, minlength=5) / len(each) for each in (labels, made.labels)]
    assert np.abs(shares[0] - shares[1]).max() < 0.06


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


OWN = "datasets: {{mslr-sample: {{folder: {folder}}}}}\n"


@pytest.fixture(scope="session")
def extracted(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's own folder of the sample's files."""
    folder = tmp_path_factory.mktemp("own")
    with tarfile.open(next((finished / "results/raw/mslr-sample").glob("*.tar.gz"))) as archive:
        for info in archive:
            if info.name.endswith(".5k.txt"):
                path = folder / "rankeval/test/data" / Path(info.name).name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(info).read())
    return folder


def snapshot(folder: Path) -> dict[Path, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


SPLIT = "results/data/mslr-sample/fold1/train/features.npy"


def test_a_persons_own_folder_is_read_and_left_alone(
    finished: Path, extracted: Path, tmp_path: Path
) -> None:
    """It wins over the download, which is not made; an edit of a file makes the splits anew."""
    before = snapshot(extracted)
    config = written(tmp_path, OWN.format(folder=extracted))
    done = snakemake(tmp_path, "--configfile", config, "--", SPLIT)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / SPLIT).read_bytes() == (finished / SPLIT).read_bytes()
    assert not (tmp_path / "results/raw").exists()
    assert snapshot(extracted) == before


def test_a_persons_own_archive_is_checked_once_and_left_alone(
    finished: Path, tmp_path: Path
) -> None:
    """Not even a change of what fetches archives, or --delete-all-output, touches it."""
    own = tmp_path / "downloads" / "my copy.zip"
    own.parent.mkdir()
    lines = b"".join(b"%d qid:%d 1:%d\n" % (n % 2, n // 2, n) for n in range(20))
    with zipfile.ZipFile(own, "w") as archive:
        for fold in (1, 2):
            for split in ("train", "vali", "test"):
                archive.writestr(f"set/Fold{fold}/{split}.txt", lines)
    os.utime(own, (1, 1))  # older than any library file
    before = snapshot(own.parent)
    sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
    files = ", ".join(f"{split}: {{path: 'Fold{{fold}}/{split}.txt'}}"
                      for split in ("train", "vali", "test"))  # fmt: skip
    config = written(tmp_path, f"""
datasets:
  mine:
    title: Mine
    features: 3
    folds: [1, 2]
    archive: {{path: downloads/my copy.zip, sha256: {sha256}}}
    files: {{{files}}}
run: {{datasets: [mine], folds: [1, 2]}}
""")  # fmt: skip
    targets = [f"results/data/mine/fold{fold}/test/features.npy" for fold in (1, 2)]
    done = snakemake(tmp_path, "--configfile", config, "--", *targets)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (done.stdout + done.stderr).count("Checking my copy.zip of mine") == 1
    snakemake(tmp_path, "--configfile", config, "--delete-all-output", "--", *targets)
    assert not (tmp_path / targets[0]).exists()
    assert snapshot(own.parent) == before


def test_a_damaged_download_stays_no_data_and_is_replaced(finished: Path, tmp_path: Path) -> None:
    """Snakemake never deletes an archive that was put there by hand: it is nobody's output."""
    raw = tmp_path / "results/raw/mslr-sample"
    raw.mkdir(parents=True)
    archive = next((finished / "results/raw/mslr-sample").glob("*.tar.gz"))
    cut = raw / archive.name
    cut.write_bytes(archive.read_bytes()[:100_000])
    os.utime(cut, (1, 1))
    environment = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    failed = snakemake(tmp_path, "--", SPLIT, **environment)
    assert failed.returncode != 0
    assert cut.stat().st_size == 100_000
    assert not (tmp_path / "results/archives/mslr-sample" / archive.name).is_symlink()
    assert not (tmp_path / "results/data").exists()
    shutil.copyfile(archive, cut)
    os.utime(cut, (1, 1))
    done = snakemake(tmp_path, "--", SPLIT, **environment)
    assert done.returncode == 0, "an archive put by hand needs no network: " + done.stderr[-4000:]


def test_a_failing_job_names_its_log_which_holds_the_traceback(
    extracted: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    shutil.copytree(extracted, folder)
    train = next(folder.rglob("*train.5k.txt"))
    train.write_bytes(train.read_bytes()[:100_000])
    config = written(tmp_path, SMALL.read_text() + OWN.format(folder=folder))
    failed = snakemake(tmp_path, "teachers", "--configfile", config)
    log = tmp_path / "results/logs/parse_letor/mslr-sample/fold1.log"
    assert failed.returncode != 0
    assert str(log.relative_to(tmp_path)) in failed.stdout + failed.stderr
    assert "train.5k.txt" in failed.stdout + failed.stderr
    assert "Traceback" in log.read_text()
    assert not (tmp_path / "results/data").exists() or not list(
        (tmp_path / "results/data").rglob("*.npy")
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_taken_up_again(
    finished: Path, tmp_path: Path, how: signal.Signals
) -> None:
    """Cut off while students train; the next run ends with the bytes of an undisturbed one.

    SIGKILL ends the scheduler alone: its jobs end by themselves, not to disturb the next run.
    """
    (tmp_path / "results").mkdir()
    (tmp_path / "results/raw").symlink_to(finished / "results/raw")
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
