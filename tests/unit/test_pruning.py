"""distilrank.pruning: exactly as many weights go as asked for, the smallest, and when asked for."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import random_student

from distilrank.pruning import (
    check_pruned,
    cubic_sparsity,
    magnitude_mask,
    masks_for,
    pruned_from,
    rising_masks,
)
from distilrank.results import achieved_sparsity


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


def test_a_weight_without_a_magnitude_is_refused():
    with pytest.raises(ValueError) as raised:
        magnitude_mask(np.array([[1.0, math.nan], [2.0, 3.0]]), 0.5)
    assert str(raised.value) == "1 of 4 weights are NaN, which have no magnitude to prune by"


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


def test_a_layer_is_never_left_without_a_weight():
    student = random_student(np.random.default_rng(0), (8, 6, 5, 1))
    with pytest.raises(ValueError) as raised:
        masks_for(student, [1, 3], 0.91)
    assert str(raised.value) == (
        "sparsity 0.91 leaves layer 3 of 8-6-5-1 none of its 5 weights: lower it, or take the "
        "layer out of prune.layers"
    )


def test_what_is_0_already_stays_so_though_others_are_as_small():
    student = random_student(np.random.default_rng(0), (4, 2, 1))
    student.weights[0][:] = [[0, 0, 0, 2], [0, 0, 0, 3]]
    mask = masks_for(student, [1], 0.5)[0]
    assert mask.tolist() == [[False, False, False, True], [False, False, False, True]]


def test_the_cubic_schedule_is_that_of_zhu_and_gupta():
    found = [cubic_sparsity(0.9, epoch, 4) for epoch in (1, 2, 3, 4, 5)]
    rising = [0.9 * (1 - (1 - epoch / 4) ** 3) for epoch in (1, 2, 3)]
    assert found == pytest.approx([*rising, 0.9, 0.9], rel=1e-15)
    assert found[3] == 0.9, "exactly"
    assert cubic_sparsity(0.9, 1, 1) == 0.9


def pruned(student, masks):
    weights = tuple(
        weight if mask is None else weight * mask
        for weight, mask in zip(student.weights, masks, strict=True)
    )
    return replace(student, weights=weights)


@pytest.mark.parametrize("ramp", [1, 3])
def test_masks_follow_the_weights_up_to_the_ramp_and_then_hold(ramp):
    """Between epochs every weight that is left moves; those that went stay at 0."""
    generator = np.random.default_rng(0)
    dense = random_student(generator, (20, 10, 5, 1))
    rising = rising_masks(dense, [1], 0.9, ramp)
    student, masks = dense, []
    for epoch in range(1, 6):
        masks.append(rising(epoch, student)[0])
        assert np.array_equal(masks[-1], rising(epoch, student)[0]), "whenever asked"
        student = pruned(student, [masks[-1], None, None])
        moved = student.weights[0] + generator.normal(size=(10, 20)).astype(np.float32)
        student = replace(student, weights=(moved * masks[-1], *student.weights[1:]))
    gone = [int((~mask).sum()) for mask in masks]
    assert gone == [round(200 * cubic_sparsity(0.9, epoch, ramp)) for epoch in range(1, 6)]
    assert not any((later & ~earlier).any() for earlier, later in pairwise(masks))
    at_once = masks_for(dense, [1], 0.9)[0]
    assert np.array_equal(masks[-1], at_once) == (ramp == 1), "weights moved in between"


def test_what_cannot_be_pruned_is_refused_before_training():
    dense = random_student(np.random.default_rng(0), (20, 10, 5, 1))
    with pytest.raises(ValueError, match="leaves layer 3 of 20-10-5-1 none of its 5 weights"):
        rising_masks(dense, [3], 0.95, 20)


def test_a_weight_that_came_back_is_counted():
    student = random_student(np.random.default_rng(0), (8, 6, 5, 1))
    masks = masks_for(student, [2], 0.5)
    student = pruned(student, masks)
    check_pruned(student, [2], 0.5)
    places = np.argwhere(~masks[1])[:2]
    student.weights[1][tuple(places.T)] = 1e-30
    with pytest.raises(ValueError) as raised:
        check_pruned(student, [2], 0.5)
    assert str(raised.value) == "layer 2 has 13 zeros, expected 15: pruned weights came back"


def test_what_was_achieved_is_counted_on_the_original_shape():
    student = random_student(np.random.default_rng(0), (8, 6, 5, 1))
    found = pruned_from(pruned(student, masks_for(student, [1, 2], 0.5)), [2, 1])
    assert found == {"architecture": "8-6-5-1", "zeros": [24, 15, 0], "layers": [1, 2]}
    assert achieved_sparsity(found | {"zeros": [24, 27, 0]}) == 24 / 48
    assert achieved_sparsity(found | {"zeros": [36, 12, 0]}) == 12 / 30
