"""distilrank.forest: the reference traversal against one comparison at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import random_forest, slow_tree_score

from distilrank.forest import Forest, Tree

FEATURES = 4


def stump(feature: int, threshold: float, left: float, right: float) -> Tree:
    return Tree(
        np.array([feature], np.int32),
        np.array([threshold]),
        np.array([~0], np.int32),
        np.array([~1], np.int32),
        np.array([left, right]),
    )


LEAF = Tree(np.empty(0, np.int32), np.empty(0), np.empty(0, np.int32), np.empty(0, np.int32),
            np.array([2.5]))  # fmt: skip


@given(seed=st.integers(0, 2**32), leaves=st.integers(1, 20), trees=st.integers(0, 5))
def test_scores_are_the_sum_of_what_each_tree_says(seed, leaves, trees):
    generator = np.random.default_rng(seed)
    forest = random_forest(generator, trees, leaves, FEATURES)
    # Half steps, so that many values equal a threshold.
    rows = (generator.integers(-4, 5, (30, FEATURES)) / 2).astype(np.float32)
    expected = [sum(slow_tree_score(tree, row) for tree in forest.trees) for row in rows]
    assert forest.predict(rows).tolist() == expected
    assert forest.max_leaves == (leaves if trees else 0)


def test_a_value_equal_to_the_threshold_goes_left():
    rows = np.array([[0, 1.0], [0, np.nextafter(np.float32(1), np.float32(2))]], np.float32)
    assert stump(1, 1.0, -1.0, +1.0).predict(rows).tolist() == [-1.0, +1.0]


def test_thresholds_are_compared_in_float64():
    """0.1 in float32 is above 0.1 in float64: rounding the threshold would send it left."""
    row = np.array([[0.1]], np.float32)
    assert float(row[0, 0]) > 0.1
    assert stump(0, 0.1, -1.0, +1.0).predict(row).tolist() == [+1.0]


def test_a_tree_of_one_leaf_scores_every_row_alike():
    assert LEAF.leaves == 1
    assert Forest((LEAF, LEAF), 3).predict(np.zeros((2, 3))).tolist() == [5.0, 5.0]


def test_thresholds_are_sorted_and_distinct_by_feature():
    trees = (stump(2, 1.5, 0, 1), stump(0, 3.0, 0, 1), stump(2, -1.0, 0, 1), stump(2, 1.5, 2, 3))
    found = Forest((*trees, LEAF), 4).thresholds()
    assert [values.tolist() for values in found] == [[3.0], [], [-1.0, 1.5], []]


def test_a_forest_without_trees_has_no_thresholds():
    assert [len(values) for values in Forest((), 2).thresholds()] == [0, 0]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 5), (1, 4, 1)])
def test_rows_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError) as raised:
        Forest((LEAF,), 4).predict(np.zeros(shape))
    assert str(raised.value) == f"rows of shape {shape} given, (documents, 4) expected"
