"""scripts/parse_letor.py: a published archive becomes three split folders, or a sentence."""

import gzip
import hashlib
import io
import logging
import re
import tarfile
import zipfile
from functools import partial

import numpy as np
import pytest

from distilrank.letor import SPLITS, Dataset
from scripts import parse_letor

FEATURES = 3


@pytest.fixture(scope="module")
def parse_fold(native_library):
    """`parse_letor.parse_fold` with the native library that the tests build."""
    return partial(parse_letor.parse_fold, library=native_library)


def letor(qids: range, documents: int = 3) -> bytes:
    """Feature 1 is the query's id, feature 3 the document's place in it."""
    lines = [
        f"{place % 3} qid:{qid} 1:{qid} 3:{place}\n" for qid in qids for place in range(documents)
    ]
    return "".join(lines).encode()


FILES = {
    "tiny/Fold2/train.txt": letor(range(1, 11)),
    "tiny/Fold2/vali.txt": letor(range(11, 14)),
    "tiny/Fold2/test.txt": letor(range(14, 18)),
    "tiny/Fold1/train.txt": letor(range(50, 52)),
}


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "tiny.zip"
    write(path, FILES)
    return path


def write(path, files):
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)


def entry(splits: tuple[str, ...] = SPLITS, **more: object) -> dict:
    files = {
        split: {
            "path": f"Fold{{fold}}/{split}.txt",
            "sha256": {2: hashlib.sha256(FILES[f"tiny/Fold2/{split}.txt"]).hexdigest()},
        }
        for split in splits
    }
    return {"title": "Tiny", "features": FEATURES, "files": files} | more


def test_each_file_becomes_a_split(parse_fold, archive, tmp_path):
    parse_fold(archive, entry(), "tiny", 2, tmp_path / "out")
    splits = {split: Dataset.open(tmp_path / "out" / split) for split in SPLITS}
    for split, qids in zip(SPLITS, (range(1, 11), range(11, 14), range(14, 18)), strict=True):
        found = splits[split]
        assert found.qids.tolist() == list(qids)
        assert found.labels.tolist() == [0, 1, 2] * len(qids)
        expected = [[qid, 0, place] for qid in qids for place in range(3)]
        assert found.features.tolist() == expected
        assert {key: found.meta[key] for key in ("dataset", "fold", "split", "title", "file")} == {
            "dataset": "tiny", "fold": 2, "split": split, "title": "Tiny",
            "file": f"Fold2/{split}.txt",
        }  # fmt: skip
        content = FILES[f"tiny/Fold2/{split}.txt"]
        assert found.meta["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_share_of_train_becomes_vali(parse_fold, archive, tmp_path):
    dataset = entry(("train", "test"), vali_share=0.3, split_seed=4)
    parse_fold(archive, dataset, "tiny", 2, tmp_path / "out")
    parse_fold(archive, dataset, "tiny", 2, tmp_path / "again")
    train, vali = (Dataset.open(tmp_path / "out" / split) for split in ("train", "vali"))
    assert vali.n_queries == round(0.3 * 10)
    assert sorted([*train.qids, *vali.qids]) == list(range(1, 11))
    for part in (train, vali):
        assert part.features[:, 0].tolist() == np.repeat(part.qids, 3).tolist()
    assert [part.meta["split"] for part in (train, vali)] == ["train", "vali"]
    assert Dataset.open(tmp_path / "again" / "vali").qids.tolist() == vali.qids.tolist()
    parse_fold(archive, dataset | {"split_seed": 5}, "tiny", 2, tmp_path / "other")
    assert Dataset.open(tmp_path / "other" / "vali").qids.tolist() != vali.qids.tolist()


def test_splits_that_share_queries_are_warned_of(parse_fold, tmp_path, caplog, capsys):
    files = FILES | {"tiny/Fold2/test.txt": letor(range(9, 13))}
    write(tmp_path / "tiny.zip", files)
    dataset = entry()
    del dataset["files"]["test"]["sha256"]
    with caplog.at_level(logging.WARNING):
        parse_fold(tmp_path / "tiny.zip", dataset, "tiny", 2, tmp_path / "out")
    shared = {"train and test": 2, "vali and test": 2}
    sentences = [
        f"{pair} share {count} query ids: what is tested may have been learnt"
        for pair, count in shared.items()
    ]
    assert [record.getMessage() for record in caplog.records] == sentences
    said = capsys.readouterr().err
    assert all(f"warning: {sentence}\n" in said for sentence in sentences), "on the console too"
    for split in SPLITS:
        assert Dataset.open(tmp_path / "out" / split).meta["shared_queries"] == shared


def test_splits_apart_are_not_warned_of(parse_fold, archive, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        parse_fold(archive, entry(), "tiny", 2, tmp_path / "out")
    assert caplog.records == []


def test_a_wrong_checksum_writes_nothing(parse_fold, archive, tmp_path):
    dataset = entry()
    dataset["files"]["test"]["sha256"] = {2: "0" * 64}
    with pytest.raises(ValueError) as raised:
        parse_fold(archive, dataset, "tiny", 2, tmp_path / "out")
    found = hashlib.sha256(FILES["tiny/Fold2/test.txt"]).hexdigest()
    assert str(raised.value) == f"Fold2/test.txt has sha256 {found}, expected {'0' * 64}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", [2, "2"])
def test_the_checksum_of_a_fold_is_found_by_number_or_text(parse_fold, archive, tmp_path, key):
    """YAML gives numbers, and Snakemake's parameters may have become text."""
    dataset = entry()
    dataset["files"]["train"]["sha256"] = {1: "1" * 64, key: "0" * 64}
    with pytest.raises(ValueError, match=r"Fold2/train\.txt has sha256"):
        parse_fold(archive, dataset, "tiny", 2, tmp_path / "out")


def test_a_wrong_line_writes_nothing(parse_fold, tmp_path):
    broken = FILES["tiny/Fold2/test.txt"].replace(b"2 qid:15", b"2 qid:x15")
    write(tmp_path / "tiny.zip", FILES | {"tiny/Fold2/test.txt": broken})
    with pytest.raises(ValueError) as raised:
        parse_fold(tmp_path / "tiny.zip", entry(), "tiny", 2, tmp_path / "out")
    assert str(raised.value).startswith("Fold2/test.txt, line 6: 'qid:x15' after the label")
    assert not (tmp_path / "out").exists()


def test_a_fold_that_the_archive_lacks(parse_fold, archive, tmp_path):
    with pytest.raises(ValueError) as raised:
        parse_fold(archive, entry(), "tiny", 3, tmp_path / "out")
    assert str(raised.value).startswith(f"{archive} holds no file named Fold3/train.txt; it holds ")


def all_in_one(**more: object) -> dict:
    files = {"all": {"path": "all.txt"}}
    return {"title": "Tiny", "features": FEATURES, "files": files, "folds": [1, 2, 3]} | more


def test_one_file_is_dealt_into_folds(parse_fold, tmp_path):
    write(tmp_path / "tiny.zip", {"all.txt": letor(range(1, 8))})
    tested = []
    for fold in (1, 2, 3):
        parse_fold(tmp_path / "tiny.zip", all_in_one(), "tiny", fold, tmp_path / str(fold))
        splits = [Dataset.open(tmp_path / str(fold) / split) for split in SPLITS]
        assert sorted(qid for split in splits for qid in split.qids) == list(range(1, 8))
        assert [split.meta["fold"] for split in splits] == [fold] * 3
        tested += splits[2].qids.tolist()
    assert sorted(tested) == list(range(1, 8))


def test_all_files_are_dealt_into_folds(parse_fold, archive, tmp_path):
    """`folds: cv3` reads the files of fold 1, whose sha256 are checked, whatever fold it makes."""
    files = {f"tiny/Fold1/{split}.txt": FILES[f"tiny/Fold2/{split}.txt"] for split in SPLITS}
    write(archive, files)
    dataset = entry(folds="cv3")
    for split in SPLITS:
        file = dataset["files"][split]
        file["sha256"] = {1: file["sha256"][2]}
    whole = np.array([[qid, 0, place] for qid in range(1, 18) for place in range(3)])
    parts = {"vali": [], "test": []}
    for fold in (1, 2, 3):
        parse_fold(archive, dataset, "tiny", fold, tmp_path / str(fold))
        splits = {split: Dataset.open(tmp_path / str(fold) / split) for split in SPLITS}
        rows = np.concatenate([split.features for split in splits.values()])
        assert np.array_equal(rows[np.lexsort((rows[:, 2], rows[:, 0]))], whole)
        for split, opened in splits.items():
            assert opened.labels.tolist() == opened.features[:, 2].tolist()
            told = {key: opened.meta[key] for key in ("fold", "split", "dealt", "file", "sha256")}
            assert told == {
                "fold": fold, "split": split, "dealt": 3,
                "file": "Fold1/train.txt, Fold1/vali.txt, Fold1/test.txt",
                "sha256": ", ".join(dataset["files"][name]["sha256"][1] for name in SPLITS),
            }  # fmt: skip
        for split, qids in parts.items():
            qids += splits[split].qids.tolist()
    # Each query is tested on once, and validated on once.
    assert sorted(parts["test"]) == sorted(parts["vali"]) == list(range(1, 18))
    dataset["files"]["test"]["sha256"] = {1: "0" * 64}
    with pytest.raises(ValueError, match=r"Fold1/test\.txt has sha256"):
        parse_fold(archive, dataset, "tiny", 2, tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize(
    ("test", "shared"),
    # Query 10 ends the train file: beside its other half it would look like one query.
    [(letor(range(10, 14)), 10), (letor(range(20, 30)) + letor(range(3, 4)), 3)],
)
def test_a_query_of_two_files_is_not_dealt(parse_fold, tmp_path, test, shared):
    files = {"Fold1/train.txt": letor(range(1, 11)), "Fold1/test.txt": test}
    write(tmp_path / "tiny.zip", files)
    dataset = entry(("train", "test"), folds="cv3")
    with pytest.raises(ValueError) as raised:
        parse_fold(tmp_path / "tiny.zip", dataset, "tiny", 1, tmp_path / "out")
    assert str(raised.value) == (
        f"query {shared} stands in files.train and in files.test: queries that are dealt into "
        "folds must each be in one file; give them ids of their own, or take cv out of the data "
        "set's folds"
    )
    assert not (tmp_path / "out").exists()


def test_tables_are_dealt_into_folds(parse_fold, tmp_path):
    (tmp_path / "train.csv").write_text(CSV)
    # The same columns in another order.
    rows = "".join(f"{n},{n % 3},1,{100 + n // 2}\n" for n in range(20))
    (tmp_path / "test.csv").write_text(f"a,grade,b,query\n{rows}")
    tested = []
    for fold in range(1, 5):
        parse_fold(tmp_path, TABLES | {"folds": "cv4"}, "tables", fold, tmp_path / str(fold))
        test = Dataset.open(tmp_path / str(fold) / "test")
        tested += test.qids.tolist()
        assert test.features[:, 0].tolist() == [
            2 * (qid % 100) + place for qid in test.qids for place in (0, 1)
        ]
    assert sorted(tested) == [*range(10), *range(100, 110)]


def test_queries_that_come_back_are_grouped_on_request(parse_fold, tmp_path):
    lines = letor(range(1, 5)).splitlines(keepends=True)
    shuffled = b"".join(lines[place] for place in (0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11))
    write(tmp_path / "tiny.zip", FILES | {"tiny/Fold2/train.txt": shuffled})
    dataset = entry(("vali", "test")) | {"group_queries": True}
    dataset["files"]["train"] = {"path": "Fold2/train.txt"}
    with pytest.raises(ValueError, match=r"comes back .*group_queries: true"):
        ungrouped = dataset | {"group_queries": False}
        parse_fold(tmp_path / "tiny.zip", ungrouped, "tiny", 2, tmp_path / "out")
    parse_fold(tmp_path / "tiny.zip", dataset, "tiny", 2, tmp_path / "out")
    train = Dataset.open(tmp_path / "out" / "train")
    assert train.qids.tolist() == [1, 2, 3, 4]
    assert train.features.tolist() == [[qid, 0, place] for qid in range(1, 5) for place in range(3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(SPLITS)


CSV = "grade,query,a,b\n" + "".join(f"{n % 3},{n // 2},{n},1\n" for n in range(20))
TABLES = {
    "title": "Tables", "columns": {"label": "grade", "query": "query"},
    "files": {"train": {"path": "train.csv"}, "test": {"path": "test.csv"}},
}  # fmt: skip


def test_tables_become_splits_with_a_fifth_for_vali(parse_fold, tmp_path):
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text(CSV)
    parse_fold(tmp_path, TABLES, "tables", 1, tmp_path / "out")
    splits = {split: Dataset.open(tmp_path / "out" / split) for split in SPLITS}
    assert {name: split.n_queries for name, split in splits.items()} == {
        "train": 8, "vali": 2, "test": 10
    }  # fmt: skip
    assert splits["vali"].meta["feature_names"] == ["a", "b"]
    assert splits["test"].meta["shared_queries"] == {"train and test": 8, "vali and test": 2}


def test_a_table_without_a_column_of_the_train_files_is_refused(parse_fold, tmp_path):
    (tmp_path / "train.csv").write_text(CSV)
    (tmp_path / "test.csv").write_text(CSV.replace(",b", ",c"))
    with pytest.raises(ValueError, match=r"test\.csv has 0 columns named 'b', expected one"):
        parse_fold(tmp_path, TABLES, "tables", 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_feature_names_come_from_a_file(parse_fold, archive, tmp_path):
    (tmp_path / "names.txt").write_text("age\nlength\nrank\n")
    dataset = entry(feature_names="names.txt")
    parse_fold(archive, dataset, "tiny", 2, tmp_path / "out", names=tmp_path / "names.txt")
    meta = Dataset.open(tmp_path / "out" / "test").meta
    assert meta["feature_names"] == ["age", "length", "rank"]
    with pytest.raises(ValueError, match=r"feature_names is names\.txt, and there is no such file"):
        parse_fold(archive, dataset, "tiny", 2, tmp_path / "out2", names=tmp_path / "none.txt")
    (tmp_path / "names.txt").write_text("age\nlength\n")
    with pytest.raises(ValueError, match="feature_names names 2 features, expected 3"):
        parse_fold(archive, dataset, "tiny", 2, tmp_path / "out2", names=tmp_path / "names.txt")


def test_a_folder_is_parsed_like_an_archive(parse_fold, archive, tmp_path):
    """Its files may be compressed; they are checked like an archive's, and left alone."""
    folder = tmp_path / "mine"
    for name, content in FILES.items():
        path = folder / name.removeprefix("tiny/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    train = folder / "Fold2" / "train.txt"
    train.with_suffix(".txt.gz").write_bytes(gzip.compress(train.read_bytes()))
    dataset = entry()
    parse_fold(archive, dataset, "tiny", 2, tmp_path / "archive")
    parse_fold(folder, dataset, "tiny", 2, tmp_path / "folder")
    dataset["files"]["train"]["path"] += ".gz"
    parse_fold(folder, dataset, "tiny", 2, tmp_path / "packed")
    for split in SPLITS:
        for file in ("features", "labels", "offsets", "qids"):
            expected = (tmp_path / "archive" / split / f"{file}.npy").read_bytes()
            for other in ("folder", "packed"):
                assert (tmp_path / other / split / f"{file}.npy").read_bytes() == expected
    train.write_bytes(train.read_bytes() + b"0 qid:10 1:1\n")
    with pytest.raises(ValueError, match=r"Fold2/train\.txt has sha256 "):
        parse_fold(folder, entry(), "tiny", 2, tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_cut_archive_leaves_nothing(parse_fold, tmp_path, kind, share):
    path = tmp_path / f"tiny.{kind}"
    if kind == "zip":
        write(path, FILES)
    else:
        with tarfile.open(path, "w:gz") as opened:
            for name, content in FILES.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                opened.addfile(info, io.BytesIO(content))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        parse_fold(path, entry(), "tiny", 2, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bomb_leaves_nothing(parse_fold, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("Fold2/train.txt", b"0 qid:1 1:1\n" * 2_000_000)
    dataset = entry(largest_file_gb=0.01)
    with pytest.raises(ValueError, match=r"bomb\.zip expands to more than 0\.01 GB"):
        parse_fold(tmp_path / "bomb.zip", dataset, "tiny", 2, tmp_path / "out")
    assert not (tmp_path / "out").exists()
