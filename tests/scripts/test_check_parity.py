"""The parity check on a small forest and networks, right and wrong."""

import numpy as np
import pytest
from tiny import random_student

from distilrank.engines.base import TOLERANCES
from distilrank.files import read_json
from distilrank.kendall import kendall_tau, mean_kendall_tau
from distilrank.letor import Dataset
from distilrank.metrics import per_query
from distilrank.parity import (
    References,
    check_errors,
    errors,
    quality_loss,
    spread_of,
)
from distilrank.quantise import predict_int8
from distilrank.significance import compare
from distilrank.student import Student
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
    class OffByALittle(References):
        def of(self, engine):
            name, scores = super().of(engine)
            wrong = scores.copy()
            wrong[-1] += 1e-3 * scores.std()
            return name, wrong

    monkeypatch.setattr(script, "References", OffByALittle)
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
    assert errors(scores, reference, spread) == (0.5 / np.sqrt(8 / 3), 0.5 / 3 / np.sqrt(8 / 3))
    assert kendall_tau(scores, reference) == pytest.approx(1.0)
    assert kendall_tau(-scores, reference) == pytest.approx(-1.0)


def test_a_constant_reference_makes_absolute_errors():
    reference = np.full(4, 3.0)
    assert errors(reference + 0.25, reference, spread_of(reference)) == (0.25, 0.25)
    assert kendall_tau(reference, reference) is None


def test_scores_that_are_no_numbers_are_infinitely_wrong():
    reference = np.arange(3.0)
    largest, mean = errors(np.array([0.0, np.nan, 2.0]), reference, 1.0)
    assert largest == mean == float("inf")
    with pytest.raises(ValueError, match="up to inf"):
        check_errors("numpy", "fp32", 20, largest, mean)
    with pytest.raises(ValueError, match="against"):
        errors(np.zeros(2), reference, 1.0)


class Engine:
    """As much of an engine as its reference depends on."""

    def __init__(self, precision):
        self.name, self.precision = "some", precision


def test_int8_answers_to_its_own_scheme(student, splits):
    loaded, rows = Student.load(student), splits["test"].features
    references = References(loaded, rows)
    what, scores = references.of(Engine("int8"))
    assert what == "int8 in NumPy"
    assert scores.tolist() == predict_int8(loaded, rows).tolist()
    assert references.of(Engine("bf16"))[1].tolist() == loaded.predict(rows).tolist()
    assert references.exact.tolist() == loaded.predict(rows).tolist()


def test_int8_is_gated_by_the_mean_error_too(student, splits):
    """Scores of float64 are within the largest error's tolerance, and yet another scheme's."""
    assert check_errors("native-int8", "int8", 256, 4e-2, 9e-4) == TOLERANCES["int8"] == 5e-2
    with pytest.raises(ValueError, match=r"up to 0.06 standard deviations, the tolerance is 0.05"):
        check_errors("native-int8", "int8", 256, 6e-2, 9e-4)
    with pytest.raises(ValueError, match=r"on average 0.002 standard .* tolerance is 0.001"):
        check_errors("native-int8", "int8", 256, 4e-2, 2e-3)
    assert check_errors("numpy", "fp32", 256, 1e-5, 1e-5) == 1e-5
    loaded, rows = Student.load(student), splits["test"].features
    reference = predict_int8(loaded, rows)
    largest, mean = errors(loaded.predict(rows), reference, spread_of(reference))
    with pytest.raises(ValueError, match="on average"):
        check_errors("native-int8", "int8", 256, min(largest, 0.05), mean)


def test_bf16_rounds_and_does_not_cut():
    """Mean errors of 20 distilled networks of 270 to 8,700 weights: the largest, the smallest."""
    rounded, cut = 0.0069, 0.0157
    assert check_errors("engine", "bf16", 1, 0.03, rounded) == TOLERANCES["bf16"]
    with pytest.raises(ValueError, match=r"on average 0.0157 .* the tolerance is 0.01"):
        check_errors("engine", "bf16", 1, 0.03, cut)


def test_tau_is_taken_within_each_query_that_has_one():
    """Three queries: in order, reversed, and one document alone, which has no order."""
    offsets = np.array([0, 3, 5, 6])
    exact = np.arange(6.0)
    scores = np.array([0.0, 1.0, 2.0, 9.0, 8.0, 5.0])
    assert mean_kendall_tau(scores, exact, offsets) == (1 - 1) / 2
    assert mean_kendall_tau(exact, exact, offsets) == pytest.approx(1.0)
    assert mean_kendall_tau(np.zeros(6), exact, offsets) is None


@pytest.mark.parametrize("no_relevant", [1.0, None])
def test_the_loss_of_quality_is_that_of_the_evaluation(splits, no_relevant):
    split = splits["test"]
    generator = np.random.default_rng(4)
    exact = split.labels + generator.normal(size=split.n_documents)
    scores = exact + 0.3 * generator.normal(size=split.n_documents)
    found = quality_loss(scores, exact, split, no_relevant, 500)
    ours, theirs = (
        per_query("ndcg@10", each, split.labels, split.offsets, no_relevant)
        for each in (scores, exact)
    )
    test = compare(ours, theirs, np.random.default_rng(0), 500)
    assert found["difference"] == pytest.approx(found["engine"] - found["exact"])
    assert (found["difference"], found["p_value"]) == (test.difference, test.p_value)
    assert found["queries"] == (12 if no_relevant else 11), "one query has no relevant document"
    assert found["engine"] == np.nanmean(ours)
    assert found["largest_error"] == np.abs(scores - exact).max() / exact.std()
    assert found["mean_error"] == np.abs(scores - exact).mean() / exact.std()
    assert 0.5 < found["kendall_tau"] < 1 and 0.5 < found["kendall_tau_overall"] < 1
    same = quality_loss(exact, exact, split, no_relevant, 500)
    assert (same["difference"], same["p_value"], same["mean_error"]) == (0, 1, 0)


def test_only_engines_that_are_not_exact_have_a_loss(student, fold, tmp_path, monkeypatch):
    make = script.make_engine

    def as_if_coarse(name):
        engine = make(name)
        engine.exact = name != "torch"
        return engine

    monkeypatch.setattr(script, "make_engine", as_if_coarse)
    check_parity(
        student, fold.data["test"], ["numpy", "torch"], tmp_path / "p.json", permutations=99
    )
    lines = {line["engine"]: line for line in read_json(tmp_path / "p.json")["engines"]}
    assert "quality" not in lines["numpy"]
    quality = lines["torch"]["quality"]
    assert quality["queries"] == Dataset.open(fold.data["test"]).n_queries
    assert (quality["difference"], quality["permutations"]) == (0, 99)
    assert quality["kendall_tau"] > 0.999 and quality["largest_error"] < TOLERANCES["fp32"]
