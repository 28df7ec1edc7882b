"""scripts/generate_dataset.py: a catalogue entry becomes an archive that parse_letor reads."""

import logging

import pytest
import tiny

from distilrank.letor import SPLITS, Dataset
from scripts.generate_dataset import generate_dataset
from scripts.parse_letor import parse_fold

GENERATE = {
    "from": "tiny", "queries": {"train": 30, "vali": 10, "test": 5}, "documents_per_query": 20,
    "seed": 1, "noise": 0.5,
}  # fmt: skip
ENTRY = {
    "title": "Made", "features": tiny.FEATURES,
    "files": {split: {"path": f"Fold{{fold}}/{split}.txt"} for split in SPLITS},
}  # fmt: skip


def generated(fold: tiny.Fold, path, **changes) -> bytes:
    generate_dataset(fold.data["train"], fold.data["vali"], GENERATE | changes, path)
    return path.read_bytes()


def test_the_archive_parses_like_a_published_one(fold, tmp_path, caplog, native_library):
    with caplog.at_level(logging.INFO):
        generated(fold, tmp_path / "made.zip")
    assert "train: 600 documents, 30 queries" in caplog.messages
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        parse_fold(tmp_path / "made.zip", ENTRY, "made", 1, tmp_path / "out", native_library)
    assert not caplog.records  # no query stands in two splits
    for split in SPLITS:
        parsed = Dataset.open(tmp_path / "out" / split)
        assert parsed.n_queries == GENERATE["queries"][split]
        assert parsed.n_documents == 20 * GENERATE["queries"][split]
        assert (parsed.features[:, 3] == 7).all()


def test_a_seed_decides_every_byte(fold, tmp_path):
    first = generated(fold, tmp_path / "one.zip")
    assert generated(fold, tmp_path / "two.zip") == first
    assert generated(fold, tmp_path / "three.zip", seed=2) != first
    assert generated(fold, tmp_path / "four.zip", noise=0.6) != first


def test_a_mistake_leaves_nothing_behind(fold, tmp_path):
    with pytest.raises(ValueError, match="vali with 0 queries"):
        generated(fold, tmp_path / "made.zip", queries={"train": 3, "vali": 0, "test": 1})
    assert tiny.names(tmp_path) == []
