"""distilrank.files: nothing half-written, nothing that is not plain data."""

import errno
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import names

from distilrank.files import (
    read_json,
    replacing,
    replacing_folder,
    temporary_beside,
    write_array,
    write_json,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=8,
)  # fmt: skip


def test_a_new_file_appears_only_at_the_end_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "model.npy"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent, "a rename across file systems is no rename"
        assert temporary.suffix == ".npy"
    assert path.read_text() == "whole"
    assert names(path.parent) == ["model.npy"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["kept.txt"]


def test_a_block_that_writes_nothing_fails(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_what_a_killed_writer_left_goes_and_nothing_else(tmp_path):
    for name in (
        ".model.123.tmp.txt",
        ".model.old.tmp.txt",
        ".model.b.123.tmp.txt",
        ".m.1.tmp.txt",
    ):
        (tmp_path / name).write_text("half")
    with replacing(tmp_path / "model.txt") as temporary:
        temporary.write_text("whole")
    kept = [".m.1.tmp.txt", ".model.b.123.tmp.txt", ".model.old.tmp.txt", "model.txt"]
    assert names(tmp_path) == kept


def test_what_a_killed_writer_of_a_folder_left_goes_too(tmp_path):
    """A fold of the largest data sets has gigabytes."""
    half = tmp_path / ".fold1.123.tmp" / "train"
    half.mkdir(parents=True)
    (half / "features.npy").touch()
    assert not temporary_beside(tmp_path / "fold1").exists()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota exceeded"),
     RuntimeError("I/O error: No space left on device (os error 28)")],
)  # fmt: skip
def test_a_full_disk_is_a_sentence_with_the_file_and_the_space(tmp_path, error):
    path = tmp_path / "deep" / "model.txt"
    with pytest.raises(OSError) as raised, replacing(path):
        raise error
    assert re.fullmatch(
        rf"no space left to write {path}: \d+\.\d MB are free there\. Free some, or "
        "enlarge the disk or the quota, and run again: what is done is kept",
        str(raised.value),
    )


def test_another_error_of_the_system_is_left_as_it_is(tmp_path):
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "model.txt"):
        (tmp_path).read_text()


def test_a_folder_appears_only_at_the_end_and_takes_an_older_ones_place(tmp_path):
    path = tmp_path / "deep" / "made"
    (path / "old").mkdir(parents=True)
    with replacing_folder(path) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "file").write_text("new")
        assert not path.exists()
    assert names(path) == ["inner"] and names(path.parent) == ["made"]
    assert (path / "inner" / "file").read_text() == "new"


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "made").mkdir()
    with pytest.raises(KeyError), replacing_folder(tmp_path / "made") as temporary:
        (temporary / "half").write_text("half")
        raise KeyError
    assert names(tmp_path) == []


@given(value=st.dictionaries(st.text("abc"), PLAIN))
def test_json_comes_back_as_it_was(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_has_sorted_keys_and_plain_numbers(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"b": np.float32(0.5), "a": np.array([[1, 2]]), "c": np.bool_(True)})
    assert path.read_text() == json.dumps({"a": [[1, 2]], "b": 0.5, "c": True}, indent=1) + "\n"


@pytest.mark.parametrize(
    "value", [float("nan"), -np.inf, np.float32("nan"), [np.array([1.0, np.nan])]]
)
def test_json_without_a_number_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "value.json", {"value": value})
    assert not names(tmp_path)


def test_json_of_an_object_is_refused(tmp_path):
    with pytest.raises(TypeError, match="a set cannot be written as JSON"):
        write_json(tmp_path / "value.json", {"value": {1}})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"a": 1', "is not JSON (Expecting"),
        (b"", "is not JSON (Expecting value"),
        (b'{"a": "\xff"}', "is not JSON ('utf-8' codec"),
        (b"[1]", "holds a JSON list, expected an object."),
    ],
)
def test_what_is_no_json_object_is_named(tmp_path, content, sentence):
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(ValueError) as raised:
        read_json(path)
    assert str(raised.value).startswith(f"{path} {sentence}")


def test_arrays_of_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_array(tmp_path / "array.npy", np.array([{}]))
    assert not names(tmp_path)
    write_array(tmp_path / "array.npy", np.arange(3))
    assert np.load(tmp_path / "array.npy").tolist() == [0, 1, 2]
