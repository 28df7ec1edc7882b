"""distilrank.identity: the ``model`` object of docs/files.md."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import random_forest, random_student

from distilrank.forest import Forest, Tree
from distilrank.identity import feature_use, forest_facts, model_identity

DOCS = Path(__file__).parents[2] / "docs" / "files.md"
FOREST = random_forest(np.random.default_rng(0), 3, 5, 4)
META = {
    "kind": "network", "dataset": "mslr-sample", "fold": 1, "teacher": "lm-large", "student": "A",
    "recipe": "sample", "seed": 1, "sparsity": 0.5, "precision": "int8",
    "pruned_from": {"architecture": "8-5-1", "zeros": [20, 0], "layers": [1]},
}  # fmt: skip


def documented(kind: str) -> set[str]:
    """The keys of the documented object of this kind."""
    block = DOCS.read_text().split("## A model's identity")[1].split("```")[1]
    start = block.index(f'{{"kind": "{kind}"')
    return set(json.JSONDecoder().raw_decode(block[start:])[0])


def test_a_network_carries_its_identity_wherever_it_lies(tmp_path):
    student = random_student(np.random.default_rng(0), (8, 4, 1), **META)
    student.weights[0][0] = 0
    found = model_identity(tmp_path / "anything", student)
    assert found == META | {"architecture": "8-4-1", "layer_sparsity": [8 / 32, 0.0]}
    assert set(found) == documented("network"), "name the same keys in docs/files.md"
    assert student.meta == META, "a copy"


def test_a_forest_is_named_by_its_folders():
    path = Path("results/teachers/mslr-sample/fold3/lm-large/model.txt")
    found = model_identity(path, FOREST)
    assert found == {
        "kind": "forest", "dataset": "mslr-sample", "fold": 3, "teacher": "lm-large",
        "trees": 3, "max_leaves": 5,
    }  # fmt: skip
    assert set(found) == documented("forest"), "name the same keys in docs/files.md"
    assert model_identity(str(path), FOREST) == found


def test_a_forest_keeps_its_name_behind_a_link(tmp_path):
    """Snakemake's cache between workflows links a result to a file with a hash for a name."""
    stored = tmp_path / "a" / "b" / "c" / "0123abcd.txt"
    path = tmp_path / "teachers" / "tiny" / "fold2" / "lm" / "model.txt"
    for file in (stored, path):
        file.parent.mkdir(parents=True)
    stored.write_text("tree")
    path.symlink_to(stored)
    found = model_identity(path, FOREST)
    assert (found["dataset"], found["fold"], found["teacher"]) == ("tiny", 2, "lm")


def test_a_relative_path_is_completed(tmp_path, monkeypatch):
    folder = tmp_path / "tiny" / "fold1" / "lm"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    found = model_identity("model.txt", FOREST)
    assert (found["dataset"], found["fold"], found["teacher"]) == ("tiny", 1, "lm")


@pytest.mark.parametrize("folder", ["foldx", "elsewhere", "fold"])
def test_a_forest_from_elsewhere_has_fold_0(folder):
    assert model_identity(Path("a") / folder / "c" / "model.txt", FOREST)["fold"] == 0


def test_a_feature_that_feeds_a_neuron_without_a_reader_is_not_used():
    student = random_student(np.random.default_rng(0), (4, 3, 2, 1))
    for weight in student.weights:
        weight[:] = 0
    student.weights[0][0, 0] = student.weights[0][0, 1] = student.weights[0][1, 1] = 1.0
    student.weights[0][2, 2] = 1.0
    student.weights[1][0, 0] = student.weights[1][1, 2] = 1.0
    student.weights[2][0, 0] = 1.0
    # Neuron 1 of layer 1 is read by nobody; neuron 2 by neuron 1 of layer 2, which nobody reads.
    assert feature_use(student) == [1, 1, 0, 0]


def test_a_forests_facts():
    """Node 0 has node 1 on its left, that has node 2; node 2 and a second tree split on 0.5."""
    chain = Tree(
        np.array([0, 2, 0], np.int32), np.array([1.0, -1, 0.5]), np.array([1, 2, -1], np.int32),
        np.array([-2, -3, -4], np.int32), np.arange(4.0),
    )  # fmt: skip
    stump = Tree(*(np.array(values) for values in ([0], [0.5], [-1], [-2], [1.0, 2.0])))
    leaf = Tree(*(np.array(values, np.int32) for values in ([], [], [], [])), np.array([1.0]))
    assert [tree.depth for tree in (chain, stump, leaf)] == [3, 1, 0]
    assert forest_facts(Forest((chain, stump, leaf), 4)) == {
        "leaves": 4 + 2 + 1, "depth": 3, "split_points": [2, 0, 1, 0],
    }  # fmt: skip
