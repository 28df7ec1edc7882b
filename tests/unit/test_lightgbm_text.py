"""distilrank.lightgbm_text against LightGBM itself, and against damaged files."""

import re

import lightgbm
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilrank.forest import Forest
from distilrank.lightgbm_text import read_lightgbm_text

FEATURES = 5
HEAD = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=4\n"
BLOCK = {
    "num_leaves": "3",
    "num_cat": "0",
    "split_feature": "0 4",
    "threshold": "0.5 -2.25",
    "decision_type": "0 2",
    "left_child": "1 -1",
    "right_child": "-2 -3",
    "leaf_value": "1 2 4",
    "is_linear": "0",
}


def model_text(head: str = HEAD, end: str = "\nend of trees\n", **changes: str | None) -> str:
    """A forest of one tree with three leaves; a change to None takes a line away."""
    fields = BLOCK | changes
    lines = "\n".join(f"{key}={value}" for key, value in fields.items() if value is not None)
    return f"{head}\nTree=0\n{lines}\n{end}"


def read(tmp_path, text: str) -> Forest:
    path = tmp_path / "model.txt"
    path.write_text(text, encoding="utf-8")
    return read_lightgbm_text(path)


def trained(seed: int, **parameters: object) -> tuple[lightgbm.Booster, np.ndarray]:
    """A forest on random data, half of it few distinct values, and its rows."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(300, FEATURES)).astype(np.float32)
    rows[:, ::2] = np.round(rows[:, ::2], 1)
    rows[:, 1] *= np.float32(1e30)
    rows[:, 2] *= np.float32(1e-30)
    target = np.sin(3 * rows[:, 0]) + np.sign(rows[:, 1]) + rows[:, 4]
    settings = {
        "objective": "regression", "num_leaves": 12, "min_data_in_leaf": 1, "verbose": -1,
        "num_threads": 1, "use_missing": False, "seed": seed,
    } | parameters  # fmt: skip
    return lightgbm.train(settings, lightgbm.Dataset(rows, target), 8), rows


@given(seed=st.integers(0, 2**31 - 1), leaves=st.integers(2, 40))
@settings(max_examples=15, deadline=None)
def test_scores_equal_lightgbm(tmp_path_factory, seed, leaves):
    booster, rows = trained(seed, num_leaves=leaves)
    path = tmp_path_factory.mktemp("model") / "model.txt"
    booster.save_model(path)
    forest = read_lightgbm_text(path)
    assert (len(forest.trees), forest.n_features, forest.source) == (8, FEATURES, path)
    # Every threshold itself is scored too: a row that equals a threshold goes left.
    edges = np.zeros((0, FEATURES), dtype=np.float64)
    for feature, thresholds in enumerate(forest.thresholds()):
        edge = np.zeros((len(thresholds), FEATURES))
        edge[:, feature] = thresholds
        edges = np.concatenate([edges, edge])
    # LightGBM reads a value of at most 1e-35 as 0, and splits zeros from the rest at -1e-35.
    edges = edges[(np.abs(edges) > 1.1e-35).any(axis=1)]
    for documents in (rows, edges):
        expected = booster.predict(documents, raw_score=True)
        # Eight float64 sums of values near 1: they differ by a few 1e-16 if added in another way.
        np.testing.assert_allclose(forest.predict(documents), expected, rtol=0, atol=1e-13)


def test_values_that_lightgbm_takes_for_zero(tmp_path):
    """LightGBM splits beside 0 at +-1e-35 and scores whatever lies between as 0."""
    column = np.repeat([-2.0, 0.0, 3.0], 40)
    rows = column[:, None].astype(np.float32)
    parameters = {"num_leaves": 3, "min_data_in_leaf": 1, "verbose": -1, "use_missing": False}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, column), 1)
    booster.save_model(tmp_path / "model.txt")
    forest = read_lightgbm_text(tmp_path / "model.txt")
    zero = np.float32(1e-35)
    beside = [zero, np.nextafter(zero, np.float32(1)), np.float32(1e-40)]
    near = np.array([0, *beside, *np.negative(beside)], dtype=np.float32)[:, None]
    np.testing.assert_array_equal(forest.predict(near), booster.predict(near))
    assert len(set(forest.predict(near))) == 3  # below, at and above zero all occur


def test_the_hand_written_tree(tmp_path):
    """Node 0 asks x0 <= 0.5, node 1 on its left asks x4 <= -2.25."""
    forest = read(tmp_path, model_text())
    rows = np.array([[0.5, 0, 0, 0, -2.25], [0.5, 0, 0, 0, 0], [1, 0, 0, 0, -9]])
    assert forest.predict(rows).tolist() == [1.0, 4.0, 2.0]


def test_a_constant_tree(tmp_path):
    nodes = dict.fromkeys(("split_feature", "threshold", "decision_type"), "")
    text = model_text(num_leaves="1", leaf_value="7", left_child="", right_child="", **nodes)
    assert read(tmp_path, text).predict(np.zeros((2, 5))).tolist() == [7.0, 7.0]


def test_line_ends_of_another_system(tmp_path):
    path = tmp_path / "model.txt"
    path.write_bytes(model_text().replace("\n", "\r\n").encode())
    assert read_lightgbm_text(path).max_leaves == 3


def test_a_file_cut_anywhere_before_its_end_is_refused(tmp_path, teacher_booster):
    text = teacher_booster.model_to_string()
    end = text.index("\nend of trees") + len("\nend of trees")
    cuts = np.unique(np.linspace(0, end - 1, 150).astype(int))
    for cut in cuts:
        with pytest.raises(ValueError, match=re.escape(str(tmp_path / "model.txt"))):
            read(tmp_path, text[:cut])
    assert len(read(tmp_path, text[:end]).trees) == teacher_booster.num_trees()


def test_only_the_trees_before_the_end_count(tmp_path):
    assert len(read(tmp_path, model_text() + model_text()).trees) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not a LightGBM model text: its first line is not 'tree'"),
        ("\x89PNG\n" + model_text(), "is not a LightGBM model text: its first line is not 'tree'"),
        (model_text(end=""), "is cut short: 'end of trees' is missing"),
        (HEAD + "\nend of trees\n", "holds no tree"),
    ],
)
def test_files_that_hold_no_forest(tmp_path, text, sentence):
    with pytest.raises(ValueError) as raised:
        read(tmp_path, text)
    assert str(raised.value) == f"{tmp_path / 'model.txt'} {sentence}"


@pytest.mark.parametrize(
    "index",
    [
        "max_feature_idx=x",
        "max_feature_idx=1.5",
        "",
        "max_feature_idx=-1",
        f"max_feature_idx={'9' * 5000}",
    ],
)
def test_a_header_without_a_feature_count(tmp_path, index):
    with pytest.raises(ValueError) as raised:
        read(tmp_path, model_text(HEAD.replace("max_feature_idx=4", index)))
    path = tmp_path / "model.txt"
    assert str(raised.value).startswith(f"{path}: the header gives no whole number max_feature_idx")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_leaves": None}, "num_leaves is missing"),
        ({"num_leaves": "0"}, "num_leaves is 0, expected at least 1"),
        ({"num_leaves": "2.5"}, "num_leaves holds 2.5, expected whole numbers"),
        ({"num_leaves": "4"}, "leaf_value has 3 values, expected 4"),
        ({"leaf_value": None}, "leaf_value is missing"),
        ({"leaf_value": "1 2 x"}, "leaf_value holds something that is no number"),
        ({"leaf_value": "1 2 inf"}, "a threshold or leaf value is not a number"),
        ({"threshold": "0.5 nan"}, "a threshold or leaf value is not a number"),
        ({"threshold": "0.5"}, "threshold has 1 values, expected 2"),
        ({"split_feature": "0 5"}, "a split uses a feature outside 0..4"),
        ({"split_feature": "0 -1"}, "a split uses a feature outside 0..4"),
        ({"split_feature": "0 3.5"}, "split_feature holds 3.5, expected whole numbers"),
        ({"split_feature": "0 4294967297"}, "split_feature holds 4294967297"),
        ({"decision_type": "0 nan"}, "decision_type holds nan, expected whole numbers"),
        ({"decision_type": "0 1"}, "categorical splits are not supported; train on numbers only"),
        ({"decision_type": "0 12"}, "decision_type has an unknown kind of missing value"),
        ({"decision_type": "-2 0"}, "decision_type has an unknown kind of missing value"),
        ({"is_linear": "1"}, "linear leaves are not supported; train with linear_tree=false"),
        ({"left_child": "1 -2"}, "its children do not form one tree"),
        ({"left_child": "0 -1"}, "its children do not form one tree"),
        ({"left_child": "1 7"}, "its children do not form one tree"),
        ({"left_child": "-1 1"}, "a child stands before its parent"),
    ],
)
def test_a_wrong_tree_is_named(tmp_path, changes, sentence):
    with pytest.raises(ValueError) as raised:
        read(tmp_path, model_text(**changes))
    assert str(raised.value).startswith(f"{tmp_path / 'model.txt'}, tree 0: {sentence}")


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"linear_tree": True}, "tree 0: linear leaves are not supported"),
        (
            {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
            "the forest averages its trees",
        ),
        ({"objective": "multiclass", "num_class": 3}, "scores 3 classes, expected 1"),
    ],
)
def test_forests_that_are_no_plain_sum_are_refused(tmp_path, parameters, sentence):
    """LightGBM writes them in the same format; summed up, they would score wrongly."""
    generator = np.random.default_rng(1)
    rows, target = generator.normal(size=(200, 3)), generator.integers(0, 3, 200)
    settings = {"objective": "regression", "num_leaves": 4, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings | parameters, lightgbm.Dataset(rows, target), 3)
    with pytest.raises(ValueError, match=sentence):
        read(tmp_path, booster.model_to_string())


def test_categorical_splits_of_lightgbm_are_refused(tmp_path):
    generator = np.random.default_rng(1)
    rows = generator.integers(0, 5, (200, 1)).astype(float)
    data = lightgbm.Dataset(rows, (rows[:, 0] % 2), categorical_feature=[0])
    settings = {"num_leaves": 4, "verbose": -1, "num_threads": 1, "min_data_per_group": 1}
    with pytest.raises(ValueError, match="tree 0: categorical splits are not supported"):
        read(tmp_path, lightgbm.train(settings, data, 2).model_to_string())


GARBAGE = st.sampled_from(
    ["nan", "inf", "-inf", "-1", "0", "3", "1e999", "1.5", "", "x", "é", "\x00", "\n", "=", "Tree=",
     "99999999999999999999", "4294967297", "-2147483649", "end of trees", "0x1", "1_0"]
)  # fmt: skip


@st.composite
def damaged_texts(draw, whole: str) -> str:
    lines = whole.split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "token", "key", "cut"])):
            case "drop":
                lines[at : at + 1] = []
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "token":
                tokens = re.split(r"([ =])", lines[at])
                tokens[draw(st.integers(0, len(tokens) - 1))] = draw(GARBAGE)
                lines[at] = "".join(tokens)
            case "key":
                lines[at] = lines[at].partition("=")[2]
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
        lines = lines or [""]
    return "\n".join(lines)


@pytest.mark.filterwarnings("error")
@given(data=st.data())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_scores_or_is_refused(tmp_path, data):
    """Nothing but ValueError may escape, and whatever is read must score without a mishap."""
    text = data.draw(damaged_texts(model_text() + "\nparameters:\n[boosting: gbdt]\n"))
    try:
        forest = read(tmp_path, text)
    except ValueError as error:
        assert str(tmp_path / "model.txt") in str(error)
        return
    if forest.n_features > 1000:  # a damaged count that only ever makes `rows` too wide
        return
    rows = np.random.default_rng(0).normal(size=(10, forest.n_features))
    assert np.isfinite(forest.predict(rows)).all()
    assert len(forest.thresholds()) == forest.n_features
