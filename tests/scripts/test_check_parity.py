"""The parity check on a small forest and networks, right and wrong."""

import numpy as np
import pytest
from tiny import random_student

from distilrank.engines.base import TOLERANCES
from distilrank.files import read_json
from distilrank.parity import check_error, kendall_tau, largest_error, references, spread_of
from distilrank.worker import WorkerError
from scripts import check_parity as script
from scripts.check_parity import check_parity

NETWORK_ENGINES = ["lightgbm", "numpy", "scipy-csr+numpy"]


@pytest.fixture
def student(tmp_path):
    made = random_student(
        np.random.default_rng(2), dataset="tiny", fold=1, teacher="lm", student="S", sparsity=0.0
    )
    path = tmp_path / "sp0.safetensors"
    made.save(path)
    return path


def test_a_network_passes_and_says_what_ran(student, fold, tmp_path):
    check_parity(
        student, fold.data["test"], NETWORK_ENGINES, tmp_path / "parity.json", batches=[1, 7]
    )
    content = read_json(tmp_path / "parity.json")
    assert content["model"]["student"] == "S" and content["documents"] == 240
    passed, skipped = content["engines"]
    assert passed["engine"] == "numpy" and passed["status"] == "passed"
    assert 0 <= passed["error"] <= passed["tolerance"] == TOLERANCES["fp32"]
    assert passed["kendall_tau"] > 0.999
    assert passed["describe"]["numpy"]
    # The forest engine has no line at all: it was never made for networks.
    assert skipped == {
        "engine": "scipy-csr+numpy", "status": "skipped", "reason": "first layer is dense",
    }  # fmt: skip


def test_a_forest_answers_to_lightgbm_and_lightgbm_to_our_reader(fold, tmp_path):
    engines = ["lightgbm", "ydf-quickscorer", "numpy"]
    check_parity(fold.model, fold.data["test"], engines, tmp_path / "p.json", batches=[1, 50])
    content = read_json(tmp_path / "p.json")
    lines = {line["engine"]: line for line in content["engines"]}
    assert set(lines) == {"lightgbm", "ydf-quickscorer"}
    assert "traversal" in lines["lightgbm"]["reference"]
    if lines["ydf-quickscorer"]["status"] == "passed":
        assert lines["ydf-quickscorer"]["reference"].startswith("LightGBM")
    assert content["model"] == {
        "kind": "forest", "dataset": "tiny", "fold": 1, "teacher": "lm", "trees": 15,
        "max_leaves": 6,
    }  # fmt: skip


def test_a_wrong_engine_fails_the_job_and_writes_nothing(student, fold, tmp_path, monkeypatch):
    def off_by_a_little(model, rows):
        ((name, scores),) = references(model, rows).values()
        wrong = scores.copy()
        wrong[-1] += 1e-3 * scores.std()
        return {"": (name, wrong)}

    monkeypatch.setattr(script, "references", off_by_a_little)
    with pytest.raises(ValueError, match=r"engine numpy is wrong.*tolerance is 1e-05"):
        check_parity(student, fold.data["test"], ["numpy"], tmp_path / "parity.json")
    assert not (tmp_path / "parity.json").exists()


def test_rows_of_another_width_are_named(fold, tmp_path):
    path = tmp_path / "wide.safetensors"
    random_student(np.random.default_rng(0), (9, 4, 1)).save(path)
    with pytest.raises((ValueError, WorkerError), match="expected"):
        check_parity(path, fold.data["test"], ["numpy"], tmp_path / "parity.json")


def test_errors_are_in_standard_deviations_of_the_reference():
    reference = np.array([0.0, 2.0, 4.0])
    scores = reference + np.array([0.0, 0.0, 0.5])
    spread = spread_of(reference)
    assert spread == np.sqrt(8 / 3)
    assert largest_error(scores, reference, spread) == 0.5 / np.sqrt(8 / 3)
    assert kendall_tau(scores, reference) == pytest.approx(1.0)
    assert kendall_tau(-scores, reference) == pytest.approx(-1.0)


def test_a_constant_reference_makes_absolute_errors():
    reference = np.full(4, 3.0)
    assert largest_error(reference + 0.25, reference, spread_of(reference)) == 0.25
    assert kendall_tau(reference, reference) is None


def test_scores_that_are_no_numbers_are_infinitely_wrong():
    reference = np.arange(3.0)
    error = largest_error(np.array([0.0, np.nan, 2.0]), reference, 1.0)
    assert error == float("inf")
    with pytest.raises(ValueError, match="up to inf"):
        check_error("numpy", "fp32", 20, error)
    with pytest.raises(ValueError, match="against"):
        largest_error(np.zeros(2), reference, 1.0)
