"""The randomisation test against full enumeration, the intervals and the number of queries."""

import itertools
import json
import math
import time

import numpy as np
import pytest
from scipy import stats

from distilrank.significance import (
    compare,
    effect_size,
    mean_interval,
    paired_differences,
    queries_to_detect,
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


def test_ten_thousand_permutations_of_all_of_web30ks_test_queries_take_no_time():
    differences = np.random.default_rng(0).normal(0.001, 0.1, 6306)
    start = time.process_time()
    randomisation_test(differences, np.random.default_rng(0), 10_000)
    # 0.2 s on an idle core; a loop over permutations would take a minute.
    assert time.process_time() - start < 5


def test_under_the_null_small_p_values_are_rare():
    generator = np.random.default_rng(11)
    p_values = [randomisation_test(generator.normal(0, 1, 20), generator, 199) for _ in range(400)]
    share = np.mean(np.array(p_values) <= 0.05)
    assert abs(share - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 400)


def test_the_interval_is_students():
    differences = np.array([0.1, -0.2, 0.3, 0.0])
    half = stats.t.ppf(0.975, 3) * differences.std(ddof=1) / math.sqrt(4)
    assert mean_interval(differences) == pytest.approx((0.05 - half, 0.05 + half))


@pytest.mark.parametrize("queries", [2, 3, 43, 6306])
@pytest.mark.parametrize("shift", [-0.4, 0.0, 0.05])
def test_the_effect_sizes_limits_leave_a_fortieth_on_either_side(queries, shift):
    differences = np.random.default_rng(queries).normal(shift, 0.1, queries)
    effect, (low, high) = effect_size(differences)
    assert effect == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert low < effect < high
    root = math.sqrt(queries)
    for limit, below in ((low, 0.975), (high, 0.025)):
        # Were the true effect at the limit, how often would a lower one be found than this one?
        assert stats.nct.cdf(effect * root, queries - 1, limit * root) == pytest.approx(
            below, abs=1e-4
        )


def test_the_effect_sizes_interval_of_many_queries_is_the_normal_one():
    differences = np.random.default_rng(1).normal(0.02, 0.1, 6306)
    effect, (low, high) = effect_size(differences)
    # The large-sample variance of d: 1/n + d^2 / (2 n).
    half = stats.norm.ppf(0.975) * math.sqrt((1 + effect**2 / 2) / 6306)
    assert (low, high) == pytest.approx((effect - half, effect + half), abs=1e-4)


def test_the_effect_sizes_interval_covers_the_truth_as_often_as_it_says():
    generator, truth = np.random.default_rng(5), 0.3
    found = [effect_size(generator.normal(truth, 1, 12))[1] for _ in range(1000)]
    share = np.mean([low <= truth <= high for low, high in found])
    assert abs(share - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 1000)


@pytest.mark.parametrize("differences", [[0.0] * 5, [0.1] * 9, [0.5, 0.5 + 1e-9], [-3.0, -3.1]])
def test_equal_differences_have_no_effect_size(differences):
    effect, ends = effect_size(np.array(differences))
    assert np.isnan([effect, *ends]).all()


@pytest.mark.parametrize("difference", [0.3, 0.05, 0.005])
@pytest.mark.parametrize("power", [0.5, 0.8])
def test_queries_to_detect_is_the_smallest_number_that_has_the_power(difference, power):
    differences = np.random.default_rng(2).normal(0, 0.1, 43)
    needed = queries_to_detect(differences, difference, power=power)

    def found(queries: int) -> float:
        critical = stats.t.ppf(0.975, queries - 1)
        shift = difference / differences.std(ddof=1) * math.sqrt(queries)
        return stats.nct.sf(critical, queries - 1, shift) + stats.nct.cdf(
            -critical, queries - 1, shift
        )

    assert found(needed) >= power
    assert needed == 2 or found(needed - 1) < power


def test_queries_to_detect_is_near_the_textbooks_formula():
    differences = np.random.default_rng(2).normal(0, 0.1, 43)
    quantiles = stats.norm.ppf([0.975, 0.8])
    ratio = quantiles.sum() * differences.std(ddof=1) / 0.005
    # Guenther (1981, The American Statistician 35(4)): the normal formula, and half of z squared.
    expected = ratio**2 + quantiles[0] ** 2 / 2
    assert queries_to_detect(differences, 0.005) == pytest.approx(expected, abs=1.5)


def test_as_many_queries_detect_a_difference_and_show_equality_as_often_as_said():
    spread, margin, rounds = 0.1, 0.03, 1500
    known = np.array([1.0, -1.0] * 50)
    queries = queries_to_detect(spread * known / known.std(ddof=1), margin)
    generator = np.random.default_rng(8)
    equal = generator.normal(0, spread, (rounds, queries))
    shown = np.mean([mean_interval(row)[0] > -margin for row in equal])
    detected = np.mean(
        [randomisation_test(row - margin, generator, 199) < 0.05 for row in equal[:500]]
    )
    assert abs(shown - 0.8) < 4 * math.sqrt(0.8 * 0.2 / rounds)
    assert abs(detected - 0.8) < 4 * math.sqrt(0.8 * 0.2 / 500)


@pytest.mark.parametrize("spread", [0.0, 1e-12])
def test_two_queries_detect_what_all_of_them_share(spread):
    assert queries_to_detect(np.array([spread, 0.0, -spread]), 0.005) == 2


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
    assert (found.effect, found.effect_interval) == effect_size(differences)
    told = found.as_dict()
    assert told["interval"] == list(found.interval)
    assert told["effect_interval"] == list(found.effect_interval)


def test_a_file_says_null_where_there_is_no_effect_size():
    told = compare([0.5, 0.25], [0.5, 0.25], np.random.default_rng(0), 99).as_dict()
    assert told["effect"] is told["effect_interval"] is None
    assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mean_interval(np.array([0.1])), "at least two queries"),
        (lambda: mean_interval(np.array([0.1, np.nan])), "finite"),
        (lambda: queries_to_detect(np.array([0.1, 0.2]), 0.0), "difference of 0.0"),
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
