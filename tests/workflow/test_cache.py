"""`snakemake --cache`: two folders share the archive and the splits of the sample."""

import shutil
from pathlib import Path

import pytest
import yaml
from test_data_workflow import SPLIT
from test_workflow import snakemake, written

from distilrank.letor import Dataset

RAW = "results/raw/mslr-sample"
# A package index that does not answer.
OFFLINE = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": ""}


@pytest.fixture
def folders(tmp_path: Path, native_library: Path) -> list[Path]:
    """Two folders in which the parser is built already, and a cache."""
    for name in ("one", "two"):
        parser = tmp_path / name / "results/native/libdistilrank-letor.so"
        parser.parent.mkdir(parents=True)
        shutil.copyfile(native_library, parser)
    (tmp_path / "cache").mkdir()
    return [tmp_path / "one", tmp_path / "two"]


def cached(folder: Path, *arguments: str, **environment: str) -> str:
    """What a run with the cache says; it has to succeed."""
    environment |= {"SNAKEMAKE_OUTPUT_CACHE": str(folder.parent / "cache")}
    done = snakemake(folder, "--cache", *arguments, **environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def test_the_second_folder_downloads_and_parses_nothing(folders: list[Path]) -> None:
    one, two = folders
    assert "Moving output file" in cached(one, "--", SPLIT)
    said = cached(two, "--", SPLIT, **OFFLINE)
    assert "Moving output file" not in said
    assert not (two / RAW).exists()
    # Snakemake makes the log files; no script has written to them.
    assert {log.stat().st_size for log in (two / "results/logs").rglob("*.log")} == {0}
    assert (two / SPLIT).samefile(one / SPLIT)
    opened = Dataset.open((two / SPLIT).parent)
    assert (opened.n_queries, opened.meta["dataset"]) == (32, "mslr-sample")
    assert "Nothing to be done" in cached(two, "-n", "--", SPLIT, **OFFLINE)
    # A run without the cache goes on with what was taken from it.
    plain = snakemake(two, "-n", "--", SPLIT)
    assert "Nothing to be done" in plain.stdout + plain.stderr
    # An emptied cache fills again, the archive from where it was fetched to.
    content = (one / SPLIT).read_bytes()
    for path in (one / "results/archives", one / "results/data", one.parent / "cache"):
        shutil.rmtree(path)
    (one.parent / "cache").mkdir()
    cached(one, "--", SPLIT, **OFFLINE)
    assert (one / SPLIT).read_bytes() == (two / SPLIT).read_bytes() == content


OWN = """
datasets:
  {name}:
    title: Mine
    features: 2
    folds: cv5
    folder: data
    files: {{all: {{path: all.txt}}}}
run: {{datasets: [{name}], folds: [1, 2]}}
"""


def test_folds_and_data_sets_are_told_apart(folders: list[Path]) -> None:
    """The same file and settings: only fold and name differ, and both are in what is written."""
    one, two = folders
    lines = "".join(f"{n % 3} qid:{n // 4} 1:{n} 2:1\n" for n in range(60))
    for folder, name in ((one, "mine"), (two, "yours")):
        (folder / "data").mkdir()
        (folder / "data/all.txt").write_text(lines)
        config = written(folder, OWN.format(name=name))
        splits = [f"results/data/{name}/fold{fold}/test/meta.json" for fold in (1, 2)]
        cached(folder, "--configfile", config, "--", *splits)
        found = [Dataset.open((folder / split).parent).meta for split in splits]
        assert [(meta["dataset"], meta["fold"]) for meta in found] == [(name, 1), (name, 2)]


def test_a_persons_own_archive_stays_where_it_is(folders: list[Path]) -> None:
    folder, own = folders[0], folders[0].parent / "mine.zip"
    own.write_bytes(b"checked by nobody, since no sha256 is named")
    own.chmod(0o600)
    entry = {"title": "Other", "features": 2, "folds": "cv5", "files": {"all": {"path": "x"}}}
    entry["archive"] = {"path": str(own)}
    config = written(folder, yaml.safe_dump({"datasets": {"other": entry}}))
    target = "results/archives/other/mine.zip"
    cached(folder, "--configfile", config, "--", target)
    assert (folder / target).is_symlink() and (folder / target).samefile(own)
    assert own.stat().st_mode & 0o777 == 0o600
    assert not any((folder.parent / "cache").iterdir())


def test_without_a_place_for_the_cache_the_run_says_what_to_set(tmp_path: Path) -> None:
    failed = snakemake(tmp_path, "-n", "--cache", SNAKEMAKE_OUTPUT_CACHE="")
    output = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert "SNAKEMAKE_OUTPUT_CACHE is not set: set it to an existing folder" in output
    assert "Traceback" not in output
