"""distilrank score: scores as the model gives them, all or none."""

import json
import re
import struct

import numpy as np
import pytest
from tiny import random_student

from distilrank.cli import main
from distilrank.student import Student

FEATURES = 5
LINES = [
    "2 qid:7 1:0.5 2:-3 3:7 4:0 5:1e3",
    "0 qid:7 5:2 # a comment",
    "0 qid:8 1:1 2:1 3:1 4:1 5:1",
    "1 qid:7 3:0.25",  # a query comes back
]
ROWS = np.float32([[0.5, -3, 7, 0, 1e3], [0, 0, 0, 0, 2], [1] * 5, [0, 0, 0.25, 0, 0]])


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    random_student(np.random.default_rng(0), (FEATURES, 4, 1)).save(path)
    return path


@pytest.fixture(autouse=True)
def library(found_library, monkeypatch):
    return found_library


def letor(tmp_path, lines=LINES):
    path = tmp_path / "file.letor"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def score(model, data, *more) -> int:
    return main(["score", "--model", str(model), "--data", str(data), *map(str, more)])


def test_the_scores_are_printed_in_the_files_order(model, tmp_path, capsys):
    assert score(model, letor(tmp_path)) == 0
    said = capsys.readouterr()
    expected = Student.load(model).predict(ROWS)
    np.testing.assert_allclose(np.loadtxt(said.out.splitlines()), expected, rtol=2e-5, atol=1e-6)
    assert said.err == ""


def test_the_scores_are_written(model, tmp_path, capsys):
    output = tmp_path / "deep" / "scores.txt"
    assert score(model, letor(tmp_path), "--output", output) == 0
    assert capsys.readouterr().out == ""
    assert len(output.read_text().splitlines()) == len(LINES)
    assert score(model, letor(tmp_path), "--output", output, "--precision", "bf16") == 0


def test_a_file_of_many_blocks(model, tmp_path, capsys):
    assert score(model, letor(tmp_path, LINES * 20000)) == 0
    found = np.loadtxt(capsys.readouterr().out.splitlines()).reshape(-1, len(LINES))
    assert len(found) == 20000 and np.ptp(found, axis=0).max() <= 1e-5 * np.abs(found).max()


def test_features_that_nothing_names_are_warned_of(model, tmp_path, capsys):
    data = letor(tmp_path, ["1 qid:1 1:3 2:4 3:0", "0 qid:1 2:1"])
    assert score(model, data) == 0
    assert (
        f"warning: the last feature of {data} that is not 0 everywhere is 2, and the model has 5"
        in capsys.readouterr().err
    )


def newer(path):
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"]["format"] = "distilrank-student-9"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (newer, "has format 'distilrank-student-9', made by a newer distilrank; this one reads 1"),
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "cut short|data"),
        (lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n"), "neither safetensors"),
        (lambda path: path.unlink(), "cannot be opened: No such file or directory"),
    ],
)  # fmt: skip
def test_a_model_that_is_none(model, tmp_path, capsys, spoil, said):
    spoil(model)
    output = tmp_path / "scores.txt"
    assert score(model, letor(tmp_path), "--output", output) == 2
    found = capsys.readouterr()
    assert re.match(f"error: {re.escape(str(model))}: .*({said})", found.err), found.err
    assert found.out == "" and not output.exists()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1 qid:1 6:1"], "line 1: feature '6:1', expected an id from 1 to 5"),
        ([*LINES, "1 qid:9 1:x"], "line 5: feature '1:x', expected <id>:<number>"),
        ([], "holds no document"),
    ],
)
def test_data_that_does_not_fit_leaves_nothing(model, tmp_path, capsys, lines, said):
    output = tmp_path / "scores.txt"
    for more in ((), ("--output", output)):
        assert score(model, letor(tmp_path, lines), *more) == 2
        found = capsys.readouterr()
        assert found.out == "" and said in found.err
    assert not output.exists()


def test_data_that_is_not_there(model, tmp_path, capsys):
    assert score(model, tmp_path / "none.letor") == 2
    assert capsys.readouterr().err == (
        f"error: there is no file {tmp_path / 'none.letor'}, which --data names\n"
    )
