"""scripts/share_student.py: a shared dense network is the one that would be trained anew."""

import pytest

from distilrank.student import Student
from scripts.share_student import share_student
from tests.scripts.test_distil_prune import IDENTITY, distil, prune

pytestmark = pytest.mark.usefixtures("found_library")


def shared(dense, folder):
    model, history = folder / "sp0.safetensors", folder / "sp0.csv"
    share_student(dense, dense.with_suffix(".csv"), "other", model, history)
    return model


def test_sharing_gives_the_bytes_that_training_would(fold, tmp_path):
    dense = distil(fold, tmp_path / "first")
    model = shared(dense, tmp_path / "shared")
    anew = distil(fold, tmp_path / "anew", recipe="other")
    assert model.read_bytes() == anew.read_bytes() != dense.read_bytes()
    assert model.with_suffix(".csv").read_bytes() == dense.with_suffix(".csv").read_bytes()


def test_what_is_pruned_from_it_bears_its_own_recipe(fold, tmp_path):
    model = prune(fold, shared(distil(fold, tmp_path / "first"), tmp_path / "shared"), tmp_path)
    assert IDENTITY["recipe"] != "other"
    assert Student.load(model).meta["recipe"] == "other"
