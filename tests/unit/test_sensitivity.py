"""distilrank.sensitivity: each layer alone, and what shares are best for a time."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_dataset, random_student

from distilrank.metrics import per_query
from distilrank.pruning import magnitude_mask
from distilrank.sensitivity import (
    LEVELS,
    Probe,
    allocations,
    layer_points,
    pruned_at,
    undominated,
    unexplained,
)


def weights_left(student):
    return float(sum(np.count_nonzero(weight) for weight in student.weights))


@pytest.fixture(scope="module")
def analysed():
    generator = np.random.default_rng(0)
    dense = random_student(generator, (8, 10, 6, 1))
    vali = make_dataset(generator)
    probe = Probe.of(dense, vali, 1.0, weights_left)
    return dense, vali, probe, layer_points(dense, probe)


def test_the_error_forgives_shift_and_scale_and_nothing_else():
    wanted = np.array([1.0, 2.0, 4.0, 3.0])
    assert unexplained(wanted, 7 - 0.1 * wanted) == pytest.approx(0, abs=1e-12)
    found = np.array([1.0, 2.0, 3.0, 5.0])
    assert unexplained(wanted, found) == pytest.approx(1 - np.corrcoef(wanted, found)[0, 1] ** 2)
    assert unexplained(wanted, np.ones(4)) == 1.0


def test_each_layer_is_pruned_alone(analysed):
    dense, vali, _, points = analysed
    sizes = (80, 60, 6)
    expected = [
        (layer, level)
        for layer, size in enumerate(sizes, start=1)
        for level in LEVELS
        if round(level * size) < size
    ]
    assert [(point["layer"], point["sparsity"]) for point in points] == expected
    assert (3, 0.98) not in expected, "it would leave layer 3 nothing"
    point = next(p for p in points if (p["layer"], p["sparsity"]) == (2, 0.8))
    assert (point["weights"], point["us"]) == (60, 80 + 60 - 48 + 6)
    weights = list(dense.weights)
    weights[1] = weights[1] * magnitude_mask(weights[1], 0.8)
    scores = type(dense)(tuple(weights), dense.biases, dense.mean, dense.scale).predict(
        vali.features
    )
    values = per_query("ndcg@10", scores, vali.labels, vali.offsets, 1.0)
    assert point["ndcg@10"] == pytest.approx(values.mean())
    dense_points = [point for point in points if not point["sparsity"]]
    assert [point["error"] for point in dense_points] == pytest.approx([0] * 3, abs=1e-12)


@given(seed=st.integers(0, 2**32))
def test_the_front_is_that_of_all_combinations(seed):
    generator = np.random.default_rng(seed)
    points = [
        {"layer": layer, "sparsity": level,
         "us": 20.0 - (0 if not level else int(generator.integers(0, 6))),
         "error": 0.0 if not level else int(generator.integers(0, 8)) / 8}
        for layer in (1, 2, 3) for level in (0.0, 0.5, 0.9)
    ]  # fmt: skip
    front = undominated(points, 20.0)
    every = [
        (20.0 + sum(point["us"] - 20.0 for point in chosen), sum(p["error"] for p in chosen))
        for chosen in product(*([p for p in points if p["layer"] == n] for n in (1, 2, 3)))
    ]
    best = {us: min(error for other, error in every if other <= us) for us, _ in every}
    assert all(best[us] == error for us, error, _ in front)
    assert {error for _, error, _ in front} == set(best.values())
    assert [us for us, _, _ in front] == sorted({us for us, _, _ in front})


def test_shares_that_are_spread_take_no_longer_than_the_first_layer_alone(analysed):
    dense, _, probe, points = analysed
    lines = allocations(dense, probe, points)
    assert [line["sparsity"] for line in lines] == list(LEVELS[1:])
    for line in lines:
        # Times add up exactly here: they are the weights that are left.
        assert line["spread"]["us"] <= line["alone"]["us"]
        student = pruned_at(dense, line["spread"]["sparsities"])
        again = probe.judge(student)
        assert again == {name: line["spread"][name] for name in again}


def test_only_whole_queries_are_scored(monkeypatch):
    monkeypatch.setattr("distilrank.sensitivity._DOCUMENTS", 50)
    generator = np.random.default_rng(0)
    dense = random_student(generator)
    for documents, expected in ((20, 40), (50, 50), (60, 60)):
        vali = make_dataset(generator, documents=documents)
        probe = Probe.of(dense, vali, 1.0, weights_left)
        assert (len(probe.rows), probe.rankings.offsets[-1]) == (expected, expected)
