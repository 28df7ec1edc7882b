"""A workflow that must not start: another version's results, another run, nowhere to write."""

import subprocess
import sys
from pathlib import Path

import pytest
from small_disks import python, read_only

ROOT = Path(__file__).parents[2]
# The cheapest job there is: a link to a person's own archive.
CONFIG = """
datasets:
  mine:
    title: Mine
    features: 3
    archive: {path: own.zip}
    files: {train: {path: train.txt}, test: {path: test.txt}}
"""
LINK = "results/archives/mine/own.zip"


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Makes `LINK` in the test's folder."""
    (tmp_path / "own.zip").touch()
    config = tmp_path / "own.yaml"
    config.write_text(CONFIG)
    program = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    where = ["--directory", str(tmp_path), "--configfile", str(config)]
    return [*program, *where, "--cores", "1", "--", LINK]


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """What it said: a sentence."""
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said
    return said


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_results_of_another_version_are_refused_until_they_are_moved(tmp_path, command):
    (tmp_path / "results/students").mkdir(parents=True)
    assert "made by another version of this project" in failed(run(command, tmp_path))
    assert not (tmp_path / LINK).exists()
    (tmp_path / "results").rename(tmp_path / "results-old")
    assert run(command, tmp_path).returncode == 0
    assert (tmp_path / LINK).is_symlink()


def test_a_second_run_in_one_folder_is_refused(tmp_path, command):
    """Whatever started the first, and though its lock of Snakemake's own was removed."""
    hold = "from distilrank.layout import claim; claim('results'); print(flush=True); input()"
    with subprocess.Popen(
        python(hold), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    ) as first:  # fmt: skip
        first.stdout.readline()
        said = failed(run(command, tmp_path))
        first.stdin.close()
    assert "another run is going on in results/; wait for it to end" in said
    assert run(command, tmp_path).returncode == 0


def test_results_that_cannot_be_written_are_told(tmp_path, command):
    results = tmp_path / "results"
    results.mkdir()
    said = failed(read_only(results, *command))
    assert "results/ cannot be written to (Read-only file system)" in said


def test_a_checkout_that_cannot_be_written_to_serves_another_folder(tmp_path, command):
    done = read_only(ROOT, *command)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / LINK).is_symlink()
