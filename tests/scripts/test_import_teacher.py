"""The import script: a forest of another library becomes one of the project's, scored alike."""

import foreign
import numpy as np
import pytest
from tiny import FEATURES

from distilrank.files import read_json, write_json
from distilrank.letor import Dataset
from distilrank.lightgbm_text import read_lightgbm_text
from distilrank.readers import read_forest
from scripts.cut_teacher import cut_teacher
from scripts.import_teacher import import_teacher
from scripts.score_documents import score_documents

SOURCE = foreign.FOLDER / "xgboost.ubj"
IDENTITY = {"dataset": "toy", "fold": 1, "teacher": "mine"}


@pytest.fixture
def imported(tmp_path, fold):
    metas = [folder / "meta.json" for folder in fold.data.values()]
    outputs = (tmp_path / "model.txt", tmp_path / "train.json")
    import_teacher(SOURCE, metas, {"path": str(SOURCE)}, IDENTITY, *outputs)
    return outputs


def test_the_record_is_in_the_form_of_a_trained_forests(imported):
    model, record = imported
    forest, told = read_lightgbm_text(model), read_json(record)
    assert forest.n_features == FEATURES > foreign.FEATURES
    shape = {"kind": "forest", "trees": 4, "max_leaves": forest.max_leaves}
    assert told["model"] == IDENTITY | shape
    assert told["vali"] == []
    assert told["imported"].pop("sha256")
    assert told["imported"] == {
        "file": "xgboost.ubj", "format": "XGBoost UBJSON", "features": 5,
        "matched_by": "position", "reordered": False,
    }  # fmt: skip


def test_what_comes_after_scores_it_as_its_library_does(tmp_path, imported, fold):
    scores = {name: tmp_path / f"scores-{name}.npy" for name in fold.data}
    midpoints = tmp_path / "midpoints.safetensors"
    score_documents(imported[0], fold.data, scores, midpoints)
    rows = np.asarray(Dataset.open(fold.data["test"]).features)
    expected = read_forest(SOURCE).predict(rows[:, : foreign.FEATURES])
    np.testing.assert_array_equal(np.load(scores["test"]), expected)
    assert midpoints.exists()


def test_its_first_trees_can_be_cut(tmp_path, imported):
    cut = (tmp_path / "cut.txt", tmp_path / "cut.json")
    cut_teacher(*imported, {"prefix_of": "mine", "trees": 2}, IDENTITY | {"teacher": "two"}, *cut)
    assert len(read_lightgbm_text(cut[0]).trees) == read_json(cut[1])["model"]["trees"] == 2


def test_nothing_is_written_of_a_forest_that_does_not_fit(tmp_path):
    meta = tmp_path / "meta.json"
    write_json(meta, {"features": 4})
    model, record = tmp_path / "model.txt", tmp_path / "train.json"
    with pytest.raises(ValueError, match="has 5 features, expected up to the data set's 4"):
        import_teacher(SOURCE, [meta], {}, IDENTITY, model, record)
    assert not model.exists() and not record.exists()
