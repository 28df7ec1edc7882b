"""Pooling over folds and averaging over seeds, before any test: each query counts once."""

import math
from statistics import fmean, stdev

import numpy as np
import pytest

from distilrank.matched import Rules
from distilrank.results import Key, Quality
from distilrank.significance import mean_interval, randomisation_test
from tests.result_files import forest, network, quality

RULES = Rules(batch=256, margin=0.005, permutations=2000)


def run(model, values, first_qid=0):
    """One quality file whose test queries are numbered from ``first_qid``."""
    content = quality(model, values, values)
    content["splits"]["test"]["qids"] = [first_qid + at for at in range(len(values))]
    return content


def test_folds_are_pooled_by_query_and_not_averaged_by_fold():
    parts = {1: [0.1, 0.2, 0.3], 2: [0.9], 3: [0.5, 0.7]}
    starts = {1: 0, 2: 3, 3: 4}
    runs = [run(network(fold=fold), values, starts[fold]) for fold, values in parts.items()]
    found = Quality(Key.of(network()), runs)
    pooled = found.per_query("test")
    every = [value for values in parts.values() for value in values]
    assert pooled.tolist() == every
    assert pooled.index.get_level_values("qid").tolist() == list(range(6)), "each of them once"
    assert found.mean("test") == pytest.approx(fmean(every))
    assert fmean(every) != pytest.approx(fmean(map(fmean, parts.values())))


def test_each_query_is_averaged_over_seeds_before_the_test():
    generator = np.random.default_rng(3)
    values = generator.uniform(0, 1, (3, 2, 12))  # seeds, folds, queries
    teacher = generator.uniform(0, 1, (2, 12))
    runs = [
        run(network(fold=fold + 1, seed=seed + 1), values[seed, fold].tolist(), 12 * fold)
        for fold in range(2)
        for seed in range(3)
    ]
    student = Quality(Key.of(network()), runs)
    theirs = Quality(
        Key.of(forest()),
        [run(forest(fold=fold + 1), teacher[fold].tolist(), 12 * fold) for fold in range(2)],
    )
    means = values.mean(axis=0).ravel()
    np.testing.assert_allclose(student.per_query("test"), means, rtol=1e-15)
    differences = means - teacher.ravel()
    found = RULES.compare(student, theirs)
    # 24 queries and not 72 values: seeds are no queries.
    assert found.queries == 24
    assert found.difference == pytest.approx(differences.mean())
    assert found.interval == pytest.approx(mean_interval(differences))
    assert found.p_value == randomisation_test(differences, np.random.default_rng(0), 2000)
    # Beside it the spread over seeds: each seed's mean over all queries of all folds.
    by_seed = values.reshape(3, -1).mean(axis=1)
    assert student.seed_means("test") == pytest.approx(by_seed)
    assert student.seed_spread("test") == pytest.approx(stdev(by_seed))
    assert math.isnan(theirs.seed_spread("test"))
