"""distilrank.lightgbm_text.write_lightgbm_text: read back, by LightGBM and natively, to the bit."""

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import random_forest

from distilrank.forest import Forest, Tree, around_zero
from distilrank.lightgbm_text import read_lightgbm_text, write_lightgbm_text
from distilrank.scorer import Scorer

FEATURES = 4
# 0 = nothing is missing; NaN or zero is, and goes right or left.
ROUTES = [0, 2, 3, 4, 5]


def forest_with_routes(seed: int, trees: int, leaves: int) -> Forest:
    """Random trees with numbers of every size, one of a single leaf in front of them."""
    generator = np.random.default_rng(seed)
    made = random_forest(generator, trees, leaves, FEATURES)
    whole = [
        Tree(*(np.empty(0, t) for t in (np.int32, float, np.int32, np.int32)), np.array([0.1]))
    ]
    for tree in made.trees:
        nodes = len(tree.feature)
        size = 10.0 ** generator.integers(-40, 300, nodes)
        threshold = np.where(generator.random(nodes) < 0.5, tree.threshold, tree.threshold * size)
        route = generator.choice(ROUTES, nodes).astype(np.uint8)
        value = generator.normal(size=leaves) * 10.0 ** generator.integers(-20, 20, leaves)
        whole.append(
            Tree(tree.feature, around_zero(threshold), tree.left, tree.right, value, route)
        )
    return Forest(tuple(whole), FEATURES)


def some_rows(forest: Forest, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    limit = np.finfo(np.float32).max
    known = np.concatenate([*forest.thresholds(), [0, np.nan, limit, -limit, 1e-40, 1e-35]])
    known = known[~(np.abs(known) > limit)].astype(np.float32)
    return generator.choice(np.concatenate([known, -known]), (100, FEATURES))


@given(seed=st.integers(0, 2**32), trees=st.integers(1, 4), leaves=st.integers(2, 40))
@settings(max_examples=40)
def test_a_forest_is_read_back_as_it_was(tmp_path_factory, native_library, seed, trees, leaves):
    forest = forest_with_routes(seed, trees, leaves)
    path = tmp_path_factory.mktemp("written") / "model.txt"
    write_lightgbm_text(forest, path)
    back = read_lightgbm_text(path)
    assert back.n_features == FEATURES and len(back.trees) == len(forest.trees)
    for tree, again in zip(forest.trees, back.trees, strict=True):
        for name in ("feature", "threshold", "left", "right", "value", "route"):
            np.testing.assert_array_equal(getattr(again, name), getattr(tree, name), name)
    rows = some_rows(forest, seed)
    expected = forest.predict(rows)
    booster = lightgbm.Booster(model_file=path)
    np.testing.assert_array_equal(booster.predict(rows, raw_score=True, num_threads=1), expected)
    with_library = {"library": native_library}
    np.testing.assert_array_equal(
        Scorer(path, **with_library).score(rows), Scorer(forest, **with_library).score(rows)
    )
    if np.isfinite(expected.astype(np.float32)).all():
        np.testing.assert_allclose(
            Scorer(forest, **with_library).score(rows), expected,
            rtol=1e-5, atol=1e-5 * np.abs(np.concatenate([t.value for t in forest.trees])).max(),
        )  # fmt: skip


def test_a_forest_without_a_tree_is_refused(tmp_path):
    path = tmp_path / "model.txt"
    with pytest.raises(ValueError) as raised:
        write_lightgbm_text(Forest((), 3), path)
    assert str(raised.value) == f"a forest without a tree cannot be written to {path}"
    assert not path.exists()


def test_lightgbm_cuts_what_was_written(tmp_path):
    """A prefix of an imported forest goes through LightGBM."""
    forest = forest_with_routes(3, 3, 6)
    path, cut = tmp_path / "model.txt", tmp_path / "cut.txt"
    write_lightgbm_text(forest, path)
    booster = lightgbm.Booster(model_file=path)
    cut.write_text(booster.model_to_string(num_iteration=2))
    rows = some_rows(forest, 1)
    np.testing.assert_array_equal(
        read_lightgbm_text(cut).predict(rows), Forest(forest.trees[:2], FEATURES).predict(rows)
    )
