"""distilrank.pruning: exactly as many weights go as asked for, and the smallest."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import random_student

from distilrank.pruning import (
    Pruning,
    check_pruned,
    importances,
    lamp_scores,
    magnitude_mask,
    masks_for,
    pruned_from,
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


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_layer_is_never_left_without_a_weight(scope):
    student = random_student(np.random.default_rng(0), (8, 6, 5, 1))
    student.weights[2][:] *= 1e-3  # the smallest of all
    with pytest.raises(ValueError) as raised:
        masks_for(student, [1, 3], 0.91, scope)
    assert str(raised.value) == (
        "sparsity 0.91 leaves layer 3 of 8-6-5-1 none of its 5 weights: lower it, or take the "
        "layer out of prune.layers"
    )
    assert masks_for(student, [1, 3], 0.91, "lamp")[2].sum() >= 1


@given(sparsity=st.floats(0, 0.9), seed=st.integers(0, 2**32))
def test_a_global_threshold_spares_the_largest_of_all_named_layers(sparsity, seed):
    student = random_student(np.random.default_rng(seed), (8, 6, 5, 1))
    try:
        masks = masks_for(student, [1, 2], sparsity, "global")
    except ValueError:
        return  # a layer emptied
    pairs = [(student.weights[layer], masks[layer]) for layer in (0, 1)]
    assert sum(int((~mask).sum()) for _, mask in pairs) == round(sparsity * (48 + 30))
    gone = [np.abs(weight)[~mask].max(initial=0) for weight, mask in pairs]
    left = [np.abs(weight)[mask].min(initial=math.inf) for weight, mask in pairs]
    assert max(gone) <= min(left)


def test_lamp_divides_by_all_that_are_not_smaller():
    weight = np.array([[1.0, -3.0], [2.0, 0.0]])
    expected = [[1 / (1 + 9 + 4), 9 / 9], [4 / (4 + 9), 0 / (0 + 1 + 9 + 4)]]
    assert lamp_scores(weight) == pytest.approx(np.array(expected), rel=1e-15)
    assert lamp_scores(1e-3 * weight) == pytest.approx(np.array(expected)), "of any scale"
    assert lamp_scores(np.zeros((1, 2))).tolist() == [[0, 0]]


def test_an_input_that_varies_little_makes_its_weights_matter_little():
    student = random_student(np.random.default_rng(0), (3, 2, 1))
    student.mean[:], student.scale[:] = 0, 1
    rows = np.array([[0, 5, 1], [2, 5, 1], [4, 5, 3]], np.float32)
    first, second = importances(student, rows)
    deviations = [math.sqrt(8 / 3), 1e-6, math.sqrt(8) / 3]
    assert first == pytest.approx(np.abs(student.weights[0]) * deviations)
    hidden = np.clip(rows @ student.weights[0].T + student.biases[0], 0, 6)
    expected = np.abs(student.weights[1]) * np.maximum(hidden.std(axis=0), 1e-6)
    assert second == pytest.approx(expected, rel=1e-5)


def pruned(layers, scope):
    student = random_student(np.random.default_rng(0), (8, 6, 5, 1))
    masks = masks_for(student, layers, 0.5, scope)
    weights = tuple(
        weight if mask is None else weight * mask
        for weight, mask in zip(student.weights, masks, strict=True)
    )
    return replace(student, weights=weights), masks


def test_a_weight_that_came_back_is_counted():
    pruning = Pruning([2])
    student, masks = pruned([2], "layer")
    check_pruned(student, pruning, 0.5)
    places = np.argwhere(~masks[1])[:2]
    student.weights[1][tuple(places.T)] = 1e-30
    with pytest.raises(ValueError) as raised:
        check_pruned(student, pruning, 0.5)
    assert str(raised.value) == "layer 2 has 13 zeros, expected 15: pruned weights came back"


def test_over_all_layers_only_the_sum_counts():
    pruning = Pruning([1, 2], scope="global")
    student, masks = pruned([1, 2], "global")
    check_pruned(student, pruning, 0.5)
    student.weights[0][tuple(np.argwhere(~masks[0])[0])] = 1.0
    with pytest.raises(ValueError, match=r"layers \[1, 2\] have 38 zeros, expected 39"):
        check_pruned(student, pruning, 0.5)


def test_what_was_achieved_is_counted_on_the_original_shape():
    origin = {"architecture": "8-6-5-1", "zeros": [24, 27, 0], "layers": [1, 2], "scope": "layer"}
    assert achieved_sparsity(origin) == 24 / 48
    assert achieved_sparsity(origin | {"scope": "global"}) == (24 + 27) / (48 + 30)
    student, _ = pruned([1, 2], "layer")
    found = pruned_from(student, Pruning([2, 1]))
    assert found == origin | {"zeros": [24, 15, 0]}
