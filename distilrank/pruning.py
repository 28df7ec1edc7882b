"""Pruning by magnitude: which weights of a student stay (Han et al., NeurIPS 2015), and when."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distilrank.student import Student

Masks = list[np.ndarray | None]


def magnitude_mask(weight: np.ndarray, sparsity: float) -> np.ndarray:
    """True for the weights that stay when the smallest in magnitude go.

    Exactly ``round(sparsity * size)`` weights go; among equal magnitudes the earlier ones.

    Args:
        weight: (outputs, inputs) floats.
        sparsity: the share of zeros asked for, 0 <= sparsity < 1.

    Returns:
        (outputs, inputs) bool.

    Raises:
        ValueError: if the sparsity is out of range, or a weight NaN.
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity {sparsity}, expected a share of zeros: 0 <= sparsity < 1")
    if np.isnan(weight).any():
        raise ValueError(
            f"{np.isnan(weight).sum()} of {weight.size} weights are NaN, which have no magnitude "
            "to prune by"
        )
    mask = np.ones(weight.size, dtype=bool)
    order = np.argsort(np.abs(weight), axis=None, kind="stable")
    mask[order[: _gone(weight, sparsity)]] = False
    return mask.reshape(weight.shape)


def _gone(weight: np.ndarray, sparsity: float) -> int:
    return round(sparsity * weight.size)


def pruned_layers(layers: Sequence[int] | str, student: Student) -> list[int]:
    """The layers that a recipe's ``prune.layers`` means: those it lists, or all hidden ones."""
    return list(range(1, len(student.weights))) if layers == "hidden" else list(layers)


def masks_for(student: Student, layers: Sequence[int], sparsity: float) -> Masks:
    """One mask for each layer of ``student``: None for the layers that are not pruned.

    A weight that is 0 already stays so: what was pruned does not come back.

    Args:
        layers: counted from 1, as in the config; the first layer is the one that reads features.
        sparsity: the share of zeros of each of them.

    Raises:
        ValueError: if the student has no such layer, or one would be left without a weight.
    """
    masks: Masks = [None] * len(student.weights)
    for layer in layers:
        if not 1 <= layer <= len(masks):
            raise ValueError(
                f"prune.layers names layer {layer}; {student.architecture} has layers 1 to "
                f"{len(masks)}"
            )
        weight = student.weights[layer - 1]
        mask = magnitude_mask(weight, sparsity) & (weight != 0)
        if not mask.any():
            raise ValueError(
                f"sparsity {sparsity} leaves layer {layer} of {student.architecture} none of its "
                f"{weight.size} weights: lower it, or take the layer out of prune.layers"
            )
        masks[layer - 1] = mask
    return masks


def cubic_sparsity(sparsity: float, epoch: int, ramp: int) -> float:
    """The share of zeros in ``epoch`` (from 1), which rises to ``sparsity`` in epoch ``ramp``.

    ``sparsity * (1 - (1 - epoch / ramp) ** 3)``: fast at first, when there is much to spare (Zhu
    and Gupta, 2017, arXiv 1710.01878, equation 1).
    """
    return sparsity * (1 - (1 - min(1.0, epoch / ramp)) ** 3)


def rising_masks(
    dense: Student, layers: Sequence[int], sparsity: float, ramp: int
) -> Callable[[int, Student], Masks]:
    """Each epoch's masks, made of the network as it is when the epoch starts.

    They take in more weights up to epoch ``ramp`` and then hold. The same network has the same
    masks whenever asked, so that training can be resumed.

    Args:
        dense: what is going to be pruned.
        ramp: the epoch, from 1, in which the sparsity is reached; 1 = all at once.

    Raises:
        ValueError: as `masks_for`, before anything is trained.
    """
    masks_for(dense, layers, sparsity)
    return lambda epoch, student: masks_for(student, layers, cubic_sparsity(sparsity, epoch, ramp))


def pruned_from(student: Student, layers: Sequence[int]) -> dict[str, Any]:
    """What a pruned student's file keeps of its shape before dead neurons were removed.

    Returns:
        ``architecture``, ``zeros`` of every layer and the pruned ``layers``.
    """
    zeros = [int(weight.size - np.count_nonzero(weight)) for weight in student.weights]
    return {"architecture": student.architecture, "zeros": zeros, "layers": sorted(layers)}


def check_pruned(student: Student, layers: Sequence[int], sparsity: float) -> None:
    """Raise ``ValueError`` if a layer of ``student`` has fewer zeros than were asked for."""
    for layer in layers:
        weight = student.weights[layer - 1]
        zeros, wanted = weight.size - np.count_nonzero(weight), _gone(weight, sparsity)
        if zeros < wanted:
            raise ValueError(
                f"layer {layer} has {zeros} zeros, expected {wanted}: pruned weights came back"
            )
