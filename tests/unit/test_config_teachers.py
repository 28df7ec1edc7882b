"""distilrank.teacher_entries: what is wrong with a forest is named in one sentence."""

import copy
from pathlib import Path

import foreign
import pytest
import yaml
from config_slips import DEFAULT, FOLDER, sentence_of

from distilrank.config import check_config
from distilrank.teacher import TUNABLE
from distilrank.teacher_entries import check_reference_forest, forests_of, kind_of_teacher

PAPER = yaml.safe_load((FOLDER / "paper.yaml").read_text())
SCHEMA = yaml.safe_load((FOLDER / "schema.yaml").read_text())
TUNED = {
    "trees": 100,
    "leaves": 64,
    "tune": {"trials": 20, "learning_rate": [0.02, 0.2], "min_data_in_leaf": [5, 200]},
}


def with_teachers(**teachers):
    """The default config with these entries added, all of them selected."""
    config = copy.deepcopy(DEFAULT)
    config["teachers"] |= copy.deepcopy(teachers)
    config["run"] |= {"teachers": list(teachers)}
    return config


def tuned(key, value):
    return TUNED | {"tune": TUNED["tune"] | {key: value}}


def test_tuned_forests_and_their_prefixes_are_valid():
    prefix = {"prefix_of": "mine", "trees": 100}
    check_config(with_teachers(mine=TUNED | {"early_stopping": 5, "lambda_l2": 1}, short=prefix))


def test_every_setting_may_be_fixed_or_searched():
    entry = SCHEMA["properties"]["teachers"]["additionalProperties"]["properties"]
    assert set(TUNABLE) <= set(entry)
    assert set(entry["tune"]["properties"]) == {"trials", "seed", *TUNABLE}
    high = {"feature_fraction": 1, "bagging_fraction": 1}
    fixed = {name: high.get(name, 2) for name in TUNABLE}
    check_config(with_teachers(mine={"trees": 10, "leaves": 8} | fixed))
    ranges = {name: [0.5, 1] if name in high else [1, 20] for name in TUNABLE}
    check_config(with_teachers(mine={"trees": 10, "leaves": 8, "tune": {"trials": 1} | ranges}))


CASES = [
    # the teacher, and the whole sentence
    (
        tuned("learning_rate", [0.2, 0.02]),
        "config key 'teachers.mine.tune.learning_rate' is [0.2, 0.02], expected the lowest value "
        "before the highest; one that is not searched stands above: learning_rate: 0.02",
    ),
    (
        tuned("min_data_in_leaf", [20, 20]),
        "config key 'teachers.mine.tune.min_data_in_leaf' is [20, 20], expected the lowest value "
        "before the highest; one that is not searched stands above: min_data_in_leaf: 20",
    ),
    (
        TUNED | {"learning_rate": 0.1},
        "config key 'teachers.mine' has learning_rate fixed at 0.1 and searched in [0.02, 0.2]; "
        "drop one of the two",
    ),
    (
        TUNED | {"learning_rate": 0.1, "tune": {"trials": 3, "seed": 1}},
        "config key 'teachers.mine.tune' searches nothing: give at least one range, such as "
        "learning_rate: [0.02, 0.2]",
    ),
    (
        TUNED | {"tune": {"trials": 3, "lambda_l2": [0.1, 1]}},
        "config key 'teachers.mine' lacks the key 'learning_rate': the shrinkage above 0, or a "
        "range of it in tune",
    ),
    (
        TUNED | {"prefix_of": "lm-large"},
        "config key 'teachers.mine' has prefix_of and leaves, tune: a prefix is cut from a "
        "finished forest, so that trees is all that may stand beside prefix_of",
    ),
    (
        {"prefix_of": "lm-878x64", "trees": 879},
        "config key 'teachers.mine.trees' is 879, expected up to 878, the most that 'lm-878x64' "
        "has, of which it is the first",
    ),
    (
        {"prefix_of": "lm-878x64-tuned-500", "trees": 2},
        "config key 'teachers.mine.prefix_of' is 'lm-878x64-tuned-500', which is a prefix itself; "
        "name 'lm-878x64-tuned', which that one is cut from",
    ),
    (
        {"prefix_of": "mine", "trees": 2},
        "config key 'teachers.mine.prefix_of' is 'mine', which is a prefix itself; name 'mine', "
        "which that one is cut from",
    ),
]


@pytest.mark.parametrize(("teacher", "sentence"), CASES)
def test_a_slip_is_named_in_one_sentence(teacher, sentence):
    assert sentence_of(with_teachers(mine=teacher)) == sentence


STARTS = [
    (
        {"prefix_of": "lm-larg", "trees": 2},
        "config key 'teachers.mine.prefix_of' names unknown 'lm-larg': did you mean 'lm-large'? "
        "known are lm-300x256-tuned, ",
    ),
    (
        {"prefix_of": "lm-large"},
        "config key 'teachers.mine' lacks the key 'trees': the most trees from 1",
    ),
    (
        tuned("learningrate", [0.1, 0.2]),
        "config key 'teachers.mine.tune' has the unknown key 'learningrate': did you mean "
        "'learning_rate'? known are bagging_fraction, ",
    ),
    (
        tuned("learning_rate", 0.1),
        "config key 'teachers.mine.tune.learning_rate' is 0.1, expected: the lowest and the "
        "highest value above 0",
    ),
    (
        tuned("learning_rate", [0, 0.1]),
        "config key 'teachers.mine.tune.learning_rate.0' is wrong: 0 is less than or equal to",
    ),
    (
        tuned("min_data_in_leaf", [1.5, 20]),
        "config key 'teachers.mine.tune.min_data_in_leaf.0' is 1.5, expected: ",
    ),
    (
        tuned("feature_fraction", [0.5, 2]),
        "config key 'teachers.mine.tune.feature_fraction.1' is wrong: 2 is greater than",
    ),
    (
        tuned("learning_rate", [0.1]),
        "config key 'teachers.mine.tune.learning_rate' is wrong: [0.1] is too short",
    ),
    (
        TUNED | {"tune": {"learning_rate": [0.02, 0.2]}},
        "config key 'teachers.mine.tune' lacks the key 'trials': the budget as a whole number",
    ),
    (
        tuned("trials", 0),
        "config key 'teachers.mine.tune.trials' is wrong: 0 is less than the minimum of 1",
    ),
]


@pytest.mark.parametrize(("teacher", "start"), STARTS)
def test_a_key_or_value_that_cannot_be_is_named(teacher, start):
    assert sentence_of(with_teachers(mine=teacher)).startswith(start)


def test_a_prefix_of_a_forest_that_is_wrong_is_refused():
    """Nobody selected that one, yet it would have to be trained."""
    config = with_teachers(mine={"prefix_of": "whole", "trees": 2})
    config["teachers"]["whole"] = {"trees": 10, "leaves": 8}
    assert "'teachers.whole' lacks the key 'learning_rate'" in sentence_of(config)


def test_forests_that_teach_nobody_are_checked_too():
    config = copy.deepcopy(DEFAULT)
    config["run"]["forests"] = ["lm-tund"]
    start = "config key 'run.forests' names unknown 'lm-tund': did you mean 'lm-tuned'?"
    assert sentence_of(config).startswith(start)


def test_a_runs_forests_are_its_teachers_and_then_the_others_each_once():
    run = {"teachers": ["b", "a"], "forests": ["c", "a"]}
    assert forests_of({"run": run}) == ["b", "a", "c"]


def test_the_paper_compares_with_forests_that_are_as_good_as_they_can_be():
    """The first of each number of leaves is tuned; smaller ones are tuned or its prefixes."""
    known, run = DEFAULT["teachers"], PAPER["run"]
    forests = {name: known[name] for name in forests_of({"run": run})}
    assert {kind_of_teacher(each) for each in forests.values()} == {"tuned", "prefix"}
    for each in forests.values():
        assert each.get("prefix_of", run["teachers"][0]) in run["teachers"]
    sizes = {
        kind: {
            (each["trees"], known[each.get("prefix_of", name)]["leaves"])
            for name, each in forests.items()
            if kind_of_teacher(each) == kind and name not in run["teachers"]
        }
        for kind in ("tuned", "prefix")
    }
    assert sizes["tuned"] == sizes["prefix"] == {(500, 64), (300, 64), (300, 256)}
    budgets = {each["tune"]["trials"] for each in forests.values() if "tune" in each}
    assert budgets == {20}, "no forest is tuned in more trials than another"


def test_a_forest_of_ones_own_needs_a_path_alone(tmp_path, monkeypatch):
    file = tmp_path / "model.json"
    file.touch()
    check_config(with_teachers(mine={"path": str(file)}, short={"prefix_of": "mine", "trees": 9}))
    check_config(with_teachers(mine={"path": str(file), "first_column": 1}))
    monkeypatch.setenv("HOME", str(tmp_path))
    check_config(with_teachers(mine={"path": "~/model.json"}))
    assert kind_of_teacher({"path": "x"}) == "imported"


@pytest.mark.parametrize(
    ("teacher", "sentence"),
    [
        (
            {"path": "model.json", "trees": 5, "leaves": 8},
            "config key 'teachers.mine' has path and leaves, trees: a forest of your own is taken "
            "as it is, so that first_column is all that may stand beside path",
        ),
        (
            {"path": "nowhere/model.json"},
            "config key 'teachers.mine.path' needs nowhere/model.json, which is not there: "
            f"relative paths start at {Path.cwd()}",
        ),
        (
            {"trees": 5, "leaves": 8, "learning_rate": 0.1, "first_column": 1},
            "config key 'teachers.mine' has first_column, which is for forests of your own, with "
            "path",
        ),
        (
            {"leaves": 8, "learning_rate": 0.1},
            "config key 'teachers.mine' lacks the key 'trees': the most trees from 1, or of a "
            "prefix their number; a forest of your own has path in its place",
        ),
    ],
)
def test_a_slip_about_a_forest_of_ones_own(teacher, sentence):
    assert sentence_of(with_teachers(mine=teacher)) == sentence


OWN = {"path": str(foreign.FOLDER / "xgboost.json")}
REFERENCE = (
    "config key 'timing.reference_engine' is 'ydf-quickscorer', which cannot score the forest "
    "'{}', the first of run.teachers: {}; set it to native-forest, which scores any forest and "
    "must be in run.engines"
)


@pytest.mark.parametrize(
    ("teachers", "reason"),
    [
        ({"mine": OWN}, "the forest routes missing values, which ydf-quickscorer does not"),
        (
            {"short": {"prefix_of": "mine", "trees": 1}, "mine": OWN},
            "the forest routes missing values, which ydf-quickscorer does not",
        ),
        (
            {"wide": {"trees": 9, "leaves": 65, "learning_rate": 0.1}},
            "a tree has 65 leaves and ydf-quickscorer takes up to 64",
        ),
        ({"first": {"trees": 9, "leaves": 64, "learning_rate": 0.1}, "mine": OWN}, None),
    ],
)
def test_the_first_forest_can_be_scored_by_the_reference_engine(teachers, reason):
    config = with_teachers(**teachers)
    check_config(config)
    config["timing"]["reference_engine"] = "native-forest"
    check_reference_forest(config)
    config["timing"]["reference_engine"] = "ydf-quickscorer"
    if reason is None:
        check_reference_forest(config)
        return
    with pytest.raises(ValueError) as raised:
        check_reference_forest(config)
    assert str(raised.value) == REFERENCE.format(next(iter(teachers)), reason)


def test_no_forest_is_read_where_any_will_do(tmp_path):
    """A plan must not take as long as reading one does; the job says what is wrong with it."""
    file = tmp_path / "model.txt"
    file.write_text("no forest")
    config = with_teachers(mine={"path": str(file)})
    config["timing"]["reference_engine"] = "native-forest"
    check_reference_forest(config)
    config["timing"]["reference_engine"] = "ydf-quickscorer"
    with pytest.raises(ValueError, match=f"{file} is no forest"):
        check_reference_forest(config)
