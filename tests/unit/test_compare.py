"""distilrank compare-results: equal bytes are told from different ones, and times do not count."""

import json
import shutil
from pathlib import Path

import pytest

from distilrank.cli import main
from distilrank.compare import compare_results

STUDENT = Path("students/set/fold1/forest/net/recipe/seed1")
TUNED = Path("teachers/set/fold1/forest/tuned.json")
QUALITY = Path("quality/set/fold1/forest/teacher.json")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal runs, the second one's results beside other files."""
    first, second = tmp_path / "first", tmp_path / "second" / "results"
    for folder in (STUDENT, TUNED.parent, QUALITY.parent, Path("timing")):
        (first / folder).mkdir(parents=True)
    (first / STUDENT / "sp0.safetensors").write_bytes(b"weights")
    (first / STUDENT / "sp0.csv").write_text("epoch,loss,seconds,rows_per_second\n1,2.5,0.1,9\n")
    (first / TUNED).write_text(json.dumps({"vali": 0.5, "trials": [{"vali": 0.5, "seconds": 1.5}]}))
    (first / QUALITY).write_text('{"mean": 0.25, "per_query": [null, NaN]}')
    (first / "timing/model.json").write_text("{}")
    shutil.copytree(first, second)
    return first, second.parent


def differing(folders: tuple[Path, Path]) -> list[Path]:
    return [file for each in compare_results(*folders) for file in each.differing]


def test_equal_runs_are_equal_and_every_kind_is_counted(folders, capsys):
    assert main(["compare-results", *map(str, folders)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "data     0 files the same",
        "teachers 1 files the same",
        "students 2 files the same",
        "quality  1 files the same",
    ]


def test_a_different_byte_a_missing_and_an_added_file_are_named(folders, capsys):
    first, second = folders
    (second / "results" / STUDENT / "sp0.safetensors").write_bytes(b"weightz")
    (second / "results" / QUALITY).unlink()
    (second / "results/quality/more.json").write_text("{}")
    assert main(["compare-results", *map(str, folders)]) == 1
    said = capsys.readouterr().out
    assert f"  {STUDENT}/sp0.safetensors differs\n" in said
    assert f"  {QUALITY} is only in {first}\n" in said
    assert f"  quality/more.json is only in {second}\n" in said
    assert "students 1 files the same, 1 different\n" in said


def test_seconds_do_not_count_and_everything_beside_them_does(folders):
    results = folders[1] / "results"
    (results / STUDENT / "sp0.csv").write_text("epoch,loss,seconds,rows_per_second\n1,2.5,0.7,8\n")
    (results / TUNED).write_text('{"trials": [{"seconds": 9, "vali": 0.5}], "vali": 0.5}')
    assert differing(folders) == []
    (results / STUDENT / "sp0.csv").write_text(
        "epoch,loss,seconds,rows_per_second\n1,2.50001,0.1,9\n"
    )
    (results / TUNED).write_text('{"vali": 0.5, "trials": [{"vali": 0.50001, "seconds": 1.5}]}')
    assert differing(folders) == [TUNED, STUDENT / "sp0.csv"]


def test_times_and_what_passes_are_left_out(folders):
    results = folders[1] / "results"
    (results / "timing/model.json").write_text('{"samples": [1]}')
    (results / STUDENT / "sp0.checkpoint").touch()
    (results / STUDENT / ".sp0.123.tmp.safetensors").touch()
    (results / TUNED.parent / "unfinished-trials.json").touch()
    assert all(each.same for each in compare_results(*folders))


def test_a_folder_without_results_is_refused(folders, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["compare-results", str(folders[0]), str(tmp_path / "empty")]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'empty'} is no results folder: expected data, teachers, students, "
        "quality in it, or in its 'results'\n"
    )


def test_folders_with_nothing_in_them_are_not_called_equal(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name / "data").mkdir(parents=True)
    with pytest.raises(ValueError, match="has anything to compare"):
        compare_results(tmp_path / "first", tmp_path / "second")
