"""distilrank.splits: queries are drawn, dealt and grouped, and no document is lost."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilrank.letor import SPLITS, Dataset, SplitWriter
from distilrank.splits import Source, deal_fold, draw_vali, group_queries, shared_queries


def write(folder, qids, **meta):
    """A split whose documents know their place in the file: feature 1 the query's, 2 their own."""
    qids = np.asarray(qids, dtype=np.int64)
    with SplitWriter(folder, 2) as writer:
        writer.meta = meta
        features = np.column_stack([qids, np.arange(len(qids))]).astype(np.float32)
        writer.add(features, (qids % 3).astype(np.uint8), qids)
    return folder


def documents(*folders):
    return sorted(row for folder in folders for row in Dataset.open(folder).features[:, 1].tolist())


@settings(max_examples=40, deadline=None)
@given(qids=st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_grouping_keeps_every_document_and_the_order_within_a_query(tmp_path_factory, qids):
    folder = tmp_path_factory.mktemp("group")
    group_queries(write(folder / "came", qids, file="f"), folder / "grouped")
    found = Dataset.open(folder / "grouped")
    assert found.qids.tolist() == list(dict.fromkeys(qids)), "in the order of first appearance"
    expected = [
        place for qid in dict.fromkeys(qids) for place, one in enumerate(qids) if one == qid
    ]
    assert found.features[:, 1].tolist() == expected
    assert found.features[:, 0].tolist() == [qids[place] for place in expected]
    assert found.meta["file"] == "f" and found.meta["queries"] == len(set(qids))


def test_grouping_more_documents_than_are_gathered_at_once(tmp_path):
    qids = np.random.default_rng(0).integers(0, 500, 30_000)
    group_queries(write(tmp_path / "came", qids), tmp_path / "grouped")
    found = Dataset.open(tmp_path / "grouped")
    order = np.argsort(qids, kind="stable")
    for query, qid in enumerate(found.qids):
        rows = found.features[found.offsets[query] : found.offsets[query + 1], 1]
        assert rows.tolist() == order[qids[order] == qid].tolist()


def test_each_query_is_tested_and_validated_on_once(tmp_path):
    qids = np.repeat(np.arange(23), np.random.default_rng(1).integers(1, 6, 23))
    whole = write(tmp_path / "all", qids)
    tested, validated = [], []
    for fold in range(1, 6):
        deal_fold(whole, tmp_path / str(fold), fold, 5, seed=3)
        opened = {split: Dataset.open(tmp_path / str(fold) / split) for split in SPLITS}
        assert documents(*(tmp_path / str(fold) / split for split in SPLITS)) == list(
            range(len(qids))
        )
        assert shared_queries(tmp_path / str(fold)) == {}
        assert opened["test"].n_queries in (23 // 5, 23 // 5 + 1)
        assert [opened[split].meta["split"] for split in SPLITS] == list(SPLITS)
        tested += opened["test"].qids.tolist()
        validated += opened["vali"].qids.tolist()
    assert sorted(tested) == sorted(validated) == list(range(23))
    deal_fold(whole, tmp_path / "again", 1, 5, seed=3)
    deal_fold(whole, tmp_path / "other", 1, 5, seed=4)
    first = Dataset.open(tmp_path / "1" / "test").qids.tolist()
    assert Dataset.open(tmp_path / "again" / "test").qids.tolist() == first
    assert Dataset.open(tmp_path / "other" / "test").qids.tolist() != first


def test_the_part_before_validates(tmp_path):
    """LETOR's rotation: what one fold tests on, the next one validates on, round and round."""
    whole = write(tmp_path / "all", np.arange(9))
    for fold in (1, 2, 3):
        deal_fold(whole, tmp_path / str(fold), fold, 3, seed=0)
    for fold, before in ((1, 3), (2, 1), (3, 2)):
        vali = Dataset.open(tmp_path / str(fold) / "vali").qids.tolist()
        assert vali == Dataset.open(tmp_path / str(before) / "test").qids.tolist()


def test_fewer_queries_than_folds(tmp_path):
    with pytest.raises(ValueError, match="2 queries cannot be dealt into 3 folds"):
        deal_fold(write(tmp_path / "all", [1, 1, 2]), tmp_path / "out", 1, 3, seed=0)


def test_a_drawn_vali_leaves_no_document_behind(tmp_path):
    qids = np.repeat(np.arange(10), 4)
    draw_vali(write(tmp_path / "whole", qids), tmp_path, 0.3, seed=2)
    assert documents(tmp_path / "train", tmp_path / "vali") == list(range(40))
    assert Dataset.open(tmp_path / "vali").n_queries == round(0.3 * 10)


def test_shared_queries_are_counted(tmp_path):
    for split, qids in zip(SPLITS, ([1, 2, 3], [3, 4], [2, 3]), strict=True):
        write(tmp_path / split, qids)
    assert shared_queries(tmp_path) == {
        "train and vali": 1, "train and test": 2, "vali and test": 1
    }  # fmt: skip


CSV = "grade,query,a,b\n1,1,0,5\n0,2,1,6\n2,1,2,7\n"
TABLE = {
    "title": "T", "files": {"train": {"path": "t.csv"}},
    "columns": {"label": "grade", "query": "query"},
}  # fmt: skip


def test_a_tables_columns_name_the_features(tmp_path):
    (tmp_path / "t.csv").write_text(CSV)
    source = Source(tmp_path, TABLE | {"group_queries": True}, 1)
    source.write(["train"], tmp_path / "out", {"x": 1})
    found = Dataset.open(tmp_path / "out")
    assert found.meta["feature_names"] == ["a", "b"] and found.meta["x"] == 1
    assert found.qids.tolist() == [1, 2] and found.features[:, 0].tolist() == [0, 2, 1]


def test_a_query_that_comes_back_in_a_table(tmp_path):
    (tmp_path / "t.csv").write_text(CSV)
    with pytest.raises(ValueError) as raised:
        Source(tmp_path, TABLE, 1).write(["train"], tmp_path / "out", {})
    assert str(raised.value).startswith("t.csv, document 3: query 1 comes back after")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("more", "names", "sentence"),
    [
        ({"features": 3}, (), "t.csv has columns for 2 features, expected 3 as the config says"),
        ({"features": 2}, ["only one"], "feature_names names 1 features, expected 2"),
    ],
)
def test_a_wrong_number_of_features(tmp_path, more, names, sentence):
    (tmp_path / "t.csv").write_text(CSV)
    with pytest.raises(ValueError, match=sentence):
        Source(tmp_path, TABLE | more, 1, names).write(["train"], tmp_path / "out", {})


def test_a_tables_checksum_is_checked(tmp_path):
    (tmp_path / "t.csv").write_text(CSV)
    right = hashlib.sha256(CSV.encode()).hexdigest()
    for sha256 in (right, "0" * 64):
        dataset = TABLE | {"group_queries": True}
        dataset["files"] = {"train": {"path": "t.csv", "sha256": {1: sha256}}}
        source = Source(tmp_path, dataset, 1)
        if sha256 == right:
            source.write(["train"], tmp_path / "out", {})
        else:
            with pytest.raises(ValueError, match=f"t\\.csv has sha256 {right}, expected 000"):
                source.write(["train"], tmp_path / "wrong", {})


def test_every_file_has_the_train_files_columns_in_its_order(tmp_path):
    (tmp_path / "t.csv").write_text("grade,query,a,b\n1,1,0,5\n")
    (tmp_path / "test.csv").write_text("b,grade,extra,query,a\n7,2,9,1,6\n")
    dataset = TABLE | {"files": {"train": {"path": "t.csv"}, "test": {"path": "test.csv"}}}
    Source(tmp_path, dataset, 1).write(["test"], tmp_path / "out", {})
    found = Dataset.open(tmp_path / "out")
    assert found.features.tolist() == [[6, 7]] and found.meta["feature_names"] == ["a", "b"]
