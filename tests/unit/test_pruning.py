"""distilrank.pruning: exactly as many weights go as asked for, and the smallest."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import random_student

from distilrank.pruning import check_masked, magnitude_mask, masks_for


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    per_mille=st.integers(0, 999),
    seed=st.integers(0, 2**32),
)
def test_exactly_the_smallest_go(shape, per_mille, seed):
    """Few distinct magnitudes, so that most draws have ties at the border."""
    weight = np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)
    mask = magnitude_mask(weight, per_mille / 1000)
    gone = round(per_mille / 1000 * weight.size)
    # Sorted by magnitude, then by place: the slow statement of "the earlier of equals go first".
    order = sorted(range(weight.size), key=lambda place: (abs(weight.flat[place]), place))
    expected = [place not in order[:gone] for place in range(weight.size)]
    assert (mask.dtype, mask.shape) == (bool, weight.shape)
    assert mask.ravel().tolist() == expected


def test_signs_and_memory_order_do_not_matter():
    weight = np.random.default_rng(0).normal(size=(7, 9)).astype(np.float32)
    mask = magnitude_mask(weight, 0.5)
    assert np.array_equal(mask, magnitude_mask(-weight, 0.5))
    assert np.array_equal(mask, magnitude_mask(np.asfortranarray(weight), 0.5))


@pytest.mark.parametrize("sparsity", [1, 1.5, -0.1, math.nan])
def test_an_impossible_share_is_refused(sparsity):
    with pytest.raises(ValueError) as raised:
        magnitude_mask(np.ones((2, 2)), sparsity)
    assert str(raised.value) == (
        f"sparsity {sparsity}, expected a share of zeros: 0 <= sparsity < 1"
    )


def test_only_the_named_layers_are_pruned():
    student = random_student(np.random.default_rng(0), (8, 6, 5, 1))
    masks = masks_for(student, [1, 3], 0.75)
    assert masks[1] is None
    assert [np.count_nonzero(~masks[layer]) for layer in (0, 2)] == [
        round(0.75 * 8 * 6), round(0.75 * 5),
    ]  # fmt: skip
    assert np.array_equal(masks[0], magnitude_mask(student.weights[0], 0.75))
    assert masks_for(student, [], 0.75) == [None, None, None]


@pytest.mark.parametrize(("layers", "named"), [([0], 0), ([4], 4), ([1, -1], -1)])
def test_a_layer_that_is_not_there_is_named(layers, named):
    with pytest.raises(ValueError) as raised:
        masks_for(random_student(np.random.default_rng(0), (8, 6, 5, 1)), layers, 0.5)
    assert str(raised.value) == (f"prune.layers names layer {named}; 8-6-5-1 has layers 1 to 3")


def test_a_weight_that_came_back_is_counted():
    student = random_student(np.random.default_rng(0), (8, 6, 5, 1))
    masks = masks_for(student, [2], 0.5)
    student.weights[1][~masks[1]] = 0
    check_masked(student, masks)
    places = np.argwhere(~masks[1])[:2]
    student.weights[1][tuple(places.T)] = 1e-30
    with pytest.raises(ValueError, match=re.escape("layer 2 has 2 unpruned weights")):
        check_masked(student, masks)
