"""distilrank.synthetic: midpoints by formula, documents drawn from them and nothing else."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import random_forest, random_student

from distilrank.forest import Forest, Tree
from distilrank.letor import MISSING
from distilrank.synthetic import Midpoints


def chain(splits: list[tuple[int, float]]) -> Tree:
    """A tree that asks each (feature, threshold) in turn, going on at the right."""
    nodes = len(splits)
    return Tree(
        np.array([feature for feature, _ in splits], np.int32),
        np.array([threshold for _, threshold in splits]),
        -np.arange(1, nodes + 1, dtype=np.int32),
        np.array([*range(1, nodes), ~nodes], np.int32),
        np.arange(nodes + 1.0),
    )


def sets_of(midpoints: Midpoints) -> list[list[float]]:
    return [part.tolist() for part in np.split(midpoints.values, midpoints.offsets[1:-1])]


def test_midpoints_of_a_hand_made_forest():
    forest = Forest((chain([(0, 4.0), (2, 1.0), (0, 1.0)]), chain([(0, 4.0), (2, 9.0)])), 4)
    midpoints = Midpoints.of(forest, np.array([0, -1, 2, 7.0]), np.array([10, 3, 3, 7.0]))
    assert sets_of(midpoints) == [
        [(0 + 1) / 2, (1 + 4) / 2, (4 + 10) / 2],  # min, thresholds 1 and 4, max
        [(-1 + 3) / 2],  # never asked: between min and max
        [(2 + 3) / 2],  # thresholds beyond the data leave no midpoint
        [7.0],  # constant
    ]
    assert midpoints.values.dtype == np.float32
    assert midpoints.offsets.tolist() == [0, 3, 4, 5, 6]


@given(seed=st.integers(0, 2**32))
def test_midpoints_are_what_the_formula_says(seed):
    generator = np.random.default_rng(seed)
    forest = random_forest(generator, 3, 8, 4)
    low, high = np.sort(generator.integers(-4, 5, (2, 4)), axis=0).astype(np.float64)
    expected = []
    for feature in range(4):
        splits = [pair for t in forest.trees for pair in zip(t.feature, t.threshold, strict=True)]
        asked = {threshold for column, threshold in splits if column == feature}
        asked = {threshold for threshold in asked if low[feature] <= threshold <= high[feature]}
        points = sorted(asked | {low[feature], high[feature]})
        between = [(a + b) / 2 for a, b in pairwise(points)]
        expected.append(between or points)
    assert sets_of(Midpoints.of(forest, low, high)) == expected


@pytest.mark.filterwarnings("error")
def test_the_largest_numbers_do_not_overflow():
    low, high = np.array([3.2e38, -3.4e38], np.float32), np.array([3.4e38, 3.4e38], np.float32)
    midpoints = Midpoints.of(Forest((chain([(0, 3.3e38)]),), 2), low, high)
    first, second, balanced = midpoints.values.astype(np.float64)
    step = float(np.spacing(np.float32(3.4e38)))
    assert abs(first - (float(low[0]) + 3.3e38) / 2) <= step
    assert abs(second - (3.3e38 + float(high[0])) / 2) <= step
    assert balanced == 0.0


def test_no_midpoint_lies_beside_the_threshold_of_missing_values():
    """LightGBM puts it half-way from the largest value to the largest float32."""
    beside = (10.0 + float(MISSING)) / 2
    forest = Forest((chain([(0, 4.0), (0, beside), (1, beside)]),), 2)
    midpoints = Midpoints.of(forest, np.array([0, 0.0]), np.array([10, 0.0]))
    assert sets_of(midpoints) == [[(0 + 4) / 2, (4 + 10) / 2], [0.0]]


def test_midpoints_of_other_features_are_refused():
    with pytest.raises(ValueError):
        Midpoints.of(Forest((chain([(0, 1.0)]),), 2), np.zeros(3), np.ones(3))


SETS = Midpoints(
    np.array([1, 2, 3, -5, 10, 20], np.float32), np.array([0, 3, 4, 6], dtype=np.int64)
)


@given(documents=st.integers(0, 50), seed=st.integers(0, 2**32))
def test_every_value_comes_from_its_features_own_set(documents, seed):
    drawn = SETS.draw(documents, np.random.default_rng(seed))
    assert (drawn.shape, drawn.dtype) == ((documents, 3), np.float32)
    for column, allowed in enumerate(sets_of(SETS)):
        assert set(drawn[:, column].tolist()) <= set(allowed)


def test_values_are_drawn_alike_often_and_independently():
    """Each of the 6 pairs of the first and last feature has probability 1/6."""
    count = 60_000
    drawn = SETS.draw(count, np.random.default_rng(0))
    pairs, counts = np.unique(drawn[:, [0, 2]], axis=0, return_counts=True)
    assert len(pairs) == 6
    # Five standard deviations of a binomial count: a false alarm once in about 300,000 seeds.
    deviation = (count * (1 / 6) * (5 / 6)) ** 0.5
    assert np.abs(counts - count / 6).max() < 5 * deviation


def test_documents_are_drawn_from_the_generator_alone():
    once = SETS.draw(100, np.random.default_rng(1))
    assert np.array_equal(once, SETS.draw(100, np.random.default_rng(1)))
    assert not np.array_equal(once, SETS.draw(100, np.random.default_rng(2)))
    generator = np.random.default_rng(1)
    assert not np.array_equal(SETS.draw(100, generator), SETS.draw(100, generator)), "drawn anew"


def test_a_file_holds_them_all(tmp_path):
    SETS.save(tmp_path / "midpoints.safetensors")
    loaded = Midpoints.load(tmp_path / "midpoints.safetensors")
    assert (loaded.values.tolist(), loaded.offsets.tolist()) == (
        SETS.values.tolist(), SETS.offsets.tolist(),
    )  # fmt: skip
    SETS.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "midpoints.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("cut", [0, 4, 50, -1])
def test_a_cut_file_is_refused(tmp_path, cut):
    path = tmp_path / "midpoints.safetensors"
    SETS.save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError) as raised:
        Midpoints.load(path)
    assert str(raised.value).startswith(f"{path} holds no midpoints")


def test_another_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "student.safetensors"
    random_student(np.random.default_rng(0)).save(path)
    with pytest.raises(ValueError, match="holds no midpoints"):
        Midpoints.load(path)
