"""The randomisation test against full enumeration, the interval and the number of queries."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from distilrank.significance import (
    compare,
    mean_interval,
    paired_differences,
    queries_needed,
    randomisation_test,
)


def exact_p(differences: list[float]) -> float:
    """The share of all sign patterns at least as extreme as the observed one."""
    observed = abs(sum(differences))
    patterns = list(itertools.product((1, -1), repeat=len(differences)))
    extreme = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= observed - 1e-12
        for signs in patterns
    ]
    return sum(extreme) / len(patterns)


@pytest.mark.parametrize(
    "differences",
    [[0.3, 0.2, 0.1], [0.3, -0.2, 0.1], [0.1, -0.1, 0.0], [0.2] * 8, [0.1, 0.2, -0.3, 0.4, 0.05]],
)
def test_the_test_agrees_with_enumeration(differences):
    exact, permutations = exact_p(differences), 40_000
    found = randomisation_test(np.array(differences), np.random.default_rng(1), permutations)
    # Four standard errors of a share estimated from that many patterns.
    error = 4 * math.sqrt(exact * (1 - exact) / permutations) + 1 / permutations
    assert found == pytest.approx(exact, abs=error)


def test_equal_models_have_p_one():
    assert randomisation_test(np.zeros(5), np.random.default_rng(0), 99) == 1.0


def test_p_is_never_zero():
    found = randomisation_test(np.full(60, 0.5), np.random.default_rng(0), 99)
    assert found == (0 + 1) / (99 + 1)


def test_the_sign_does_not_matter_and_the_seed_repeats():
    differences = np.random.default_rng(3).normal(0.02, 0.1, 43)
    first = randomisation_test(differences, np.random.default_rng(5), 2000)
    assert first == randomisation_test(-differences, np.random.default_rng(5), 2000)
    assert 0.01 < first < 0.99


def test_blocks_do_not_change_what_is_drawn(monkeypatch):
    differences = np.random.default_rng(3).normal(0.02, 0.1, 43)
    whole = randomisation_test(differences, np.random.default_rng(5), 2000)
    monkeypatch.setattr("distilrank.significance._BLOCK", 43 * 128)
    # 128 rows of 43 bytes keep the generator's 4-byte words whole, so the draws stay the same.
    assert randomisation_test(differences, np.random.default_rng(5), 2000) == whole


def test_under_the_null_small_p_values_are_rare():
    generator = np.random.default_rng(11)
    p_values = [randomisation_test(generator.normal(0, 1, 20), generator, 199) for _ in range(400)]
    share = np.mean(np.array(p_values) <= 0.05)
    assert abs(share - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 400)


def test_the_interval_is_students():
    differences = np.array([0.1, -0.2, 0.3, 0.0])
    half = stats.t.ppf(0.975, 3) * differences.std(ddof=1) / math.sqrt(4)
    assert mean_interval(differences) == pytest.approx((0.05 - half, 0.05 + half))


@pytest.mark.parametrize("margin", [0.3, 0.05, 0.005])
def test_queries_needed_is_the_smallest_number_that_fits(margin):
    differences = np.random.default_rng(2).normal(0, 0.1, 43)
    spread = differences.std(ddof=1)
    needed = queries_needed(differences, margin)

    def half(queries: int) -> float:
        return stats.t.ppf(0.975, queries - 1) * spread / math.sqrt(queries)

    assert half(needed) <= margin
    assert needed == 2 or half(needed - 1) > margin


def test_queries_needed_of_identical_models_is_the_least_that_can_be_tested():
    assert queries_needed(np.zeros(9), 0.005) == 2


def test_a_query_left_out_of_either_model_is_left_out():
    found = paired_differences([0.5, None, 0.25, 1.0], [0.25, 0.5, float("nan"), 0.5])
    assert found.tolist() == [0.5 - 0.25, 1.0 - 0.5]


def test_compare_gathers_the_parts():
    model, other = [0.5, 0.75, 0.25, None], [0.25, 0.5, 0.5, 0.5]
    differences = np.array([0.25, 0.25, -0.25])
    found = compare(model, other, np.random.default_rng(4), 500)
    assert found.difference == pytest.approx(0.25 / 3)
    assert found.interval == pytest.approx(mean_interval(differences))
    assert found.p_value == randomisation_test(differences, np.random.default_rng(4), 500)
    assert (found.queries, found.permutations) == (3, 500)
    assert found.half_width == pytest.approx((found.interval[1] - found.interval[0]) / 2)
    assert found.as_dict()["interval"] == list(found.interval)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mean_interval(np.array([0.1])), "at least two queries"),
        (lambda: mean_interval(np.array([0.1, np.nan])), "finite"),
        (lambda: queries_needed(np.array([0.1, 0.2]), 0.0), "margin of 0.0"),
        (lambda: paired_differences([0.1, 0.2], [0.1]), "same split"),
        (
            lambda: randomisation_test(np.array([0.1, 0.2]), np.random.default_rng(0), 0),
            "0 permutations",
        ),
    ],
)
def test_bad_input_is_told(call, words):
    with pytest.raises(ValueError, match=words):
        call()
