"""distilrank.layout: a results folder of another version, of another run, or that is read-only."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny import names

from distilrank import layout

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _let_go(monkeypatch):
    """A run holds its folder until its process ends; this process goes on."""
    held = []
    monkeypatch.setattr(layout, "_held", held)
    yield
    for file in held:
        file.close()


@pytest.mark.parametrize("there", [[], ["raw/set", "native", "logs"]])
def test_an_empty_folder_becomes_one_of_this_version(tmp_path, there):
    results = tmp_path / "results"
    for name in there:
        (results / name).mkdir(parents=True)
    layout.claim(results)
    assert (results / ".layout").read_text() == f"{layout.LAYOUT}\n"


@pytest.mark.parametrize(
    ("said", "found", "aside"),
    [("0\n", "0", "layout0"), ("99", "99", "layout99"), ("", "none", "old")],
)
def test_a_folder_of_another_version_is_refused_and_left_alone(tmp_path, said, found, aside):
    results = tmp_path / "results"
    results.mkdir()
    (results / ".layout").write_text(said)
    with pytest.raises(ValueError) as raised:
        layout.claim(results)
    assert str(raised.value) == (
        f"{results}/ was made by another version of this project: its layout is {found}, this "
        f"version's is {layout.LAYOUT}. Nothing is deleted. Run that version, or move the folder "
        "away and run again; what was downloaded can be kept: "
        f"'mv {results} {results}-{aside} && mkdir {results} "
        f"&& mv {results}-{aside}/raw {results}/'"
    )
    assert names(results) == [".layout"]
    assert (results / ".layout").read_text() == said


def test_models_without_a_layout_are_an_older_versions(tmp_path):
    (tmp_path / "students").mkdir()
    with pytest.raises(ValueError, match="its layout is none, this version's is"):
        layout.claim(tmp_path)
    assert names(tmp_path) == ["students"]


def test_two_runs_at_once_are_refused_until_the_first_ends(tmp_path):
    program = f"from distilrank.layout import claim; claim({str(tmp_path)!r}); print('has it')"
    first = subprocess.Popen(
        [sys.executable, "-c", program + "; input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert first.stdout.readline() == "has it\n"
    with pytest.raises(ValueError) as raised:
        layout.claim(tmp_path)
    assert str(raised.value) == f"another run is going on in {tmp_path}/; wait for it to end"
    first.kill()
    first.communicate()
    layout.claim(tmp_path)


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    """A file in its place, which root cannot write a folder into either."""
    (tmp_path / "results").write_text("")
    with pytest.raises(OSError) as raised:
        layout.claim(tmp_path / "results")
    assert str(raised.value) == (
        f"{tmp_path}/results/ cannot be written to (File exists). Results go there: make it "
        "writable, or run with 'snakemake --directory FOLDER'"
    )
