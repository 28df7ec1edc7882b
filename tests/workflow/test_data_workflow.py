"""Data from other places than the sample: generated, a person's own, damaged on the way."""

import hashlib
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp, spearmanr
from test_workflow import SMALL, snakemake, written

from distilrank.letor import Dataset

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
