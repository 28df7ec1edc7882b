"""distilrank.config on a person's own data sets: a few lines are enough, mistakes are named."""

import copy
from pathlib import Path
from typing import Any

import pytest
from config_slips import DEFAULT

from distilrank.config import check_config, folder_files
from distilrank.folds import entry_of_fold, folds_of, is_dealt, source_fold

ROOT = Path(__file__).parents[2]
TEXT = {
    "title": "Mine", "features": 3, "folder": "data/mine",
    "files": {"train": {"path": "train.txt.gz"}, "test": {"path": "test.txt"}},
}  # fmt: skip
TABLES = {
    "title": "Mine", "folder": "data/mine", "columns": {"label": "grade", "query": "id"},
    "files": {"train": {"path": "train.parquet"}, "test": {"path": "test.csv.zst"}},
}  # fmt: skip
ALL = TEXT | {"files": {"all": {"path": "all.txt"}}, "folds": [1, 2, 3]}


def checked(dataset: dict[str, Any]) -> None:
    config = copy.deepcopy(DEFAULT)
    config["datasets"]["mine"] = copy.deepcopy(dataset)
    config["run"]["datasets"] = ["mine"]
    check_config(config)


@pytest.mark.parametrize(
    "dataset",
    [
        TEXT, TABLES, ALL,
        *(each | {"folds": "cv12"} for each in (TEXT, TABLES, ALL)),
        TEXT | {"feature_names": ["a", "b", "c"]},
        TEXT | {"feature_names": "names.txt", "group_queries": True, "split_seed": 3},
        TABLES | {"columns": TABLES["columns"] | {"features": ["a"]}, "features": 1},
    ],
)  # fmt: skip
def test_what_a_person_writes(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / dataset["folder"]
    folder.mkdir(parents=True)
    for file in dataset["files"].values():
        (folder / file["path"]).touch()
    checked(dataset)


def test_a_data_set_has_one_fold_unless_it_says_more():
    assert folds_of(TEXT) == [1]
    assert folds_of(ALL) == folds_of(TEXT | {"folds": "cv3"}) == [1, 2, 3]
    assert folds_of(TEXT | {"folds": "cv12"}) == list(range(1, 13))
    assert [is_dealt(each) for each in (TEXT, ALL, TEXT | {"folds": "cv3"})] == [False, True, True]


def test_the_files_that_are_dealt_are_the_first_folds():
    files = {name: {"path": f"Fold{{fold}}/{name}.txt"} for name in ("train", "test")}
    published = TEXT | {"files": files, "folds": [1, 2, 3]}
    assert source_fold(published, 3) == 3 and source_fold(published | {"folds": "cv5"}, 3) == 1
    paths = [Path("data/mine/Fold1/train.txt"), Path("data/mine/Fold1/test.txt")]
    assert folder_files(published | {"folds": "cv5"}, "3") == paths
    assert [path.parent.name for path in folder_files(published, "3")] == ["Fold3", "Fold3"]


HERE = "config key 'datasets.mine'"


def without(dataset: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in dataset.items() if name != key}


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        (without(TEXT, "features"), f"{HERE} lacks the key 'features'"),
        (without(TABLES, "columns"), f"{HERE} has tables and lacks the key 'columns'"),
        (TEXT | {"columns": TABLES["columns"]}, f"{HERE} has the key 'columns', yet its files"),
        (TABLES | {"files": TABLES["files"] | {"test": {"path": "test.txt"}}},
         f"{HERE} mixes tables and LETOR text"),
        (TEXT | {"feature_names": ["a"]}, f"{HERE} has 1 feature_names and 3 features"),
        (TABLES | {"columns": {"label": "grade"}}, f"{HERE[:-1]}.columns' lacks the key 'query'"),
        (TABLES | {"columns": {"label": "grade", "qeury": "id"}},
         f"{HERE[:-1]}.columns' has the unknown key 'qeury': did you mean 'query'?"),
        (ALL | {"folds": [1, 2]}, f"{HERE[:-1]}.folds' is [1, 2]: files.all is dealt into folds"),
        (ALL | {"folds": [1, 3, 5]}, f"{HERE[:-1]}.folds' is [1, 3, 5]: files.all is dealt"),
        (without(ALL, "folds"), f"{HERE[:-1]}.folds' is [1]: files.all is dealt into folds"),
        (ALL | {"files": ALL["files"] | {"vali": {"path": "vali.txt"}}},
         f"{HERE} has files.all, which is dealt into all splits, beside vali"),
        (ALL | {"files": ALL["files"] | TEXT["files"]}, f"{HERE[:-1]}.files' is"),
        (TEXT | {"files": {"train": {"path": "train.txt"}}}, f"{HERE[:-1]}.files' is"),
        *(
            (TEXT | {"folds": folds}, f"{HERE[:-1]}.folds' is {folds!r}, expected: the folds")
            for folds in ("cv2", "cv", "5", "cv05", "cv5 ", "cv1000", 5, [0])
        ),
        (TEXT | {"group_queries": "yes"}, f"{HERE[:-1]}.group_queries' is 'yes', expected: true"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(dataset, sentence):
    with pytest.raises(ValueError) as raised:
        checked(dataset)
    assert str(raised.value).startswith(sentence)


def test_what_a_fold_is_read_by_leaves_out_other_folds_and_where_files_come_from():
    files = {"train": {"path": "Fold{fold}/train.txt", "sha256": {1: "aa", 2: "bb"}}}
    entry = {"title": "T", "features": 3, "files": files, "folds": [1, 2], "page": "p"}
    assert entry_of_fold(entry | {"archive": {"name": "a.zip"}}, "2") == {
        "title": "T",
        "features": 3,
        "files": {"train": {"path": "Fold{fold}/train.txt", "sha256": {2: "bb"}}},
    }
    assert entry_of_fold(entry | {"folds": [1, 2, 3]}, 1) == entry_of_fold(entry, 1)


def test_queries_that_are_dealt_are_read_by_the_number_of_folds():
    dealt = {"files": {"all": {"path": "a.txt", "sha256": {1: "aa"}}}, "folds": "cv3"}
    assert entry_of_fold(dealt, 2) == dealt
    assert entry_of_fold(dealt, 2) != entry_of_fold(dealt | {"folds": "cv4"}, 2)
