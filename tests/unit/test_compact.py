"""distilrank.compact: a student without its dead neurons scores the same."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tiny import random_student

from distilrank.compact import live_units, remove_dead_neurons

WIDTHS = st.lists(st.integers(1, 9), min_size=1, max_size=4)


def sparse_student(seed, hidden, kept):
    generator = np.random.default_rng(seed)
    student = random_student(generator, (6, *hidden, 1))
    for weight in student.weights:
        weight[generator.random(weight.shape) >= kept] = 0
    return student, generator


def slow_live(weights):
    """Neurons are taken out one after the other until nothing changes."""
    units = [set(range(weights[0].shape[1])), *(set(range(len(weight))) for weight in weights)]
    while True:
        dead = [
            (layer, unit)
            for layer in range(len(units))
            for unit in units[layer]
            if (layer > 0 and not any(weights[layer - 1][unit, j] for j in units[layer - 1]))
            or (layer < len(weights) and not any(weights[layer][i, unit] for i in units[layer + 1]))
        ]
        if not dead:
            return units
        for layer, unit in dead:
            units[layer].discard(unit)


@given(seed=st.integers(0, 2**32), hidden=WIDTHS, kept=st.floats(0.1, 0.9))
def test_live_are_those_that_are_left_when_nothing_changes_any_more(seed, hidden, kept):
    student, _ = sparse_student(seed, hidden, kept)
    found = [set(np.flatnonzero(live).tolist()) for live in live_units(student.weights)]
    assert found == slow_live(student.weights)


@given(seed=st.integers(0, 2**32), hidden=WIDTHS, kept=st.floats(0.1, 0.9))
def test_scores_stay_the_same(seed, hidden, kept):
    student, generator = sparse_student(seed, hidden, kept)
    live = live_units(student.weights)
    assume(live[0].any())
    compact = remove_dead_neurons(student)
    assert [len(bias) for bias in compact.biases] == [int(units.sum()) for units in live[1:]]
    rows = generator.normal(3, 10, (50, 6)).astype(np.float32)
    # Biases are rounded to float32; errors pass on through the layers.
    assert compact.predict(rows) == pytest.approx(student.predict(rows), rel=1e-5, abs=1e-4)
    again = remove_dead_neurons(compact)
    assert again.architecture == compact.architecture
    assert compact.n_features == student.n_features and compact.meta == student.meta


def test_a_constant_neuron_goes_into_the_biases_behind_it_through_relu6():
    student = random_student(np.random.default_rng(0), (2, 3, 2, 1))
    student.weights[0][1:] = 0
    student.biases[0][1:] = [9.0, -1.0]  # constant outputs 6 and 0
    student.weights[1][1] = [0, 0.5, 1.0]  # reads constants alone: 6 * 0.5 + bias
    student.biases[1][1] = 0.25
    compact = remove_dead_neurons(student)
    assert compact.architecture == "2-1-1-1"
    bias = student.biases[1][0] + 6.0 * student.weights[1][0, 1]
    assert compact.biases[1] == pytest.approx([bias], rel=1e-6)
    last = student.biases[2][0] + student.weights[2][0, 1] * (6.0 * 0.5 + 0.25)
    assert compact.biases[2] == pytest.approx([last], rel=1e-6)


def test_a_network_without_dead_neurons_keeps_its_bytes(tmp_path):
    student = random_student(np.random.default_rng(0))
    for name, each in (("before", student), ("after", remove_dead_neurons(student))):
        each.save(tmp_path / name)
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()


def test_a_network_that_reads_nothing_is_refused():
    student = random_student(np.random.default_rng(0), (2, 2, 2, 1))
    student.weights[0][1] = 0
    student.weights[1][:, 0] = 0
    with pytest.raises(ValueError) as raised:
        remove_dead_neurons(student)
    assert str(raised.value) == (
        "no path of weights leads from a feature to the output of 2-2-2-1: every document would "
        "have the same score; lower the sparsity"
    )
