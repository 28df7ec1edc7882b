"""distilrank.imported: which column of a forest is which feature of the data, or a sentence."""

import json
from pathlib import Path

import foreign
import numpy as np
import pytest

from distilrank.imported import import_forest
from distilrank.readers import read_forest

NAMES = ["bm25", "url length", "clicks", "page rank", "age"]
SOURCE = foreign.FOLDER / "xgboost.json"
ROWS = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)


def named(tmp_path: Path, names: list[str]) -> Path:
    model = json.loads(SOURCE.read_text())
    model["learner"]["feature_names"] = names
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(model))
    return path


def meta(names: list[str] | None = None, features: int = 5, **more: object) -> list[dict]:
    found = {"features": features} | ({"feature_names": names} if names else {})
    return [found, found | more]


def sentence(path, *arguments, **named) -> str:
    with pytest.raises(ValueError) as raised:
        import_forest(path, *arguments, **named)
    return str(raised.value)


def test_another_order_of_the_same_names_is_put_right(tmp_path):
    order = [3, 0, 4, 1, 2]
    path = named(tmp_path, [NAMES[column].replace(" ", "_") for column in order])
    forest, told = import_forest(path, meta(NAMES))
    np.testing.assert_array_equal(forest.predict(ROWS), read_forest(path).predict(ROWS[:, order]))
    assert (told["matched_by"], told["reordered"]) == ("name", True)


def test_a_forest_on_some_of_the_datas_features_finds_them_by_name(tmp_path):
    forest, told = import_forest(named(tmp_path, NAMES), meta(["first", *NAMES, "last"], 7))
    wide = np.column_stack([ROWS[:, 0], ROWS, ROWS[:, 0]])
    assert forest.n_features == 7
    np.testing.assert_array_equal(forest.predict(wide), read_forest(SOURCE).predict(ROWS))
    assert (told["matched_by"], told["reordered"], told["features"]) == ("name", False, 5)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["f0", "f1", "f2", "f3", "f4"],
        ["Column_0", "Column_1", "Column_2", "Column_3", "Column_4"],
        ["1", "2", "3", "4", "5"],
        ["feature_1", "feature_2", "feature_3", "feature_4", "feature_5"],
    ],
)
def test_names_that_say_nothing_count_by_position(tmp_path, names):
    path = named(tmp_path, names)
    forest, told = import_forest(path, meta([*NAMES, "more"], 6))
    assert (told["matched_by"], told["reordered"], forest.n_features) == ("position", False, 6)
    wide = np.column_stack([ROWS, ROWS[:, 0]])
    np.testing.assert_array_equal(forest.predict(wide), read_forest(SOURCE).predict(ROWS))


def test_data_without_names_are_taken_by_position(tmp_path):
    assert import_forest(named(tmp_path, NAMES), meta())[1]["matched_by"] == "position"


def test_a_mismatch_of_names_is_refused_with_those_that_differ(tmp_path):
    path = named(tmp_path, ["bm25", "url_length", "klicks", "page_rank", "years"])
    assert sentence(path, meta(NAMES)) == (
        f"{path} has the features 'klicks', 'years', which the data set does not name; it has the "
        "features 'clicks', 'age' instead: name them alike, in the data set's feature_names or in "
        "the forest"
    )


def test_numbered_names_in_another_order_are_names(tmp_path):
    path = named(tmp_path, ["f1", "f0", "f2", "f3", "f4"])
    assert sentence(path, meta(NAMES)).startswith(
        f"{path} has the features 'f1', 'f0', 'f2' and 2 more, which the data set does not name"
    )


def test_two_of_a_name_are_refused(tmp_path):
    path = named(tmp_path, ["bm25", "bm25", "clicks", "page_rank", "age"])
    assert sentence(path, meta(NAMES)) == f"two features of {path} have the same name; rename one"
    data = meta(["bm25", "bm25", "clicks", "page_rank", "age"])
    told = "two features of the data set have the same name; rename one"
    assert sentence(named(tmp_path, NAMES), data) == told


def test_too_few_names_are_refused(tmp_path):
    path = named(tmp_path, NAMES[:4])
    told = f"{path} names 4 features and has 5; a name must hold no space"
    assert sentence(path, meta(NAMES)) == told


def test_more_features_than_the_data_are_refused():
    assert sentence(SOURCE, meta(features=4)) == (
        f"{SOURCE} has 5 features, expected up to the data set's 4; give the features that it was "
        "trained on"
    )


def shifted(tmp_path: Path) -> Path:
    """As trained on SVMlight text by a library whose columns count from 0: column 0 is empty."""
    model = json.loads(SOURCE.read_text())
    model["learner"]["learner_model_param"]["num_feature"] = "6"
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        tree["split_indices"] = [index + 1 for index in tree["split_indices"]]
    path = tmp_path / "shifted.json"
    path.write_text(json.dumps(model))
    return path


def test_an_empty_first_column_is_named_and_can_be_left_out(tmp_path):
    path = shifted(tmp_path)
    assert sentence(path, meta()) == (
        f"{path} has 6 features, expected up to the data set's 5; give the features that it was "
        "trained on or, as its column 0 is in no split, say first_column: 1 in its entry"
    )
    forest, _ = import_forest(path, meta(), first_column=1)
    np.testing.assert_array_equal(forest.predict(ROWS), read_forest(SOURCE).predict(ROWS))


def test_a_first_column_that_is_no_feature_must_be_in_no_split():
    assert sentence(SOURCE, meta(), first_column=1) == (
        f"{SOURCE} splits on its column 0, and first_column is 1: columns count from 0, and those "
        "before first_column are no features"
    )


def test_missing_values_that_would_go_another_way_are_refused():
    trees = read_forest(SOURCE).trees
    left = sum(int((tree.route == 5).sum()) for tree in trees)
    assert left > 0
    assert sentence(SOURCE, meta(missing={"value": 3.4e38, "count": 3})) == (
        f"{SOURCE} sends missing values (NaN) left in {left} splits, and the data set has missing "
        "values, which forests see here as the largest float32: they would go right; fill them in, "
        "or train the forest with the largest float32 in their place"
    )


def test_a_forest_without_a_split_is_refused(tmp_path):
    path = tmp_path / "model.xml"
    path.write_text(
        '<ensemble><tree weight="1"><split><output>1</output></split></tree></ensemble>'
    )
    told = f"{path} has no split, and such a forest scores all documents alike"
    assert sentence(path, meta()) == told
