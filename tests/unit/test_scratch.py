"""distilrank.scratch: copies on a node's own disk while they are needed, and never a failure."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from distilrank.scratch import SCRATCH, nearby


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / "data" / name for name in ("train", "vali")}
    for name, folder in made.items():
        folder.mkdir(parents=True)
        (folder / "features.npy").write_bytes(name.encode())
    return made


def test_without_the_variable_nothing_is_copied(folders, monkeypatch):
    monkeypatch.delenv(SCRATCH, raising=False)
    with nearby(folders) as used:
        assert used == folders


def test_copies_are_read_and_then_gone(folders, tmp_path, monkeypatch):
    """A variable of the node's own is looked up there."""
    place = tmp_path / "node" / "job7"
    place.mkdir(parents=True)
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "node"))
    monkeypatch.setenv(SCRATCH, "$NODE_DISK/job7")
    with nearby(folders) as used:
        assert {name: (path / "features.npy").read_text() for name, path in used.items()} == {
            "train": "train", "vali": "vali",
        }  # fmt: skip
        assert all(place in path.parents for path in used.values())
    assert list(place.iterdir()) == []
    assert all(path.is_dir() for path in folders.values())


@pytest.mark.parametrize("name", ["/no/such/folder", "$NOT_SET_ON_THIS_NODE/scratch"])
def test_a_folder_that_is_not_there_is_told_and_done_without(folders, monkeypatch, caplog, name):
    monkeypatch.setenv(SCRATCH, name)
    with nearby(folders) as used:
        assert used == folders
    assert caplog.messages == [
        f"{SCRATCH} is {name}, and {name} is no folder that can be written to: "
        "reading the originals"
    ]


def test_a_disk_without_room_is_told_and_done_without(folders, tmp_path, monkeypatch, caplog):
    full = namedtuple("Usage", "total used free")(20, 10, 8)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    monkeypatch.setenv(SCRATCH, str(tmp_path))
    with nearby(folders) as used:
        assert used == folders
    assert "it has 0.0 GB free where 0.0 GB are needed" in caplog.text
