"""distilrank.scaling: mean and deviation to float64's precision, whatever the size of the data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilrank.letor import MISSING
from distilrank.scaling import fit_zscore, present_range


def slow(column: np.ndarray) -> tuple[float, float]:
    """Mean and population deviation with exactly rounded sums."""
    values = [float(value) for value in column]
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


@given(
    seed=st.integers(0, 2**32),
    centre=st.sampled_from([0.0, 1e-30, 1.0, -1e9, 3e38]),
    spread=st.sampled_from([1e-38, 1e-6, 1.0, 1e9, 1e38]),
)
def test_each_column_equals_exact_sums(seed, centre, spread):
    noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (50, 2))
    features = (centre + spread * noise).astype(np.float32)
    mean, scale = fit_zscore(features)
    assert mean.dtype == scale.dtype == np.float64
    for column in range(2):
        expected_mean, expected_scale = slow(features[:, column])
        size = float(np.abs(features[:, column]).max())
        assert mean[column] == pytest.approx(expected_mean, rel=1e-13, abs=1e-13 * size)
        if len(set(features[:, column].tolist())) == 1:
            assert scale[column] == 1.0
        else:
            assert scale[column] == pytest.approx(expected_scale, rel=1e-6)


def test_more_rows_than_one_block():
    """0, 1, ..., n - 1 has mean (n - 1) / 2 and variance (n^2 - 1) / 12."""
    count = 2 * 65536 + 7
    features = np.stack([np.arange(count), -np.arange(count)], axis=1).astype(np.float32)
    mean, scale = fit_zscore(features)
    expected = math.sqrt((count**2 - 1) / 12)
    assert mean.tolist() == pytest.approx([(count - 1) / 2, -(count - 1) / 2], rel=1e-12)
    assert scale.tolist() == pytest.approx([expected, expected], rel=1e-12)


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, -1e9, 3.4e38, 1e-45, 1 / 3])
@pytest.mark.parametrize("count", [1, 3, 1000])
def test_a_constant_feature_becomes_zero(value, count):
    features = np.full((count, 1), value, np.float32)
    mean, scale = fit_zscore(features)
    assert scale.tolist() == [1.0]
    assert abs((float(features[0, 0]) - mean[0]) / scale[0]) <= 1e-12 * abs(value)


def test_a_feature_that_varies_a_little_is_not_constant():
    """The smallest step that float32 has at 1000."""
    features = np.full((1000, 1), 1000, np.float32)
    features[0] = np.nextafter(np.float32(1000), np.float32(2000))
    step = float(features[0, 0]) - 1000
    assert fit_zscore(features)[1][0] == pytest.approx(step * math.sqrt(999) / 1000, rel=1e-6)


def test_a_mapped_file_is_read_as_an_array_is(fold):
    mapped = np.load(fold.data["train"] / "features.npy", mmap_mode="r")
    for one, other in zip(fit_zscore(mapped), fit_zscore(np.array(mapped)), strict=True):
        assert one.tolist() == other.tolist()


@pytest.fixture
def with_missing():
    """More than one block; by column: some missing, only in the last block, none, all."""
    count = 65536 + 1000
    features = np.random.default_rng(0).normal(3, 2, (count, 4)).astype(np.float32)
    features[::3, 0] = MISSING
    features[-10:, 1] = MISSING
    features[:, 3] = MISSING
    return features


def test_missing_values_are_left_out_of_the_z_score(with_missing):
    mean, scale = fit_zscore(with_missing)
    for column in range(3):
        values = with_missing[:, column]
        expected = slow(values[values != MISSING])
        assert (mean[column], scale[column]) == pytest.approx(expected, rel=1e-12)
    assert (mean[3], scale[3]) == (0.0, 1.0)


def test_a_feature_of_one_value_and_missing_ones_is_constant():
    features = np.array([[7], [MISSING], [7]], np.float32)
    assert [part.tolist() for part in fit_zscore(features)] == [[7.0], [1.0]]


def test_missing_values_are_left_out_of_the_range(with_missing):
    low, high = present_range(with_missing)
    assert low.dtype == high.dtype == np.float32
    for column in range(3):
        values = with_missing[:, column]
        values = values[values != MISSING].tolist()
        assert (low[column], high[column]) == (min(values), max(values))
    assert (low[3], high[3]) == (0, 0)


def test_a_range_below_zero_and_a_single_document():
    features = np.array([[-3, MISSING], [-2, 5], [MISSING, MISSING]], np.float32)
    assert [part.tolist() for part in present_range(features)] == [[-3, 5], [-2, 5]]
    assert [part.tolist() for part in present_range(features[:1])] == [[-3, 0], [-3, 0]]
