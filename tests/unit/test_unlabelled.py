"""Data sets without labels: how they are read, what of a config they refuse, and what trains."""

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

from distilrank.config import check_config, check_unlabelled
from distilrank.distil import Lesson, Schedule, history_of, new_student, open_lesson, train
from distilrank.files import read_json
from distilrank.judge import OVERLAP, Judge
from distilrank.letor import SPLITS, Dataset
from distilrank.scaling import fit_zscore
from scripts import parse_letor

ROOT = Path(__file__).parents[2]
DEFAULT = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
LOGS = {
    "title": "Logs", "features": 2, "labels": False, "folder": ".",
    "files": {"train": {"path": "train.txt"}, "test": {"path": "test.txt"}},
}  # fmt: skip
TABLE = {
    "title": "Logs", "labels": False, "folder": ".", "columns": {"query": "id"},
    "files": {"train": {"path": "train.csv"}, "test": {"path": "test.csv"}},
}  # fmt: skip


def letor(queries: range, label: int, documents: int = 11) -> str:
    return "".join(
        f"{label} qid:{query} 1:{query} 2:{place}\n"
        for query in queries
        for place in range(documents)
    )


@pytest.fixture(scope="module")
def parse_fold(native_library):
    return partial(parse_letor.parse_fold, library=native_library)


def parsed(parse_fold, folder: Path, dataset: dict) -> dict[str, Dataset]:
    parse_fold(folder, dataset, "logs", 1, folder / "out")
    return {split: Dataset.open(folder / "out" / split) for split in SPLITS}


def refusal(parse_fold, folder: Path, dataset: dict) -> str:
    with pytest.raises(ValueError) as raised:
        parse_fold(folder, dataset, "logs", 1, folder / "out")
    assert not (folder / "out").exists()
    return str(raised.value)


@pytest.mark.parametrize("label", [0, 3])
@pytest.mark.parametrize("more", [{}, {"folds": "cv3"}, {"group_queries": True}])
def test_letor_text_without_labels_whatever_stands_there(parse_fold, tmp_path, label, more):
    (tmp_path / "train.txt").write_text(letor(range(1, 11), label))
    (tmp_path / "test.txt").write_text(letor(range(11, 15), label))
    splits = parsed(parse_fold, tmp_path, LOGS | more)
    assert sum(split.n_queries for split in splits.values()) == 14
    for name, split in splits.items():
        assert not split.labelled and not split.labels.any()
        assert "labels" not in read_json(tmp_path / "out" / name / "meta.json")
        assert split.features[:11, 1].tolist() == list(range(11))


@pytest.mark.parametrize("columns", [{"query": "id"}, {"query": "id", "label": "grade"}])
def test_a_table_needs_no_column_of_labels_and_one_that_is_named_is_left_out(
    parse_fold, tmp_path, columns
):
    """Not even numbers need to stand in it."""
    head, grade = ("id,grade,a,b", ",none") if "label" in columns else ("id,a,b", "")
    for name, queries in (("train", range(1, 6)), ("test", range(6, 8))):
        rows = [f"{query}{grade},{query},{place}" for query in queries for place in range(12)]
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *rows]) + "\n")
    splits = parsed(parse_fold, tmp_path, TABLE | {"columns": columns})
    for split in splits.values():
        assert split.meta["feature_names"] == ["a", "b"]
        assert not split.labelled and not split.labels.any()


def test_a_column_of_zeros_is_not_taken_for_labels(parse_fold, tmp_path):
    (tmp_path / "train.txt").write_text(letor(range(1, 11), 1))
    (tmp_path / "test.txt").write_text(letor(range(11, 15), 0))
    assert refusal(parse_fold, tmp_path, {**LOGS, "labels": True}) == (
        "test.txt: no document of test has a label above 0, so that every ranking of it is as "
        "good; if these are no labels, set labels: false in the data set's entry"
    )


def test_queries_that_are_too_short_to_be_judged_without_labels(parse_fold, tmp_path):
    (tmp_path / "train.txt").write_text(letor(range(1, 11), 0))
    (tmp_path / "test.txt").write_text(letor(range(11, 15), 0, documents=10))
    assert refusal(parse_fold, tmp_path, LOGS) == (
        "test.txt: the longest query of test has 10 documents; data without labels is judged by "
        "who is among the first 10, which takes longer queries"
    )


def config_of(**run) -> dict:
    """As it is when a forest of one's own is named; ``path`` is all that counts here."""
    config = copy.deepcopy(DEFAULT)
    config["datasets"]["logs"] = copy.deepcopy(LOGS)
    config["teachers"] |= {"mine": {"path": "model.txt"}, "mine-10": {"prefix_of": "mine"}}
    own = {"datasets": ["logs"], "teachers": ["mine"], "recipes": ["sample"]}
    config["run"] |= own | run
    return config


BECAUSE = "the data set 'logs' has no labels (labels: false)"
OWN = (
    f"is a forest to be trained, and {BECAUSE}: name a forest that you have, such as "
    "teachers: {mine: {path: model.txt}}, in run.teachers and run.forests"
)


def test_a_forest_of_ones_own_teaches_without_labels():
    check_unlabelled("logs", config_of())
    check_unlabelled("logs", config_of(forests=["mine-10"]))


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        ({"teachers": ["lm-small"]}, f"config key 'teachers.lm-small' {OWN}"),
        ({"teachers": ["lm-tuned"]}, f"config key 'teachers.lm-tuned' {OWN}"),
        ({"forests": ["lm-tuned-100"]}, f"config key 'teachers.lm-tuned' {OWN}"),
        (
            {"recipes": ["sample", "labels"]},
            f"config key 'recipes.labels.distil.learn_from' is labels, and {BECAUSE}: "
            "take 'labels' out of run.recipes",
        ),
    ],
)
def test_what_learns_from_labels_is_refused(run, sentence):
    with pytest.raises(ValueError) as raised:
        check_unlabelled("logs", config_of(**run))
    assert str(raised.value) == sentence


def test_designs_that_would_learn_from_labels_are_refused():
    config = config_of()
    config["design"]["learn_from"] = ["C"]
    with pytest.raises(ValueError) as raised:
        check_unlabelled("logs", config)
    assert str(raised.value) == (
        f"config key 'design.learn_from' is ['C'], which learns from nDCG@10, and {BECAUSE}: "
        "set it to []"
    )


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (LOGS, f"config key 'teachers.lm-large' {OWN}"),
        (
            TABLE | {"labels": True},
            "config key 'datasets.mine.columns' lacks the key 'label': the column of whole grades "
            "from 0, 0 = not relevant; or set labels: false in the data set's entry",
        ),
    ],
)
def test_the_whole_config_is_checked(entry, sentence):
    config = copy.deepcopy(DEFAULT)
    config["datasets"]["mine"] = copy.deepcopy(entry)
    config["run"]["datasets"] = ["mine"]
    with pytest.raises(ValueError) as raised:
        check_config(config)
    assert str(raised.value) == sentence.replace("'logs'", "'mine'")


def test_labels_cannot_be_generated_from_none():
    config = copy.deepcopy(DEFAULT)
    config["datasets"]["mslr-sample"]["labels"] = False
    config["run"]["datasets"] = ["mslr-generated"]
    with pytest.raises(ValueError, match=r"generate\.from' names unknown 'mslr-sample'"):
        check_config(config)


@pytest.fixture(scope="module")
def lesson(fold, native_library) -> Lesson:
    """The tiny one, its labels gone from vali."""
    torch.set_num_threads(1)
    whole = open_lesson(fold.data, fold.teacher, native_library)
    return replace(whole, vali=replace(whole.vali, meta=whole.vali.meta | {"labelled": False}))


def test_the_epoch_that_agrees_best_with_the_teacher_is_kept(lesson):
    mean, scale = fit_zscore(lesson.train.features)
    start = new_student((16, 8), mean, scale, 1, {"seed": 1})
    # A rate so high that the ranking goes up and down.
    student, history = train(start, lesson, Schedule(8, 40, 0.05), seed=1)
    assert tuple(history[0]) == history_of(OVERLAP)
    curve = [record["overlap_vali"] for record in history]
    assert min(curve) < max(curve) and curve[-1] != max(curve)
    judge = Judge(lesson.vali, lambda: lesson.teacher(lesson.vali.features))
    assert judge.mean(student.predict(lesson.vali.features)) == pytest.approx(max(curve), abs=0.01)
