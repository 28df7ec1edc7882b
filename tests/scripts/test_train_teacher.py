"""scripts/train_teacher.py and scripts/score_documents.py: the teacher's folder."""

import lightgbm
import numpy as np

from distilrank.files import read_json
from distilrank.identity import model_identity
from distilrank.letor import SPLITS, Dataset
from distilrank.readers import read_forest
from distilrank.synthetic import Midpoints
from scripts.score_documents import score_documents
from scripts.train_teacher import train_teacher

SETTINGS = {"trees": 40, "leaves": 4, "learning_rate": 0.3, "min_data_in_leaf": 5,
            "early_stopping": 5}  # fmt: skip
IDENTITY = {"dataset": "tiny", "fold": 1, "teacher": "lm"}


def trained(fold, folder):
    model, record = folder / "model.txt", folder / "train.json"
    train_teacher(fold.data["train"], fold.data["vali"], SETTINGS, IDENTITY, model, record)
    return model, read_json(record)


def test_the_record_tells_of_the_forest_that_was_written(fold, tmp_path):
    folder = tmp_path / "tiny" / "fold1" / "lm"
    model, record = trained(fold, folder)
    forest = read_forest(model)
    assert record["model"] == model_identity(model, forest)
    assert record["model"]["trees"] == len(forest.trees) == int(np.argmax(record["vali"])) + 1
    assert record["settings"] == SETTINGS
    assert record["selected_by"] == "vali ndcg@10"
    assert len(record["vali"]) >= len(forest.trees)
    assert sorted(path.name for path in folder.iterdir()) == ["model.txt", "train.json"]


def test_the_same_settings_give_the_same_bytes(fold, tmp_path):
    models = [trained(fold, tmp_path / name)[0].read_bytes() for name in ("a", "b")]
    assert models[0] == models[1]


def test_every_split_is_scored_and_the_midpoints_are_trains(fold, tmp_path):
    outputs = {split: tmp_path / f"scores-{split}.npy" for split in SPLITS}
    score_documents(fold.model, fold.data, outputs, tmp_path / "midpoints.safetensors")
    booster = lightgbm.Booster(model_file=fold.model)
    for split, output in outputs.items():
        scores = np.load(output)
        features = np.array(Dataset.open(fold.data[split]).features)
        assert scores.dtype == np.float64
        assert scores.tolist() == booster.predict(features, raw_score=True).tolist()
    train = np.array(Dataset.open(fold.data["train"]).features)
    midpoints = Midpoints.load(tmp_path / "midpoints.safetensors")
    expected = Midpoints.of(read_forest(fold.model), train.min(axis=0), train.max(axis=0))
    assert midpoints.values.tolist() == expected.values.tolist()
    assert midpoints.offsets.tolist() == expected.offsets.tolist()
    by_feature = np.split(midpoints.values, midpoints.offsets[1:-1])
    for column, values in enumerate(by_feature):
        assert train[:, column].min() <= values.min() <= values.max() <= train[:, column].max()
    assert by_feature[3].tolist() == [7.0], "the constant feature"
