"""The random networks that the native scorer's time model is calibrated on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any

import numpy as np

from distilrank.native_net import Geometry, NativeNet
from distilrank.student import Student
from distilrank.sweep import FIT, MOST_SKEW, VALIDATE, between, evenly_spread, skewed_mask

# So many of the networks have a dense first layer; and of all hidden layers behind it, sparse ones.
_DENSE_FIRST, _SPARSE_LATER = 0.35, 0.15
# Near a badly predicted network: each number within this factor.
_NEAR = 1.2
# So many networks of the fit, and their batches, are enough for the costs of one kind of layer;
# and so many are drawn to find one.
_ENOUGH, _DRAWN = 10, 20


@dataclass(frozen=True)
class Blueprint:
    """A random network.

    Attributes:
        widths: features, hidden widths, 1.
        sparsities: the share of zeros of each layer; 0 where it is dense.
        skew: how unequal neurons and inputs of sparse layers are: the standard deviation of their
            log-magnitudes, half of it for the neurons.
        bias: the mean bias of a hidden neuron: decides how many are above zero.
        batch: a batch of its own, beside the config's.
        part: ``fit`` or ``validate``, settled before anything is measured.
        seed: of its weights.
    """

    widths: tuple[int, ...]
    sparsities: tuple[float, ...]
    skew: float
    bias: float
    batch: int
    part: str
    seed: int

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.widths))}#{self.seed}"


def design(settings: Mapping[str, Any]) -> list[Blueprint]:
    """Networks spread evenly over the ranges by a scrambled Sobol sequence.

    Widths, densities and batches are spread on a logarithmic scale. The held-out part is drawn
    here, before any time is known.

    Args:
        settings: the config's ``calibration`` section.
    """
    count, seed = settings["networks"], settings["seed"]
    unit = evenly_spread(count, _numbers(settings), seed)
    generator = np.random.default_rng([seed, count])
    held_out = set(generator.permutation(count)[: round(settings["validate_share"] * count)])
    return [
        _blueprint(row, settings, VALIDATE if index in held_out else FIT, seed * 100_000 + index)
        for index, row in enumerate(unit)
    ]


def _numbers(settings: Mapping[str, Any]) -> int:
    """How many numbers from 0 to 1 `_blueprint` makes a network of."""
    return 6 + 3 * settings["hidden_layers"][1]


def _blueprint(unit: np.ndarray, settings: Mapping[str, Any], part: str, seed: int) -> Blueprint:
    features, depth, skew, bias, batch, first = unit[:6].tolist()
    least, most = settings["hidden_layers"]
    hidden = least + int(depth * (most - least + 1))
    widths, chances, densities = unit[6:].reshape(3, -1)[:, :hidden].tolist()
    low, high = settings["sparsities"]
    shares = [1 - between((1 - high, 1 - low), density) for density in densities]
    sparse = [first >= _DENSE_FIRST, *(chance < _SPARSE_LATER for chance in chances[1:])]
    choices = settings["features"]
    return Blueprint(
        widths=(
            choices[int(features * len(choices))],
            *(round(between(settings["widths"], width)) for width in widths),
            1,
        ),
        sparsities=(*(s if is_so else 0.0 for s, is_so in zip(shares, sparse, strict=True)), 0.0),
        skew=MOST_SKEW * skew,
        bias=bias - 0.3,
        batch=round(between(settings["own_batches"], batch)),
        part=part,
        seed=seed,
    )


def near(blueprint: Blueprint, seed: int) -> Blueprint:
    """Another network of about the same shape, for the fit."""
    generator = np.random.default_rng(seed)

    def moved(value: float) -> float:
        return value * _NEAR ** generator.uniform(-1, 1)

    hidden = tuple(max(1, round(moved(width))) for width in blueprint.widths[1:-1])
    shares = tuple(1 - min(1.0, moved(1 - s)) if s else 0.0 for s in blueprint.sparsities)
    return replace(
        blueprint,
        widths=(blueprint.widths[0], *hidden, 1),
        sparsities=shares,
        batch=max(1, round(moved(blueprint.batch))),
        part=FIT,
        seed=seed,
    )


def more_sparse(
    fitted: Sequence[NativeNet], settings: Mapping[str, Any], precision: str, geometry: Geometry,
    seed: int,
) -> list[Blueprint]:  # fmt: skip
    """Networks for the fit with sparse layers behind the first, where it has few of them.

    Beside AMX's tiles few layers are stored sparse, and dropping neurons that read nothing leaves
    those behind the first denser than they were drawn: a design holds next to none.

    Args:
        fitted: the networks of the fit as they run in ``precision``.
        settings: the config's ``calibration`` section.
        geometry: of the kernels that run them.
        seed: the first network's, counted on from there.
    """
    lacking = _ENOUGH - sum(map(_is_sparse_behind, fitted))
    if lacking <= 0 or settings["hidden_layers"][1] < 2:
        return []
    most = geometry.sparse_share(precision)
    drawn = (_sparse_behind(settings, most, seed + at) for at in range(lacking * _DRAWN))
    wanted = (
        blueprint
        for blueprint in drawn
        if _is_sparse_behind(NativeNet.of_student(make_network(blueprint), precision, geometry))
    )
    return list(islice(wanted, lacking))


def _is_sparse_behind(net: NativeNet) -> bool:
    return any(layer.sparse for layer in net.layers[1:])


def _sparse_behind(settings: Mapping[str, Any], most: float, seed: int) -> Blueprint:
    """Two of the wider hidden layers, of which the second has fewer non-zeros than ``most``."""
    generator = np.random.default_rng(seed)
    drawn = _blueprint(generator.random(_numbers(settings)), settings, FIT, seed)
    low, high = settings["widths"]
    widths = [round(between(((low * high) ** 0.5, high), u)) for u in generator.random(2).tolist()]
    density = between((most / 4, most / 1.25), float(generator.random()))
    return replace(
        drawn,
        widths=(drawn.widths[0], *widths, 1),
        sparsities=(0.0, 1 - density, 0.0),
        skew=0.0,
    )


def make_network(blueprint: Blueprint) -> Student:
    """The network: normal weights of a size that keeps activations near 1, pruned by magnitude."""
    generator = np.random.default_rng(blueprint.seed)
    weights, biases = [], []
    for (inputs, outputs), sparsity in zip(
        pairwise(blueprint.widths), blueprint.sparsities, strict=True
    ):
        weight = generator.standard_normal((outputs, inputs), dtype=np.float32)
        if sparsity:
            skew = blueprint.skew / 2, blueprint.skew
            weight[~skewed_mask(weight, sparsity, skew, generator)] = 0
        read = np.maximum((weight != 0).sum(axis=1, keepdims=True), 1)
        weights.append(weight * np.sqrt(2 / read).astype(np.float32))
        noise = 0.3 * generator.standard_normal(outputs)
        biases.append((blueprint.bias + noise).astype(np.float32))
    features = blueprint.widths[0]
    return Student(tuple(weights), tuple(biases), np.zeros(features), np.ones(features))


def planned_masks(widths: Sequence[int], sparsity: float) -> list[np.ndarray]:
    """Which weights a network of these widths typically keeps when its first layer is pruned.

    Args:
        widths: features, hidden widths, 1.
        sparsity: the first layer's share of zeros.
    """
    masks = [np.ones((outputs, inputs), bool) for inputs, outputs in pairwise(widths)]
    if sparsity:
        masks[0] = _planned_first(*masks[0].shape, sparsity)
    return masks


@lru_cache(maxsize=4096)
def _planned_first(outputs: int, inputs: int, sparsity: float) -> np.ndarray:
    """One mask serves every network of such a first layer; nobody may write to it."""
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((outputs, inputs), dtype=np.float32)
    mask = skewed_mask(weight, sparsity, _TRAINED_SKEW, generator)
    mask.flags.writeable = False
    return mask


# How unequal the neurons and the features of trained students are: with these as many of them
# keep a weight as in nets C and E of the MSLR sample at 90 and 98 % zeros.
_TRAINED_SKEW = 0.12, 0.25
