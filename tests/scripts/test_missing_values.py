"""Missing values from a split on disk to every score: Istella has them in all of its splits."""

import numpy as np
import pytest
from tiny import FEATURES, make_splits

from distilrank.distil import Schedule
from distilrank.engines import engine_names
from distilrank.files import read_json
from distilrank.letor import MISSING, Dataset
from distilrank.readers import read_forest
from distilrank.student import Student
from distilrank.synthetic import Midpoints
from scripts.check_parity import check_parity
from scripts.distil_student import distil_student
from scripts.evaluate_ranking import evaluate_ranking
from scripts.prune_student import prune_student
from scripts.score_documents import score_documents
from scripts.train_teacher import train_teacher

IDENTITY = {"dataset": "holey", "fold": 1, "teacher": "lm", "student": "S", "recipe": "quick",
            "seed": 3}  # fmt: skip
TEACHER = {"trees": 15, "leaves": 6, "learning_rate": 0.2, "min_data_in_leaf": 5}
SCHEDULE = Schedule(epochs=3, batch=80, learning_rate=0.01)
SPLITS = ("train", "vali", "test")
# By column: relevance hangs on it being there at all; now and then; never there.
TELLING, SOMETIMES, NEVER = 2, 1, 5


def holey(split: Dataset) -> Dataset:
    """The split with missing values; labels of 3 and 4 have none in `TELLING`."""
    features = split.features.copy()
    features[split.labels < 3, TELLING] = MISSING
    features[::4, SOMETIMES] = MISSING
    features[:, NEVER] = MISSING
    return Dataset(features, split.labels, split.offsets, split.qids, split.meta)


@pytest.fixture(scope="module")
def made(found_library, tmp_path_factory):
    """Everything from splits to pruned students, made by the scripts; its folder."""
    root = tmp_path_factory.mktemp("holey")
    folders = {name: root / name for name in SPLITS}
    for name, split in make_splits().items():
        holey(split).save(folders[name])
    teacher = {
        "model": root / "model.txt",
        "targets": root / "scores-train.npy",
        "midpoints": root / "midpoints.safetensors",
    }
    identity = {key: IDENTITY[key] for key in ("dataset", "fold", "teacher")}
    train_teacher(
        folders["train"], folders["vali"], TEACHER, identity, teacher["model"], root / "train.json"
    )
    scores = {name: root / f"scores-{name}.npy" for name in SPLITS}
    score_documents(teacher["model"], folders, scores, teacher["midpoints"])
    learnt = {name: folders[name] for name in ("train", "vali")}
    dense = root / "sp0.safetensors"
    distil_student(learnt, teacher, [12, 6], SCHEDULE, IDENTITY, dense, root / "sp0.csv")
    prune_student(
        dense, learnt, teacher, [1], 0.5, SCHEDULE, root / "sp500.safetensors", root / "sp500.csv"
    )
    return root


def test_a_split_says_what_is_missing(made):
    for name in SPLITS:
        split = Dataset.open(made / name)
        count = int((np.array(split.features) == MISSING).sum())
        assert split.meta["missing"] == {"value": float(MISSING), "count": count}
        assert count > len(split.labels)


def test_the_teacher_sees_them_and_no_synthetic_document_has_them(made):
    features = np.array(Dataset.open(made / "train").features)
    thresholds = read_forest(made / "model.txt").thresholds()
    assert thresholds[TELLING].max() > 1e37, "the forest asks whether the value is there"
    midpoints = Midpoints.load(made / "midpoints.safetensors")
    for column, values in enumerate(np.split(midpoints.values, midpoints.offsets[1:-1])):
        present = features[:, column][features[:, column] != MISSING]
        low, high = (present.min(), present.max()) if len(present) else (0, 0)
        assert low <= values.min() and values.max() <= high, column


@pytest.mark.parametrize("model", ["sp0.safetensors", "sp500.safetensors"])
def test_a_student_takes_the_mean_for_them(made, model):
    student = Student.load(made / model)
    train = np.array(Dataset.open(made / "train").features).astype(np.float64)
    present = np.where(train == MISSING, np.nan, train)
    known = np.arange(FEATURES) != NEVER
    means = np.zeros(FEATURES)
    means[known] = np.nanmean(present[:, known], axis=0)
    np.testing.assert_allclose(student.fill, means, rtol=1e-6, atol=1e-7)
    rows = np.array(Dataset.open(made / "test").features)
    scores = student.predict(rows)
    assert np.isfinite(scores).all() and scores.std() > 0
    filled = np.where(rows == MISSING, student.fill, rows)
    assert scores.tolist() == student.predict(filled).tolist()


@pytest.mark.parametrize("model", ["model.txt", "sp0.safetensors", "sp500.safetensors"])
def test_every_engine_that_runs_here_agrees(made, model, tmp_path):
    check_parity(made / model, made / "test", engine_names(), tmp_path / "p.json", batches=[7, 256])
    engines = read_json(tmp_path / "p.json")["engines"]
    passed = [line for line in engines if line["status"] == "passed"]
    assert passed
    if model != "model.txt":
        assert all("missing" in line["describe"] for line in passed)


def test_rankings_are_evaluated(made, tmp_path):
    folders = {name: made / name for name in ("vali", "test")}
    stored = {name: made / f"scores-{name}.npy" for name in folders}
    assert all(np.isfinite(np.load(path)).all() for path in stored.values())
    evaluate_ranking(made / "model.txt", folders, tmp_path / "teacher.json", scores=stored)
    evaluate_ranking(
        made / "sp500.safetensors", folders, tmp_path / "student.json", permutations=10,
        teacher=tmp_path / "teacher.json",
    )  # fmt: skip
    for name in ("teacher", "student"):
        for split in read_json(tmp_path / f"{name}.json")["splits"].values():
            assert 0 < split["metrics"]["ndcg@10"]["mean"] <= 1


def test_a_part_of_a_split_counts_its_own(made, tmp_path):
    """``meta`` is handed on from the whole split: its count must not be."""
    split = Dataset.open(made / "train")
    split.save_queries(np.array([0, 2]), tmp_path / "two")
    part = Dataset.open(tmp_path / "two")
    assert part.meta["missing"]["count"] == int((np.array(part.features) == MISSING).sum())
    filled = np.where(split.features == MISSING, np.float32(0), split.features)
    Dataset(filled, split.labels, split.offsets, split.qids, split.meta).save(tmp_path / "none")
    assert not Dataset.open(tmp_path / "none").has_missing
