"""Forests as `save_forest` writes them: the file's scorer is the forest's, or a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from test_lightgbm_text import model_text
from test_native_forest import routed
from test_native_model_file import IN_A_FOLDER, check_same, check_verdict, refusal, trained
from test_native_model_refusals import TensorFile, drop, rename, set_metadata, set_tensor
from tiny import random_forest

from distilrank.forest import Forest, Tree
from distilrank.forest_file import save_forest
from distilrank.lightgbm_text import read_lightgbm_text

TYPES = {"feature": "int32", "threshold": "float64", "left": "int32", "right": "int32"}


def read_in_python(path: Path) -> Forest | None:
    """What the format says of a file, written down once more; None where it is no such file."""
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        names, format = json.loads(header["features"]), header["format"]
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None
    if format != "distilrank-forest-1" or not all(isinstance(name, str) for name in names):
        return None
    sizes = tensors.pop("n_nodes", np.empty(0, np.int32))
    nodes = int(sizes.sum())
    if sizes.dtype != np.int32 or sizes.ndim != 1 or not len(sizes) or (sizes < 0).any():
        return None
    types = {"n_nodes": "int32", **TYPES, "value": "float64"}
    types |= {"route": "uint8"} if "route" in tensors else {}
    for name, array in tensors.items():
        length = nodes + len(sizes) if name == "value" else nodes
        if array.dtype != types.get(name) or array.shape != (length,):
            return None
    if tensors.keys() != types.keys() - {"n_nodes"}:
        return None
    value, ends = tensors.pop("value"), np.cumsum(sizes)
    parts = {name: np.split(array, ends[:-1]) for name, array in tensors.items()}
    values = np.split(value, (ends + np.arange(1, len(sizes) + 1))[:-1])
    trees = tuple(
        Tree(value=values[tree], **{name: part[tree] for name, part in parts.items()})
        for tree in range(len(sizes))
    )
    return Forest(trees, len(names))


# ---- The same scores ----


@given(
    seed=st.integers(0, 2**32), trees=st.integers(1, 20), leaves=st.integers(1, 40),
    features=st.integers(1, 9), routes=st.booleans(),
)  # fmt: skip
@IN_A_FOLDER
def test_any_forest(tmp_path, native_library, seed, trees, leaves, features, routes):
    generator = np.random.default_rng(seed)
    forest = random_forest(generator, trees, leaves, features)
    forest = routed(generator, forest) if routes else forest
    path = tmp_path / "model.safetensors"
    save_forest(forest, path)
    check_same(forest, path, native_library)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"use_missing": False}, {"zero_as_missing": True}, {"num_leaves": 300}],
)
def test_forests_of_lightgbm(tmp_path, native_library, parameters):
    text, path = tmp_path / "model.txt", tmp_path / "model.safetensors"
    trained(0, **parameters).save_model(text)
    forest = read_lightgbm_text(text)
    save_forest(forest, path)
    check_same(forest, path, native_library)
    check_same(forest, text, native_library)
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["features"]) == list(forest.names)
        assert ("route" in file.keys()) == forest.routes_missing  # noqa: SIM118
    before = path.read_bytes()
    save_forest(forest, path)
    assert path.read_bytes() == before


def test_no_forest_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="a forest without a tree cannot be written to"):
        save_forest(Forest((), 3), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_features_without_names_are_columns(tmp_path):
    tree = Tree(*(np.empty(0, kind) for kind in TYPES.values()), np.ones(1))
    save_forest(Forest((tree,), 3), tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {
            "format": "distilrank-forest-1", "features": '["Column_0", "Column_1", "Column_2"]'
        }  # fmt: skip


# ---- Files that are refused ----


@pytest.fixture
def saved(tmp_path) -> Path:
    """A tree of three leaves on five features, one node of which routes missing values."""
    (tmp_path / "model.txt").write_text(model_text(decision_type="0 10"))
    path = tmp_path / "model.safetensors"
    save_forest(read_lightgbm_text(tmp_path / "model.txt"), path)
    return path


@pytest.fixture
def file(saved) -> TensorFile:
    return TensorFile(saved)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (set_metadata("format", "distilrank-forest-2"),
         "has format 'distilrank-forest-2', made by a newer distilrank; this one reads 1"),
        (set_metadata("format", "distilrank-forest-01"), "expected distilrank-forest-1"),
        (set_metadata("format", "distilrank-forest-"), "expected distilrank-forest-1"),
        (set_metadata("format", "distilrank-tree-1"), "no model of distilrank: its format is"),
        (drop("__metadata__", "features"), "the file does not name its features"),
        (set_metadata("features", "[1, 2]"), "the list of features, byte 1: found '1'"),
        (set_metadata("features", '["a", "b"'), "the list of features, byte 9: found its end"),
        (set_metadata("features", '["a"] 5'), "the list of features, byte 6: found '5'"),
        (set_metadata("features", "[" * 100_000), "the list of features, byte 1: found '['"),
        (set_metadata("features", '["a"]'), "tree 0, node 1 looks at feature 4, expected 0 to 0"),
        (rename("left", "lift"), "tensor 'lift' belongs to no forest"),
        (drop("value"), "starts at byte"),
        (set_tensor("n_nodes", dtype="F32"), "'n_nodes' is of type F32, expected I32"),
        (set_tensor("n_nodes", shape=[1, 1]), "'n_nodes' has shape [1, 1], expected [any]"),
        (set_tensor("left", shape=[1, 2]), "'left' has shape [1, 2], expected [2]"),
        (set_tensor("value", shape=[3, 1]), "'value' has shape [3, 1], expected [3]"),
        (set_tensor("route", shape=[1]), "2 bytes, which is not what U8 of shape [1] takes"),
    ],
)  # fmt: skip
def test_wrong_headers(file, native_library, change, sentence):
    assert not file.refusal(native_library)
    change(file.header)
    assert sentence in file.refusal(native_library)


@pytest.mark.parametrize(
    ("name", "place", "value", "sentence"),
    [
        ("n_nodes", 0, 1, "tensor 'feature' has shape [2], expected [1]"),
        ("n_nodes", 0, -1, "tensor 'n_nodes' is below 0 at place 0"),
        ("n_nodes", 0, 2**31 - 1, "tensor 'feature' has shape [2], expected [2147483647]"),
        ("feature", 1, 5, "tree 0, node 1 looks at feature 5, expected 0 to 4"),
        ("feature", 0, -1, "tree 0, node 0 looks at feature -1, expected 0 to 4"),
        ("threshold", 1, np.nan, "tree 0, node 1 has a threshold that is NaN"),
        ("left", 0, 0, "tree 0, node 0 has a child that does not stand after it: 0"),
        ("left", 0, 2, "tree 0, node 0 has a child that the tree lacks: 2"),
        ("left", 1, -4, "tree 0, node 1 has a child that the tree lacks: -4"),
        ("left", 1, -(2**31), "tree 0, node 1 has a child that the tree lacks: -2147483648"),
        ("right", 1, -1, "tree 0, node 1 has a child that another node has: -1"),
        ("route", 0, 8, "tree 0, node 0 has unknown bits in its route"),
        ("value", 2, np.inf, "tree 0, leaf 2 has a value that is not finite"),
    ],
)
def test_wrong_numbers(file, native_library, name, place, value, sentence):
    file.numbers(name)[place] = value
    assert sentence in file.refusal(native_library)


def test_a_file_without_a_tree(file, native_library):
    for name, tensor in file.header.items():
        if name != "__metadata__":
            tensor.update(shape=[0], data_offsets=[0, 0])
    file.data.clear()
    assert file.refusal(native_library) == "the file holds no tree"


def test_a_file_cut_anywhere_is_refused(saved, native_library):
    whole = saved.read_bytes()
    for cut in range(9, len(whole)):
        saved.write_bytes(whole[:cut])
        assert "the file is cut short" in refusal(saved, native_library)


@given(data=st.data())
@IN_A_FOLDER
def test_one_byte_changed(saved, native_library, data):
    """C and the format's other reading refuse, or score alike; in the header C may refuse more."""
    whole = saved.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    at = data.draw(st.integers(0, len(whole) - 1) | st.integers(end, len(whole) - 1))
    byte = data.draw(st.integers(0, 255) | st.sampled_from(list(b'0123456789F{}",[]=-.e \n')))
    saved.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    check_verdict(saved, native_library, at >= end, read_in_python)
    saved.write_bytes(whole)
