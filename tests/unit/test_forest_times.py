"""The time model of forests, on times made from known costs."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from tiny import slow_tree_score

from distilrank.forest import Forest, Tree
from distilrank.forest_times import (
    ForestFacts,
    ForestModel,
    ForestSample,
    fit_forests,
    forest_counts,
    forest_design,
    random_forest,
)
from distilrank.native_net import Geometry

GEOMETRY = Geometry.of("avx512", {})
SETTINGS = {"forests": 12, "seed": 1, "trees": [5, 60], "leaves": [4, 20], "features": [10, 30]}


def known_time(facts, batch):
    """2 us a call, 1 ns a node on a document's way, 3 ns a node split for a block."""
    counts = forest_counts(facts, batch, GEOMETRY)
    return 2 + 0.001 * counts["walk.step"] + 0.003 * counts["block.node"]


@pytest.fixture(scope="module")
def samples():
    return [
        ForestSample(part, facts, batch, (known_time(facts, batch),) * 3)
        for part, forest in forest_design(SETTINGS)
        for facts in [ForestFacts.of(forest)]
        for batch in (1, 6, 20, 100, 256, 1000)
    ]


def test_a_forests_facts_are_counted():
    # The root's right child asks for the same threshold of the same feature.
    tree = Tree(
        np.array([0, 0]), np.array([1.0, 1.0]), np.array([~0, ~1]), np.array([1, ~2]), np.zeros(3)
    )
    facts = ForestFacts.of(Forest((tree, tree), 4))
    assert (facts.trees, facts.nodes, facts.thresholds, facts.searches) == (2, 4, 1, 1)
    assert (facts.levels, facts.mean_path, facts.walked) == (1, 2 * 1.5, 2 * 2)


@pytest.mark.parametrize(
    ("batch", "words"), [(7, 1), (64, 1), (65, 2), (256, 4), (512, 8), (1000, 16), (514, 8)]
)
def test_calls_are_cut_as_the_scorer_cuts_them(batch, words):
    facts = ForestFacts(4, 2, 10, 8, 4, 8, 6.0, 8.0)
    counts = forest_counts(facts, batch, GEOMETRY)
    assert counts["block.node_word"] == words * 10
    assert counts["walk.tree"] == (2 * 2 if batch == 514 else 0)


def test_known_costs_are_found_again_and_held_out_forests_have_no_influence(samples):
    wrong = [replace(s, rounds=(9e9,)) if s.part == "validate" else s for s in samples]
    model = fit_forests(wrong, GEOMETRY)
    assert {sample.part for sample in samples} == {"fit", "validate"}
    for sample in samples:
        assert model.call(sample.facts, sample.batch) == pytest.approx(sample.median, rel=0.05)
    content = json.loads(json.dumps(model.as_json()))
    assert ForestModel.from_json(content) == model
    assert content["costs"]["walk.step"]["unit"] == "us/node"
    assert ForestSample.from_json(json.loads(json.dumps(asdict(samples[0])))) == samples[0]


def test_fewer_samples_than_costs_are_an_error(samples):
    with pytest.raises(ValueError, match=r"\d samples of forests to fit \d+ costs.*raise forests"):
        fit_forests(samples[:5], GEOMETRY)


def test_random_forests_are_trees():
    forest = random_forest(np.random.default_rng(0), 5, 9, 6, 8)
    rows = np.random.default_rng(1).standard_normal((20, 6)).astype(np.float32)
    expected = [sum(slow_tree_score(tree, row) for tree in forest.trees) for row in rows]
    np.testing.assert_allclose(forest.predict(rows), expected)
    assert all(tree.leaves == 9 for tree in forest.trees)
