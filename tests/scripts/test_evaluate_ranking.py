"""scripts/evaluate_ranking.py: quality files, of a forest and of a student against it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from tiny import random_student

from distilrank.files import read_json
from distilrank.letor import Dataset
from distilrank.metrics import METRICS, conventions, per_query
from scripts import evaluate_ranking as module
from scripts.evaluate_ranking import evaluate_ranking

PERMUTATIONS = 2000


def evaluated(fold):
    return {name: fold.data[name] for name in ("vali", "test")}


@pytest.fixture(scope="module")
def forest_file(fold, tmp_path_factory):
    output = tmp_path_factory.mktemp("quality") / "teacher.json"
    scores = {name: fold.scores[name] for name in ("vali", "test")}
    evaluate_ranking(fold.model, evaluated(fold), output, scores=scores)
    return output


@pytest.fixture(scope="module")
def student_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("students") / "sp0.safetensors"
    random_student(np.random.default_rng(1), kind="network", seed=1).save(path)
    return path


def student_quality(fold, student_path, tmp_path, **options):
    output = tmp_path / "sp0.json"
    evaluate_ranking(student_path, evaluated(fold), output, permutations=PERMUTATIONS, **options)
    return read_json(output)


def check_metrics(quality, splits, scores):
    """Every value again from its definition's module, in the order of the qids."""
    for name, found in quality["splits"].items():
        split = splits[name]
        assert found["qids"] == split.qids.tolist()
        assert set(found["metrics"]) == set(METRICS)
        for metric, values in found["metrics"].items():
            expected = per_query(
                metric, scores[name], split.labels, split.offsets,
                quality["conventions"]["no_relevant"],
            )  # fmt: skip
            shown = [math.nan if value is None else value for value in values["per_query"]]
            np.testing.assert_array_equal(shown, expected)
            assert values["mean"] == pytest.approx(np.nanmean(expected), rel=1e-12)


def test_a_forests_file(fold, forest_file, splits, teacher_booster):
    quality = read_json(forest_file)
    assert quality["model"]["kind"] == "forest"
    assert quality["model"]["teacher"] == "lm"
    assert quality["model"]["trees"] == teacher_booster.num_trees()
    assert quality["conventions"] == conventions(1.0)
    assert "against_teacher" not in quality
    assert set(quality["splits"]) == {"vali", "test"}
    scores = {
        name: teacher_booster.predict(splits[name].features, raw_score=True)
        for name in ("vali", "test")
    }
    check_metrics(quality, splits, scores)


def test_a_students_file(fold, forest_file, student_path, splits, tmp_path):
    quality = student_quality(fold, student_path, tmp_path, teacher=forest_file)
    student = random_student(np.random.default_rng(1))
    assert quality["model"]["architecture"] == student.architecture
    assert quality["model"]["seed"] == 1
    scores = {name: student.predict(splits[name].features) for name in ("vali", "test")}
    check_metrics(quality, splits, scores)
    teacher = read_json(forest_file)
    for name, against in quality["against_teacher"].items():
        ours, theirs = (
            each["splits"][name]["metrics"]["ndcg@10"]["mean"] for each in (quality, teacher)
        )
        assert against["metric"] == "ndcg@10"
        assert against["difference"] == pytest.approx(ours - theirs, abs=1e-12)
        assert against["difference"] < -0.1, "random weights rank worse than the teacher"
        low, high = against["interval"]
        assert low < against["difference"] < high < 0
        assert 0 < against["p_value"] < 0.05
        assert against["permutations"] == PERMUTATIONS
        assert against["queries"] == splits[name].n_queries
    assert set(quality["against_teacher"]) == {"vali", "test"}


def test_without_a_teacher_there_is_no_comparison(fold, student_path, tmp_path):
    assert "against_teacher" not in student_quality(fold, student_path, tmp_path)


def test_a_split_is_scored_in_blocks_as_in_one_piece(fold, student_path, tmp_path, monkeypatch):
    whole = student_quality(fold, student_path, tmp_path)
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert student_quality(fold, student_path, tmp_path)["splits"] == whole["splits"]


@pytest.mark.parametrize("no_relevant", [0.0, None])
def test_a_query_without_a_relevant_document_follows_the_convention(
    fold, forest_file, student_path, splits, tmp_path, no_relevant
):
    teacher = tmp_path / "teacher.json"
    scores = {name: fold.scores[name] for name in ("vali", "test")}
    evaluate_ranking(fold.model, evaluated(fold), teacher, no_relevant=no_relevant, scores=scores)
    quality = student_quality(
        fold, student_path, tmp_path, no_relevant=no_relevant, teacher=teacher
    )
    assert quality["conventions"] == conventions(no_relevant)
    test = quality["splits"]["test"]["metrics"]["ndcg@10"]
    assert test["per_query"][-1] == no_relevant, "the last query has no relevant document"
    counted = splits["test"].n_queries - (no_relevant is None)
    assert quality["against_teacher"]["test"]["queries"] == counted
    assert test["mean"] == pytest.approx(sum(test["per_query"][:-1]) / counted)


def test_a_split_without_any_relevant_document_is_refused(fold, student_path, splits, tmp_path):
    empty = replace(splits["test"], labels=np.zeros_like(splits["test"].labels))
    empty.save(tmp_path / "test")
    with pytest.raises(ValueError) as raised:
        evaluate_ranking(
            student_path, {"test": tmp_path / "test"}, tmp_path / "q.json", no_relevant=None
        )
    assert str(raised.value) == "no query of tiny.txt has a relevant document"
    assert not (tmp_path / "q.json").exists()


def test_a_teacher_of_other_queries_is_refused(fold, forest_file, student_path, splits, tmp_path):
    """Paired by place: with other queries the pairs would mean nothing."""
    moved = replace(splits["test"], qids=splits["test"].qids[::-1].copy())
    moved.save(tmp_path / "test")
    assert Dataset.open(tmp_path / "test").n_queries == splits["test"].n_queries
    with pytest.raises(ValueError) as raised:
        evaluate_ranking(
            student_path, {"test": tmp_path / "test"}, tmp_path / "q.json", teacher=forest_file
        )
    assert str(raised.value) == (
        f"{forest_file} has other queries in its test split; evaluate the teacher again"
    )


def test_scores_of_another_split_are_refused(fold, tmp_path):
    np.save(tmp_path / "scores.npy", np.zeros(7))
    with pytest.raises(ValueError, match=r"\(7,\) scores, \(240,\) labels, 240 documents"):
        evaluate_ranking(
            fold.model, {"test": fold.data["test"]}, tmp_path / "q.json",
            scores={"test": tmp_path / "scores.npy"},
        )  # fmt: skip
