"""The z-score that stands before every student."""

import numpy as np


def fit_zscore(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, in float64, block by block.

    A constant feature gets scale 1, so that it becomes 0 rather than a division by zero.

    Args:
        features: (documents, features) float32, possibly memory-mapped.

    Returns:
        mean, scale: (features,) float64 each, scale > 0.
    """
    blocks = range(0, len(features), 65536)
    total = sum(features[start : start + 65536].sum(axis=0, dtype=np.float64) for start in blocks)
    mean = total / len(features)
    squares = np.zeros(features.shape[1])
    for start in blocks:
        squares += np.square(features[start : start + 65536] - mean).sum(axis=0)
    scale = np.sqrt(squares / len(features))
    # Rounding leaves a constant feature a deviation of about its size times 1e-16, not 0.
    constant = scale <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    return mean, np.where(constant, 1.0, scale)
