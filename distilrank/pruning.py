"""Pruning by magnitude: which weights of a student stay (Han et al., NeurIPS 2015)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilrank.student import Student

Masks = list[np.ndarray | None]
# Of an input that never varies: its weights go first, yet the smaller ones before the others.
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True)
class Pruning:
    """What is pruned and when; keys of a recipe's `prune` in the config.

    Attributes:
        layers: those pruned, counted from 1: the first layer reads the features.
        scope: ``layer``: each layer loses the same share. ``global``: the smallest of all named
            layers together go. ``lamp``: the same by `lamp_scores`.
        importance: of a weight: its ``magnitude``, or that times the standard deviation of its
            input (``activation``).
        schedule: ``one-shot``, ``gradual`` or ``iterative``; see `pruning_schedules`.
        ramp: epochs in which a gradual schedule reaches its sparsity.
        rounds: of pruning and training, of an iterative schedule.
        rewind: each round starts from the dense student's weights.
    """

    layers: Sequence[int]
    scope: str = "layer"
    importance: str = "magnitude"
    schedule: str = "one-shot"
    ramp: int = 1
    rounds: int = 1
    rewind: bool = False


def magnitude_mask(importance: np.ndarray, sparsity: float) -> np.ndarray:
    """True for the weights that stay when the least important in magnitude go.

    Exactly ``round(sparsity * size)`` weights go; among equal magnitudes the earlier ones.

    Args:
        importance: (outputs, inputs) floats: the weights, or their importance.
        sparsity: the share of zeros asked for, 0 <= sparsity < 1.

    Returns:
        (outputs, inputs) bool.

    Raises:
        ValueError: if the sparsity is out of range, or a weight NaN.
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity {sparsity}, expected a share of zeros: 0 <= sparsity < 1")
    if np.isnan(importance).any():
        raise ValueError(
            f"{np.isnan(importance).sum()} of {importance.size} weights are NaN, which have no "
            "magnitude to prune by"
        )
    mask = np.ones(importance.size, dtype=bool)
    order = np.argsort(np.abs(importance), axis=None, kind="stable")
    mask[order[: _gone(importance.size, sparsity)]] = False
    return mask.reshape(importance.shape)


def _gone(weights: int, sparsity: float) -> int:
    return round(sparsity * weights)


def lamp_scores(importance: np.ndarray) -> np.ndarray:
    """Each weight's squared magnitude over the sum of squares of those that are not smaller.

    Layer-adaptive magnitudes (Lee et al., ICLR 2021, section 3): within a layer they are ordered as
    the magnitudes are, and each layer's largest weight has 1, so that no layer is emptied.

    Args:
        importance: (outputs, inputs) floats.

    Returns:
        (outputs, inputs) float64 from 0 to 1.
    """
    order = np.argsort(np.abs(importance), axis=None, kind="stable")
    squares = np.abs(importance.astype(np.float64)).ravel()[order] ** 2
    rest = np.cumsum(squares[::-1])[::-1]
    scores = np.empty(importance.size)
    scores[order] = squares / np.where(rest > 0, rest, 1.0)
    return scores.reshape(importance.shape)


def input_deviations(student: Student, rows: np.ndarray) -> list[np.ndarray]:
    """For each layer the standard deviation of its inputs, (inputs,) float64, over raw ``rows``."""
    hidden, deviations = student.standardised(rows), []
    for weight, bias in zip(student.weights, student.biases, strict=True):
        deviations.append(hidden.std(axis=0))
        hidden = np.clip(hidden @ weight.astype(np.float64).T + bias, 0.0, 6.0)
    return deviations


def importances(student: Student, rows: np.ndarray) -> list[np.ndarray]:
    """Each weight's magnitude times the standard deviation of its input over raw ``rows``.

    Returns:
        One (outputs, inputs) float64 array a layer.
    """
    return [
        np.abs(weight) * np.maximum(deviation, _LEAST_DEVIATION)
        for weight, deviation in zip(student.weights, input_deviations(student, rows), strict=True)
    ]


def masks_for(
    student: Student,
    layers: Sequence[int],
    sparsity: float,
    scope: str = "layer",
    ranks: Sequence[np.ndarray] | None = None,
) -> Masks:
    """One mask for each layer of ``student``: None for the layers that are not pruned.

    Args:
        layers: counted from 1, as in the config; the first layer is the one that reads features.
        sparsity: the share of zeros: of each layer, or of all named layers together.
        scope: as of `Pruning`.
        ranks: the importance of every layer's weights, see `importances`; None = magnitude.

    Raises:
        ValueError: if the student has no such layer, or one would be left without a weight.
    """
    check_layers(student, layers)
    ranks = student.weights if ranks is None else ranks
    named = {layer: ranks[layer - 1] for layer in sorted(layers)}
    if scope == "layer":
        masks = {layer: magnitude_mask(rank, sparsity) for layer, rank in named.items()}
    else:
        if scope == "lamp":
            named = {layer: lamp_scores(rank) for layer, rank in named.items()}
        masks = _global_masks(named, sparsity)
    emptied = [layer for layer, mask in masks.items() if not mask.any()]
    if emptied:
        raise ValueError(
            f"sparsity {sparsity} leaves layer {emptied[0]} of {student.architecture} none of its "
            f"{masks[emptied[0]].size} weights: lower it, or take the layer out of prune.layers"
        )
    return [masks.get(layer) for layer in range(1, len(student.weights) + 1)]


def _global_masks(ranks: dict[int, np.ndarray], sparsity: float) -> dict[int, np.ndarray]:
    """By one threshold over several layers; ``ranks`` by layer."""
    together = np.concatenate([rank.ravel() for rank in ranks.values()])
    ends = np.cumsum([rank.size for rank in ranks.values()])[:-1]
    parts = np.split(magnitude_mask(together, sparsity), ends)
    return {
        layer: part.reshape(rank.shape)
        for (layer, rank), part in zip(ranks.items(), parts, strict=True)
    }


def check_layers(student: Student, layers: Sequence[int]) -> None:
    """Raise ``ValueError`` if the student lacks one of ``layers``, counted from 1."""
    count = len(student.weights)
    wrong = [layer for layer in layers if not 1 <= layer <= count]
    if wrong:
        raise ValueError(
            f"prune.layers names layer {wrong[0]}; {student.architecture} has layers 1 to {count}"
        )


def pruned_from(student: Student, pruning: Pruning) -> dict[str, Any]:
    """What a pruned student's file keeps of its shape before dead neurons were removed.

    Returns:
        ``architecture``, ``zeros`` of every layer, the pruned ``layers`` and their ``scope``.
    """
    zeros = [int(weight.size - np.count_nonzero(weight)) for weight in student.weights]
    layers = sorted(pruning.layers)
    return {
        "architecture": student.architecture,
        "zeros": zeros,
        "layers": layers,
        "scope": pruning.scope,
    }


def check_pruned(student: Student, pruning: Pruning, sparsity: float) -> None:
    """Raise ``ValueError`` if ``student`` has fewer zeros than were asked for."""
    groups = [pruning.layers] if pruning.scope != "layer" else [[n] for n in pruning.layers]
    for group in groups:
        weights = [student.weights[layer - 1] for layer in group]
        wanted = _gone(sum(weight.size for weight in weights), sparsity)
        zeros = sum(weight.size - np.count_nonzero(weight) for weight in weights)
        if zeros < wanted:
            names = f"layer {group[0]} has" if len(group) == 1 else f"layers {list(group)} have"
            raise ValueError(f"{names} {zeros} zeros, expected {wanted}: pruned weights came back")
