"""Scorers from model files: `Scorer(path)` gives what the Python readers give, or a sentence."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_lightgbm_text import HEAD, damaged_texts, model_text
from test_native_net import random_network
from tiny import random_student

from distilrank import scorer as binding
from distilrank.forest import Forest
from distilrank.lightgbm_text import read_lightgbm_text
from distilrank.scorer import Scorer
from distilrank.student import Student

MISSING = np.finfo(np.float32).max
IN_A_FOLDER = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
META = {"dataset": "tiny", "note": 'größer "than" 𝄞 1\n\x7f\\'}


def bits(scores: np.ndarray) -> bytes:
    return scores.tobytes()


def rows_for(n_features: int, count: int = 9) -> np.ndarray:
    """Rows with everything that a route or a fill looks at, each with its own way through."""
    generator = np.random.default_rng(n_features)
    rows = np.round(generator.normal(size=(count, n_features)), 1).astype(np.float32)
    special = generator.choice(np.float32([0, -0.0, 1e-36, np.nan, np.inf, MISSING]), rows.shape)
    return np.where(generator.random(rows.shape) < 0.3, special, rows)


def refusal(path: Path, library) -> str:
    """What opening says of a file that is no model, after the path; "" where it is taken."""
    try:
        Scorer(path, library=library).close()
    except ValueError as error:
        sentence = str(error)
        assert sentence.startswith(f"{path}: ")
        # A sentence of plain text, whatever the file holds.
        assert sentence[len(f"{path}: ") :].isascii() and len(sentence) > len(f"{path}: ") + 15
        return sentence[len(f"{path}: ") :]
    return ""


def check_same(model, path: Path, library, level="best", precision="fp32") -> None:
    """The file's scorer is the array way's scorer, to the bit."""
    rows = rows_for(model.n_features, 140)
    with (
        Scorer(model, level, precision, library) as expected,
        Scorer(path, level, precision, library) as found,
    ):
        assert found.describe() == expected.describe()
        assert found.n_features == model.n_features
        for part in (rows, rows[:1], rows[:5]):
            assert bits(found.score(part)) == bits(expected.score(part))
        assert bits(found.clone().score(rows)) == bits(expected.score(rows))


# ---- The same scores ----


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    zeros=st.sampled_from([0.0, 0.5, 0.98]),
    fills=st.booleans(),
    precision=st.sampled_from(["fp32", "bf16"]),
    level=st.sampled_from(["best", "portable"]),
)
def test_networks(tmp_path_factory, native_library, seed, widths, zeros, fills, precision, level):
    path = tmp_path_factory.mktemp("network") / "model.safetensors"
    network = random_network(np.random.default_rng(seed), [*widths, 1], zeros, True, fills)
    replace(network, meta=META).save(path)
    check_same(Student.load(path), path, native_library, level, precision)


def trained(seed: int, **parameters) -> lightgbm.Booster:
    """A forest on rows with zeros and NaN, of every default direction."""
    generator = np.random.default_rng(seed)
    rows = np.round(generator.normal(size=(400, 6)), 1)
    rows[generator.random(rows.shape) < 0.2] = np.nan
    rows[generator.random(rows.shape) < 0.2] = 0
    target = np.sin(3 * np.nan_to_num(rows[:, 0], nan=2)) + np.isnan(rows[:, 1]) + (rows[:, 2] == 0)
    options = {"objective": "regression", "num_leaves": 14, "min_data_in_leaf": 1, "verbose": -1,
               "num_threads": 1, "seed": seed}  # fmt: skip
    return lightgbm.train(options | parameters, lightgbm.Dataset(rows, target), 12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"use_missing": False},
        {"zero_as_missing": True},
        {"num_leaves": 2},
        {"num_leaves": 300, "min_data_in_leaf": 1},
        {"boosting": "dart"},
    ],
)
def test_forests(tmp_path, native_library, seed, parameters):
    path = tmp_path / "model.txt"
    trained(seed, **parameters).save_model(path)
    check_same(read_lightgbm_text(path), path, native_library)
    check_same(read_lightgbm_text(path), path, native_library, "portable")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    check_same(read_lightgbm_text(path), path, native_library)


@pytest.mark.parametrize(
    "changes",
    [
        {"decision_type": "10 4"},
        {"decision_type": "2 6"},
        {"threshold": "-0.0 1e-36"},
        {"threshold": "-1e-36 -9.9999999e-36"},
        {"threshold": "inf -Infinity"},
        {"threshold": "1e999 1e-999"},
        {"threshold": " 5.\t+.5e0 "},
        {"split_feature": "0.0 4e0"},
        {"split_feature": "+0 04", "left_child": "0000000001\t-1"},
        {"leaf_value": "01 -0 +1E+0", "decision_type": "0  2 "},
        {"leaf_value": "1e-310 2.5 0.1234567890123456789"},
        {"shrinkage": "x"},
        {"is_linear": None},
    ],
)
def test_hand_written_trees(tmp_path, native_library, changes):
    path = tmp_path / "model.txt"
    path.write_text(model_text(**changes))
    check_same(read_lightgbm_text(path), path, native_library)


def test_a_tree_of_one_leaf(tmp_path, native_library):
    path = tmp_path / "model.txt"
    path.write_text(model_text(num_leaves="1", leaf_value="7", threshold=None, left_child=None))
    check_same(read_lightgbm_text(path), path, native_library)


def test_a_line_ends_at_a_line_feed_alone(tmp_path, native_library):
    """Feature names may hold what Python's splitlines() takes for the end of a line."""
    path = tmp_path / "model.txt"
    for space in "\v\f\x1c\x85\u2028":
        text = model_text(f"{HEAD}feature_names=a{space}max_feature_idx=9{space}b\n")
        path.write_text(text, encoding="utf-8")
        assert read_lightgbm_text(path).n_features == 5
        check_same(read_lightgbm_text(path), path, native_library)


# ---- Damaged files ----


@pytest.fixture(params=["plain", "with fill", "forest", "forest with missing values"])
def small(request, tmp_path) -> Path:
    """A small model's file of each kind."""
    path = tmp_path / "model"
    student = random_student(np.random.default_rng(0), (3, 2, 1), **META)
    if request.param == "plain":
        student.save(path)
    elif request.param == "with fill":
        replace(student, fill=student.mean.astype(np.float32)).save(path)
    elif request.param == "forest":
        path.write_text(model_text())
    else:
        trained(0, num_leaves=3).save_model(path, num_iteration=1)
    return path


def test_a_file_cut_anywhere_is_refused(small, native_library):
    whole = small.read_bytes()
    end = whole.find(b"\nend of trees")
    # What follows the trees is not read.
    for cut in range(len(whole) if end < 0 else end + len("\nend of trees")):
        small.write_bytes(whole[:cut])
        sentence = refusal(small, native_library)
        # So many bytes tell the kind.
        if cut >= (9 if end < 0 else 5):
            assert "the file is cut short" in sentence
        else:
            assert sentence.startswith("the file is neither" if cut else "the file is empty")
    small.write_bytes(whole)
    assert not refusal(small, native_library)


def test_bytes_in_memory_make_the_same_scorer(small, native_library):
    native, content = binding._native(native_library), small.read_bytes()
    handle = native.distilrank_scorer_read(content, len(content), None, None, 0)
    with Scorer(small, library=native_library) as opened:
        assert native.distilrank_scorer_features(handle) == opened.n_features
        assert json.loads(native.distilrank_scorer_describe(handle)) == opened.describe()
    native.distilrank_scorer_destroy(handle)


def read_in_python(path: Path) -> Forest | Student | None:
    """The model as Python reads it; None where it refuses."""
    try:
        return read_lightgbm_text(path) if path.read_bytes()[:4] == b"tree" else Student.load(path)
    except ValueError:
        return None


def check_verdict(path: Path, library, strict: bool, read=read_in_python) -> None:
    """Both ways refuse, or give the same scores; where not strict, C may refuse more."""
    model, expected = read(path), None
    if model is not None:
        with suppress(ValueError):
            expected = Scorer(model, library=library)
    said = refusal(path, library)
    if said:
        assert not (strict and expected), said
        return
    assert expected is not None, path.read_bytes()
    with Scorer(path, library=library) as found:
        assert found.describe() == expected.describe()
        rows = rows_for(found.n_features)
        assert bits(found.score(rows)) == bits(expected.score(rows))


@given(data=st.data())
@IN_A_FOLDER
def test_one_byte_changed(small, native_library, data):
    whole = small.read_bytes()
    is_forest = whole.startswith(b"tree")
    end = len(whole) if is_forest else 8 + int.from_bytes(whole[:8], "little")
    # The library does not read the meta, which is for people.
    meta = range(whole.find(b'"meta"'), whole.find(b'"}, "bias0"')) if not is_forest else ()
    at = data.draw(st.integers(0, len(whole) - 1) | st.integers(0, end - 1))
    byte = data.draw(st.integers(0, 255) | st.sampled_from(list(b'0123456789F{}",[]=-.e \n')))
    if at in meta:
        return
    small.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    # 1_0 is a number to Python alone; C alone compares the architecture with the tensors.
    check_verdict(small, native_library, byte != ord("_") if is_forest else at >= end)
    small.write_bytes(whole)


@given(data=st.data())
@IN_A_FOLDER
def test_damaged_forests(tmp_path, native_library, data):
    path = tmp_path / "model.txt"
    text = data.draw(damaged_texts(model_text() + "\nparameters:\n[boosting: gbdt]\n"))
    path.write_text(text, encoding="utf-8")
    wide = "4294967297" in text or "99999999999999999999" in text
    check_verdict(path, native_library, strict="1_0" not in text and not wide)
