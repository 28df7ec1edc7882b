"""Magnitude pruning: which weights of a student stay (Han et al., NeurIPS 2015)."""

from collections.abc import Sequence

import numpy as np

from distilrank.student import Student


def magnitude_mask(weight: np.ndarray, sparsity: float) -> np.ndarray:
    """True for the weights that stay when the smallest in magnitude go.

    Exactly ``round(sparsity * size)`` weights go; among equal magnitudes the earlier ones.

    Args:
        weight: (outputs, inputs) floats.
        sparsity: the share of zeros asked for, 0 <= sparsity < 1.

    Returns:
        (outputs, inputs) bool.

    Raises:
        ValueError: if the sparsity is out of range.
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity {sparsity}, expected a share of zeros: 0 <= sparsity < 1")
    mask = np.ones(weight.size, dtype=bool)
    order = np.argsort(np.abs(weight), axis=None, kind="stable")
    mask[order[: round(sparsity * weight.size)]] = False
    return mask.reshape(weight.shape)


def masks_for(student: Student, layers: Sequence[int], sparsity: float) -> list[np.ndarray | None]:
    """One mask for each layer of ``student``: by magnitude for ``layers``, None for the others.

    Args:
        layers: counted from 1, as in the config; the first layer is the one that reads features.

    Raises:
        ValueError: if the student has no such layer.
    """
    count = len(student.weights)
    wrong = [layer for layer in layers if not 1 <= layer <= count]
    if wrong:
        raise ValueError(
            f"prune.layers names layer {wrong[0]}; {student.architecture} has layers 1 to {count}"
        )
    return [
        magnitude_mask(weight, sparsity) if layer in layers else None
        for layer, weight in enumerate(student.weights, start=1)
    ]


def check_masked(student: Student, masks: Sequence[np.ndarray | None]) -> None:
    """Raise ``ValueError`` if a weight outside its mask is not 0."""
    for layer, (weight, mask) in enumerate(zip(student.weights, masks, strict=True), start=1):
        if mask is not None and weight[~mask].any():
            raise ValueError(
                f"layer {layer} has {np.count_nonzero(weight[~mask])} unpruned weights"
            )
