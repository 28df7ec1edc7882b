"""distilrank.readers against each library's own scores: committed ones, and live where it is."""

import importlib.util
import json

import foreign
import numpy as np
import pytest

from distilrank.forest import DEFAULT_LEFT, NAN_IS_MISSING
from distilrank.readers import read_forest, read_with_format
from distilrank.readers.fields import below

# float32 sums of a few trees, in standard deviations of the score; another leaf is off by 1e-2.
TOLERANCE = 2e-6
# Each is a foreign library, of which the live test says when it is not there.
FORMATS = {".txt": "LightGBM text", ".ubj": "XGBoost UBJSON", ".onnx": "ONNX"}
LIBRARIES = {"lightgbm": "LightGBM JSON", "xgboost": "XGBoost JSON", "catboost": "CatBoost JSON"}


def check_scores(forest, rows, scores):
    assert np.abs(forest.predict(rows) - scores).max() <= TOLERANCE * np.std(scores)
    assert np.unique(scores).size >= 8


@pytest.mark.parametrize("name", foreign.COMMITTED)
def test_scores_equal_those_that_the_library_gave(name):
    maker = foreign.MAKERS[name]
    forest, kind = read_with_format(foreign.FOLDER / maker.file)
    told = json.loads((foreign.FOLDER / f"{name}.expected.json").read_text())
    rows = np.array(told["rows"], np.float32)  # null becomes NaN
    assert kind == FORMATS.get((foreign.FOLDER / maker.file).suffix, LIBRARIES.get(maker.module))
    assert (len(forest.trees), forest.n_features) == (4, foreign.FEATURES)
    assert np.isnan(rows).any() == maker.nan
    check_scores(forest, rows, np.array(told["scores"]))


@pytest.mark.parametrize("name", foreign.MAKERS)
def test_scores_equal_the_librarys_own(tmp_path, name):
    """On every threshold, its neighbours, 0, giants and NaN."""
    maker = foreign.MAKERS[name]
    for module in {maker.module, maker.module.replace("skl2onnx", "sklearn")}:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; tests/foreign.py says which version")
    for seed in range(3):
        generator = np.random.default_rng(seed)
        file = tmp_path / maker.file
        score = maker.make(file, generator, maker.nan, **maker.settings)
        forest = read_forest(file)
        rows = foreign.probes(generator, forest.thresholds(), maker.nan)
        check_scores(forest, rows, score(rows))


def test_a_number_below_another_is_compared_in_float32():
    """The float32 before: x < t and x <= below(t) are the same for every float32."""
    thresholds = np.float32([0.1, 1, -1, 0, -0.0, 1e-38, 3.4028235e38, -3.4028235e38])
    limits = below(thresholds.astype(np.float64))
    for threshold, limit in zip(thresholds, limits, strict=True):
        with np.errstate(over="ignore"):
            around = [np.nextafter(threshold, np.float32(end)) for end in (-np.inf, np.inf)]
        for x in (threshold, *around):
            if np.isfinite(x):
                assert (x < threshold) == (float(x) <= limit)


def test_values_within_1e_35_of_0_count_as_0_as_in_lightgbm(tmp_path):
    """XGBoost tells -1e-36 from 0 in a split `x < 0`; the project's form of forests cannot."""
    model = json.loads((foreign.FOLDER / "xgboost.json").read_text())
    trees = model["learner"]["gradient_booster"]["model"]["trees"]
    trees[0]["split_conditions"][0] = 0.0
    path = tmp_path / "model.json"
    path.write_text(json.dumps(model))
    column, rows = trees[0]["split_indices"][0], np.zeros((4, foreign.FEATURES), np.float32)
    rows[:, column] = [0, -1e-36, 1e-36, -1.1e-35]
    tree = read_forest(path).trees[0]
    root = tree._goes_left(rows[:, column], np.zeros(4, np.int64))
    assert root.tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("file", "left", "right"),
    [("catboost.json", True, False), ("catboost-nan-max.json", True, True)],
)
def test_nan_goes_as_each_feature_of_catboost_says(file, left, right):
    """Its column 1 has NaN in training, sent below or above all; in the others NaN is not above."""
    for tree in read_forest(foreign.FOLDER / file).trees:
        assert (tree.route & NAN_IS_MISSING > 0).all()
        went_left = tree.route & DEFAULT_LEFT > 0
        assert went_left[tree.feature != 1].all()
        assert (went_left[tree.feature == 1] == (file == "catboost.json")).all()


def test_the_base_score_is_in_the_first_trees_leaves(tmp_path):
    model = json.loads((foreign.FOLDER / "xgboost.json").read_text())
    path = tmp_path / "model.json"

    def values(base_score):
        model["learner"]["learner_model_param"]["base_score"] = base_score
        path.write_text(json.dumps(model))
        return [tree.value for tree in read_forest(path).trees]

    without, plain, listed = values("0"), values("5E-1"), values("[5E-1]")
    for found in (plain, listed):
        np.testing.assert_array_equal(found[0], without[0] + 0.5)
        np.testing.assert_array_equal(found[1:], without[1:])


def test_names_are_read(tmp_path):
    model = json.loads((foreign.FOLDER / "catboost.json").read_text())
    path = tmp_path / "model.json"
    for at, each in enumerate(model["features_info"]["float_features"]):
        each["feature_id"] = f"name {at}"
    path.write_text(json.dumps(model))
    assert read_forest(path).names == tuple(f"name {at}" for at in range(5))
    assert read_forest(foreign.FOLDER / "catboost.json").names == ()
