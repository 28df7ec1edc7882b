"""scripts/distil_student.py and scripts/prune_student.py: from a teacher to pruned students."""

import csv

import numpy as np
import pytest
from tiny import names

from distilrank.checkpoint import Checkpoint
from distilrank.distil import Schedule, history_of
from distilrank.letor import Dataset
from distilrank.quantise import quantised_weights
from distilrank.results import achieved_sparsity
from distilrank.scaling import fit_zscore
from distilrank.student import Student
from scripts.distil_student import distil_student
from scripts.prune_student import prune_student

IDENTITY = {"dataset": "tiny", "fold": 1, "teacher": "lm", "student": "S", "recipe": "quick",
            "seed": 3}  # fmt: skip
WIDTHS = [12, 6]
pytestmark = pytest.mark.usefixtures("found_library")
SCHEDULE = Schedule(epochs=3, batch=80, learning_rate=0.01)


def splits_of(fold):
    return {name: fold.data[name] for name in ("train", "vali")}


def distil(fold, folder, **change):
    model, history = folder / "sp0.safetensors", folder / "sp0.csv"
    identity = IDENTITY | change
    distil_student(splits_of(fold), fold.teacher, WIDTHS, SCHEDULE, identity, model, history)
    return model


def prune(fold, dense, folder, layers=(1,), sparsity=0.9, **more):
    model, history = folder / "pruned.safetensors", folder / "pruned.csv"
    prune_student(
        dense, splits_of(fold), fold.teacher, layers, sparsity, SCHEDULE, model, history, **more
    )
    return model


def epochs_in(history):
    with history.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == history_of()
    return [int(line["epoch"]) for line in lines]


@pytest.fixture(scope="module")
def dense(fold, found_library, tmp_path_factory):
    return distil(fold, tmp_path_factory.mktemp("dense"))


def test_a_student_file_says_what_it_is_and_scales_by_train(fold, dense):
    student = Student.load(dense)
    assert student.meta == IDENTITY | {"kind": "network", "sparsity": 0.0}
    assert student.architecture == "8-12-6-1"
    mean, scale = fit_zscore(np.array(Dataset.open(fold.data["train"]).features))
    assert (student.mean.tolist(), student.scale.tolist()) == (mean.tolist(), scale.tolist())
    assert epochs_in(dense.with_suffix(".csv")) == [1, 2, 3]
    assert names(dense.parent) == ["sp0.csv", "sp0.safetensors"]


def test_the_seed_alone_decides_the_bytes(fold, dense, tmp_path):
    assert distil(fold, tmp_path / "again").read_bytes() == dense.read_bytes()
    other = Student.load(distil(fold, tmp_path / "other", seed=4))
    assert not np.array_equal(other.weights[0], Student.load(dense).weights[0])


def test_hidden_means_every_layer_but_the_output(fold, dense, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir(), other.mkdir()
    named = prune(fold, dense, one, (1, 2), 0.5)
    assert prune(fold, dense, other, "hidden", 0.5).read_bytes() == named.read_bytes()


@pytest.mark.parametrize(("layers", "sparsity"), [((1,), 0.5), ((1, 2), 0.5), ((3,), 0.333)])
def test_pruning_reaches_its_sparsity_exactly(fold, dense, tmp_path, layers, sparsity):
    model = prune(fold, dense, tmp_path, layers, sparsity)
    start, student = Student.load(dense), Student.load(model)
    origin = student.meta["pruned_from"]
    assert student.meta == start.meta | {"sparsity": sparsity, "pruned_from": origin}
    zeros = [
        round(sparsity * weight.size) if layer in layers else 0
        for layer, weight in enumerate(start.weights, start=1)
    ]
    assert origin == {
        "architecture": "8-12-6-1", "zeros": zeros, "layers": list(layers),
    }  # fmt: skip
    assert epochs_in(model.with_suffix(".csv")) == [1, 2, 3]


def test_dead_neurons_are_not_in_the_file_and_count_for_the_sparsity(fold, dense, tmp_path):
    """9 weights for 12 neurons: at least 3 read nothing."""
    student = Student.load(prune(fold, dense, tmp_path, sparsity=0.906))
    assert student.weights[0].any(axis=1).all() and student.weights[1].any(axis=0).all()
    assert student.weights[0].shape[0] <= 9 and student.n_features == 8
    assert np.count_nonzero(student.weights[0]) <= 96 - round(0.906 * 96) == 9
    assert achieved_sparsity(student.meta["pruned_from"]) == round(0.906 * 96) / 96
    student.predict(np.array(Dataset.open(fold.data["vali"]).features))


def test_along_a_ramp_the_sparsity_is_reached_by_other_weights(fold, dense, tmp_path):
    at_once, slowly = (
        Student.load(prune(fold, dense, tmp_path / str(ramp), (1, 2), 0.6, ramp=ramp))
        for ramp in (1, 3)
    )
    origin = slowly.meta["pruned_from"]
    assert origin == at_once.meta["pruned_from"]
    assert origin["zeros"] == [round(0.6 * 96), round(0.6 * 72), 0]
    assert slowly.architecture != at_once.architecture or not np.array_equal(
        slowly.weights[0] != 0, at_once.weights[0] != 0
    )


@pytest.mark.parametrize("ramp", [1, 2])
def test_pruning_that_was_cut_off_ends_with_the_same_bytes(
    fold, dense, tmp_path, monkeypatch, ramp
):
    whole = prune(fold, dense, tmp_path / "whole", ramp=ramp)

    class Killed(Exception):
        pass

    save = Checkpoint.save

    def killed(self, net, optimiser, progress):
        self.seconds = 0
        save(self, net, optimiser, progress)
        raise Killed

    monkeypatch.setattr(Checkpoint, "save", killed)
    with pytest.raises(Killed):
        prune(fold, dense, tmp_path / "cut", ramp=ramp)
    assert names(tmp_path / "cut") == ["pruned.checkpoint"]
    monkeypatch.setattr(Checkpoint, "save", save)
    again = prune(fold, dense, tmp_path / "cut", ramp=ramp)
    assert again.read_bytes() == whole.read_bytes()
    assert names(tmp_path / "cut") == ["pruned.csv", "pruned.safetensors"]


def test_pruning_twice_gives_the_same_bytes_and_leaves_the_dense_file(fold, dense, tmp_path):
    before = dense.read_bytes()
    one, other = (prune(fold, dense, tmp_path / name).read_bytes() for name in ("a", "b"))
    assert one == other
    assert dense.read_bytes() == before


def test_a_student_tuned_for_int8_says_so_and_keeps_float32_weights(fold, dense, tmp_path):
    plain, tuned = (
        Student.load(prune(fold, dense, tmp_path / precision, precision=precision))
        for precision in ("fp32", "int8")
    )
    assert tuned.meta == plain.meta | {"precision": "int8"}
    assert not np.array_equal(tuned.weights[1], plain.weights[1])
    codes, steps = quantised_weights(tuned.weights[1])
    assert not np.allclose(codes * steps[:, None], tuned.weights[1], rtol=0, atol=1e-6)


def test_an_unknown_precision_writes_nothing(fold, dense, tmp_path):
    with pytest.raises(ValueError, match="precision 'bf16', expected one of fp32, int8"):
        prune(fold, dense, tmp_path, precision="bf16")
    assert names(tmp_path) == []


def test_a_layer_that_is_not_there_writes_nothing(fold, dense, tmp_path):
    with pytest.raises(ValueError) as raised:
        prune(fold, dense, tmp_path, layers=(4,))
    assert str(raised.value) == "prune.layers names layer 4; 8-12-6-1 has layers 1 to 3"
    assert names(tmp_path) == []


def test_a_loss_that_explodes_writes_nothing(fold, tmp_path):
    wild = Schedule(epochs=3, batch=80, learning_rate=1e30)
    with pytest.raises(ValueError, match="lower the recipe's learning_rate"):
        distil_student(
            splits_of(fold), fold.teacher, WIDTHS, wild, IDENTITY,
            tmp_path / "sp0.safetensors", tmp_path / "sp0.csv",
        )  # fmt: skip
    assert names(tmp_path) == []
