"""What a split's features say about themselves: the z-score before every student, and ranges."""

from collections.abc import Iterator

import numpy as np

from distilrank.letor import MISSING

_BLOCK = 65536


def fit_zscore(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, in float64, block by block.

    Missing values (`letor.MISSING`) are left out. A constant feature gets scale 1, so that it
    becomes 0 rather than a division by zero; one that is missing everywhere mean 0 and scale 1.

    Args:
        features: (documents, features) float32, possibly memory-mapped.

    Returns:
        mean, scale: (features,) float64 each, scale > 0.
    """
    total, squares = np.zeros((2, features.shape[1]))
    present = np.full(features.shape[1], len(features))
    for block in _blocks(features):
        absent = block == MISSING
        if absent.any():
            block = np.where(absent, np.float32(0), block)
            present -= np.count_nonzero(absent, axis=0)
        total += block.sum(axis=0, dtype=np.float64)
    some_missing = present.min(initial=len(features)) < len(features)
    present = np.maximum(present, 1)
    mean = total / present
    for block in _blocks(features):
        deviation = block - mean
        if some_missing:
            deviation[block == MISSING] = 0
        squares += np.square(deviation).sum(axis=0)
    scale = np.sqrt(squares / present)
    # Rounding leaves a constant feature a deviation of about its size times 1e-16, not 0.
    constant = scale <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    return mean, np.where(constant, 1.0, scale)


def present_range(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest value of each feature, block by block.

    Missing values (`letor.MISSING`) are left out; a feature that is missing everywhere gets 0, 0.

    Args:
        features: (documents, features) float32, at least one document, possibly memory-mapped.

    Returns:
        low, high: (features,) float32 each.
    """
    low = np.full(features.shape[1], MISSING)
    high = -low
    for block in _blocks(features):
        low = np.minimum(low, block.min(axis=0))
        highest = block.max(axis=0)
        # No value is larger than MISSING, so that it shows in the maximum.
        for column in np.flatnonzero(highest == MISSING):
            values = block[:, column]
            highest[column] = values.max(where=values != MISSING, initial=-MISSING)
        high = np.maximum(high, highest)
    nowhere = low == MISSING
    return np.where(nowhere, np.float32(0), low), np.where(nowhere, np.float32(0), high)


def _blocks(features: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(features), _BLOCK):
        yield features[start : start + _BLOCK]
