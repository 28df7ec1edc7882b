"""scripts/tune_teacher.py, what train_teacher makes of it, and scripts/cut_teacher.py."""

import json
import logging
import math

import lightgbm
import numpy as np
import pytest

from distilrank import tuning
from distilrank.files import read_json, write_json
from distilrank.identity import model_identity
from distilrank.letor import Dataset
from distilrank.readers import read_forest
from distilrank.teacher import TUNABLE
from distilrank.tuning import best_of, search_space
from scripts.cut_teacher import cut_teacher
from scripts.train_teacher import train_teacher
from scripts.tune_teacher import tune_teacher
from tests.tiny import names

SEARCHED = {
    "learning_rate": [0.05, 0.5],
    "min_data_in_leaf": [2, 60],
    "lambda_l2": [0.001, 10.0],
    "feature_fraction": [0.4, 1.0],
}
SETTINGS = {
    "trees": 12,
    "leaves": 4,
    "early_stopping": 4,
    "bagging_fraction": 0.8,
    # More than the sampler's ten random trials: it has to look back at some.
    "tune": {"trials": 13, "seed": 3, **SEARCHED},
}
IDENTITY = {"dataset": "tiny", "fold": 1, "teacher": "lm-tuned"}


def tuned(fold, folder, settings=SETTINGS):
    path = folder / "tuned.json"
    tune_teacher(fold.data["train"], fold.data["vali"], settings, path)
    return read_json(path)


def without_times(content):
    return [
        {name: value for name, value in trial.items() if name != "seconds"}
        for trial in content["trials"]
    ]


@pytest.fixture(scope="module")
def found(fold, tmp_path_factory):
    return tuned(fold, tmp_path_factory.mktemp("found"))


class Killed(Exception):
    """In place of a job's end in the midst of a trial."""


def cut_off(monkeypatch, after):
    """Have training a forest break off once ``after`` forests are trained; how many were."""
    trained, grow = [], tuning.grow

    def breaking(splits, settings):
        if len(trained) == after:
            raise Killed
        trained.append(settings)
        return grow(splits, settings)

    monkeypatch.setattr(tuning, "grow", breaking)
    return trained


def test_the_best_trial_on_vali_is_chosen(found):
    trials = found["trials"]
    assert len(trials) == 13
    best = max(trials, key=lambda trial: trial["vali"])
    assert found["vali"] == best["vali"]
    fixed = {name: value for name, value in SETTINGS.items() if name != "tune"}
    assert found["settings"] == fixed | best["settings"]
    assert found["tune"] == SETTINGS["tune"]
    assert len({trial["vali"] for trial in trials}) > 3, "the settings make a difference"


def test_of_equal_trials_the_first_is_the_best():
    assert best_of([{"vali": 0.4}, {"vali": 0.6}, {"vali": 0.6}]) == 1


def test_every_trial_keeps_to_the_ranges(found):
    for trial in found["trials"]:
        assert set(trial["settings"]) == set(SEARCHED)
        for name, value in trial["settings"].items():
            low, high = SEARCHED[name]
            assert low <= value <= high
        assert isinstance(trial["settings"]["min_data_in_leaf"], int)
        assert 1 <= trial["trees"] <= SETTINGS["trees"]
        assert trial["seconds"] > 0


def test_the_same_seed_gives_the_same_trials_and_another_one_others(fold, tmp_path, found):
    again = tuned(fold, tmp_path / "again")
    assert without_times(again) == without_times(found)
    other = SETTINGS | {"tune": SETTINGS["tune"] | {"seed": 4}}
    assert without_times(tuned(fold, tmp_path / "other", other)) != without_times(found)


def test_the_order_of_the_ranges_in_the_config_does_not_matter(fold, tmp_path, found):
    tune = dict(reversed(SETTINGS["tune"].items()))
    assert without_times(tuned(fold, tmp_path, SETTINGS | {"tune": tune})) == without_times(found)


@pytest.mark.parametrize("after", [1, 11])
def test_a_search_that_was_cut_off_goes_on_as_if_it_had_not_been(
    fold, tmp_path, monkeypatch, found, after
):
    """At 11 trials the sampler has begun to use what it was told, and its own random numbers."""
    with monkeypatch.context() as patched:
        cut_off(patched, after)
        with pytest.raises(Killed):
            tuned(fold, tmp_path)
    assert names(tmp_path) == ["unfinished-trials.json"]
    trained = cut_off(monkeypatch, math.inf)
    assert without_times(tuned(fold, tmp_path)) == without_times(found)
    assert len(trained) == 13 - after, "finished trials are not trained again"
    assert names(tmp_path) == ["tuned.json"]


@pytest.mark.parametrize("changed", ["settings", "data", "threads"])
def test_trials_of_another_search_are_not_gone_on_with(
    fold, tmp_path, monkeypatch, found, changed, caplog
):
    with monkeypatch.context() as patched:
        cut_off(patched, 2)
        with pytest.raises(Killed):
            tuned(fold, tmp_path)
    path = tmp_path / "unfinished-trials.json"
    content = read_json(path)
    content["of"][changed] = {"other": 1}
    write_json(path, content)
    trained = cut_off(monkeypatch, math.inf)
    with caplog.at_level(logging.INFO):
        assert without_times(tuned(fold, tmp_path)) == without_times(found)
    assert len(trained) == 13
    assert f"{path} is of other settings, data or versions: starting anew" in caplog.messages


def test_a_larger_budget_begins_with_the_same_trials(fold, tmp_path, found):
    longer = SETTINGS | {"tune": SETTINGS["tune"] | {"trials": 14}}
    assert without_times(tuned(fold, tmp_path, longer))[:13] == without_times(found)


def test_the_log_tells_each_trial_with_the_time_to_go(fold, tmp_path, caplog):
    settings = SETTINGS | {"tune": SETTINGS["tune"] | {"trials": 2}}
    with caplog.at_level(logging.INFO):
        tuned(fold, tmp_path, settings)
    told = [line for line in caplog.messages if line.startswith("trial ")]
    assert [line.split(":")[0] for line in told] == ["trial 1 of 2", "trial 2 of 2"]
    assert told[-1].endswith("about 0 s to go")


def test_the_search_knows_every_setting_and_no_other():
    ranges = {name: [1, 2] for name in TUNABLE} | {"feature_fraction": [0.5, 1]}
    space = search_space({"trials": 1, "seed": 0} | ranges)
    assert list(space) == list(TUNABLE)
    shares = {"feature_fraction", "bagging_fraction"}
    assert {name for name, each in space.items() if not each.log} == shares


def test_the_teacher_is_trained_as_the_best_trial_was(fold, tmp_path, found):
    write_json(tmp_path / "tuned.json", found)
    model, record = tmp_path / "model.txt", tmp_path / "train.json"
    train_teacher(
        fold.data["train"], fold.data["vali"], SETTINGS, IDENTITY, model, record,
        tmp_path / "tuned.json",
    )  # fmt: skip
    written = read_json(record)
    assert written["settings"] == found["settings"]
    assert written["tune"] == SETTINGS["tune"]
    # The same nDCG@10 to the last bit: the forest is the trial's.
    assert max(written["vali"]) == found["vali"]
    best = found["trials"][best_of(found["trials"])]
    assert written["model"]["trees"] == best["trees"] == len(read_forest(model).trees)
    assert "[bagging_freq: 1]" in model.read_text()


def labelled(fold, root, split, label):
    """The fold's split with one label for all its documents, in a folder of its own."""
    data = Dataset.open(fold.data[split])
    labels = np.full(data.n_documents, label, dtype=np.uint8)
    Dataset(np.array(data.features), labels, data.offsets, data.qids).save(root / split)
    return root / split


NOT_RELEVANT = (
    "all 240 documents of the vali split have the label 0: without a relevant document its "
    "nDCG@10 is the same for every forest and cannot choose one; give a vali file with labels "
    "above 0, or another vali_share or split_seed"
)


def test_a_vali_split_without_a_relevant_document_is_refused(fold, tmp_path):
    vali = labelled(fold, tmp_path, "vali", 0)
    with pytest.raises(ValueError) as tuning_error:
        tune_teacher(fold.data["train"], vali, SETTINGS, tmp_path / "tuned.json")
    settings = {"trees": 2, "leaves": 4, "learning_rate": 0.1}
    with pytest.raises(ValueError) as training_error:
        train_teacher(
            fold.data["train"], vali, settings, IDENTITY, tmp_path / "model.txt",
            tmp_path / "train.json",
        )  # fmt: skip
    assert str(tuning_error.value) == str(training_error.value) == NOT_RELEVANT
    assert names(tmp_path) == ["vali"]


def test_a_forest_of_a_single_leaf_is_refused(fold, tmp_path):
    settings = {"trees": 5, "leaves": 4, "learning_rate": 0.1, "min_data_in_leaf": 500}
    with pytest.raises(
        ValueError, match=r"^the forest is a single leaf: LightGBM found no split of"
    ):
        train_teacher(
            fold.data["train"], fold.data["vali"], settings, IDENTITY, tmp_path / "model.txt",
            tmp_path / "train.json",
        )  # fmt: skip
    assert names(tmp_path) == []


def test_labels_that_are_all_alike_give_a_single_leaf(fold, tmp_path):
    train = labelled(fold, tmp_path, "train", 2)
    settings = {"trees": 5, "leaves": 4, "learning_rate": 0.1}
    with pytest.raises(ValueError, match="different labels in one query"):
        train_teacher(
            train, fold.data["vali"], settings, IDENTITY, tmp_path / "model.txt",
            tmp_path / "train.json",
        )  # fmt: skip


@pytest.fixture(scope="module")
def whole(fold, tmp_path_factory):
    """A forest of ten trees, with its record."""
    folder = tmp_path_factory.mktemp("whole")
    settings = {"trees": 10, "leaves": 4, "learning_rate": 0.3, "min_data_in_leaf": 5}
    paths = folder / "model.txt", folder / "train.json"
    train_teacher(
        fold.data["train"], fold.data["vali"], settings, IDENTITY | {"teacher": "lm"}, *paths
    )
    return paths


def cut(whole, folder, trees):
    model, record = folder / "tiny" / "fold1" / "lm-cut" / "model.txt", folder / "train.json"
    identity = IDENTITY | {"teacher": "lm-cut"}
    cut_teacher(*whole, {"prefix_of": "lm", "trees": trees}, identity, model, record)
    return model, read_json(record)


@pytest.mark.parametrize("trees", [1, 7, 10])
def test_a_prefix_is_the_first_trees(splits, whole, tmp_path, trees):
    model, record = cut(whole, tmp_path, trees)
    forest = read_forest(model)
    assert record["model"] == model_identity(model, forest)
    assert record["model"]["trees"] == len(forest.trees) == trees
    assert (record["model"]["teacher"], record["prefix_of"]) == ("lm-cut", "lm")
    all_of_it = json.loads(whole[1].read_text())
    assert record["vali"] == all_of_it["vali"][:trees]
    assert record["settings"] == all_of_it["settings"]
    rows = splits["test"].features
    expected = lightgbm.Booster(model_file=whole[0]).predict(
        rows, raw_score=True, num_iteration=trees
    )
    found = lightgbm.Booster(model_file=model).predict(rows, raw_score=True)
    assert found.tolist() == expected.tolist()


def test_a_prefix_longer_than_the_forest_is_refused(whole, tmp_path):
    with pytest.raises(ValueError) as raised:
        cut(whole, tmp_path, 11)
    assert str(raised.value) == (
        f"{whole[0]} has 10 trees, expected at least 11, the first of which are to be a forest of "
        "their own; ask for fewer, or train it with a larger early_stopping or none"
    )
    assert names(tmp_path) == []
