"""The kernel sweep: which layers are timed, and the layers themselves, ready to be timed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np

from distilrank.engines import DENSE_KERNELS, SPARSE_KERNELS, Fetch, Transpose
from distilrank.engines.base import Kernel, limit_threads

Call = tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]
DENSE, SPARSE = "dense", "sparse"
FIT, VALIDATE = "fit", "validate"
KERNELS: dict[str, dict[str, type[Kernel]]] = {
    DENSE: {**DENSE_KERNELS, Fetch.name: Fetch, Transpose.name: Transpose},
    SPARSE: SPARSE_KERNELS,
}
# One dense layer in so many is an output layer: a design over widths alone would hold none.
_OUTPUT_LAYER_EVERY = 6
MOST_SKEW = 1.5
_CALLS_AT_LEAST = 3
# Rows to score come from memory: fetching and transposing walk through more than a second-level
# cache holds.
_COLD_VALUES = 2**22
# A layer of a network finds its weights and buffers where the other layers have left them, not in
# the nearest cache: some copies of it take turns, as if they were a network.
_COPIES = 3
_WINDOWS_AT_MOST = 5000


@dataclass(frozen=True)
class Point:
    """One layer of the sweep.

    Attributes:
        outputs, inputs: the layer's shape.
        sparsity: the wanted share of zeros; 0 in a dense layer.
        skew: how unequal rows and columns are: the standard deviation of their log-magnitudes.
        part: ``fit`` or ``validate``, settled before anything is measured.
        seed: of its weights.
    """

    outputs: int
    inputs: int
    sparsity: float
    skew: float
    part: str
    seed: int


def design(kind: str, settings: Mapping[str, Any]) -> list[Point]:
    """Layers spread evenly over the ranges by a scrambled Sobol sequence.

    Widths and densities are spread on a logarithmic scale. The held-out part is drawn here,
    before any time is known.

    Args:
        kind: ``dense`` or ``sparse``.
        settings: the config's ``kernels`` section.
    """
    count = settings[f"{kind}_points"]
    unit = evenly_spread(count, 4, settings["seed"])
    held_out = _held_out(count, settings["validate_share"], settings["seed"])
    points = []
    for index, (first, second, third, fourth) in enumerate(unit):
        outputs = round(between(settings["outputs"], first))
        if kind == DENSE and index % _OUTPUT_LAYER_EVERY == 0:
            outputs = 1
        low, high = settings["sparsities"]
        points.append(
            Point(
                outputs=outputs,
                inputs=round(between(settings["inputs"], second)),
                sparsity=1 - float(between((1 - high, 1 - low), third)) if kind == SPARSE else 0,
                skew=MOST_SKEW * float(fourth) if kind == SPARSE else 0,
                part=VALIDATE if index in held_out else FIT,
                seed=settings["seed"] * 100_000 + index,
            )
        )
    return points


def evenly_spread(count: int, dimensions: int, seed: int) -> np.ndarray:
    """(count, dimensions) points of the unit cube: a scrambled Sobol sequence's first ones."""
    from scipy.stats import qmc

    sobol = qmc.Sobol(dimensions, rng=np.random.default_rng(seed))
    # Sobol's points are balanced in powers of two: draw the next one up and keep the first.
    return sobol.random(2 ** max(1, int(count - 1).bit_length()))[:count]


def _held_out(count: int, share: float, seed: int) -> set[int]:
    generator = np.random.default_rng([seed, count])
    return set(generator.choice(count, size=round(share * count), replace=False).tolist())


def between(limits: Sequence[float], position: float) -> float:
    """The point at ``position`` (0 to 1) between two limits, on a logarithmic scale."""
    low, high = np.log(limits)
    return float(np.exp(low + (high - low) * position))


def make_weight(point: Point) -> np.ndarray:
    """(outputs, inputs) float32 weights pruned by magnitude to the point's sparsity.

    Rows and columns differ in magnitude by the point's skew, so that some lose all their
    weights, as neurons and features of a trained layer do. At least one weight stays.
    """
    generator = np.random.default_rng(point.seed)
    weight = generator.standard_normal((point.outputs, point.inputs), dtype=np.float32)
    if point.sparsity == 0:
        return weight
    weight[~skewed_mask(weight, point.sparsity, (point.skew, point.skew), generator)] = 0
    return weight


def skewed_mask(
    weight: np.ndarray, sparsity: float, skew: tuple[float, float], generator: np.random.Generator
) -> np.ndarray:
    """Which weights stay by magnitude, at least one; ``skew`` is of the rows and the columns."""
    outputs, inputs = weight.shape
    rows = np.exp(skew[0] * generator.standard_normal((outputs, 1)))
    columns = np.exp(skew[1] * generator.standard_normal((1, inputs)))
    importance = np.abs(weight) * rows * columns
    kept = max(1, round((1 - sparsity) * weight.size))
    mask = np.zeros(weight.size, bool)
    mask[np.argpartition(importance.ravel(), weight.size - kept)[weight.size - kept :]] = True
    return mask.reshape(weight.shape)


def layer_facts(weight: np.ndarray) -> dict[str, Any]:
    """What a layer's time depends on: shape, non-zeros, rows and columns that hold any."""
    used = weight != 0
    return {
        "outputs": weight.shape[0],
        "inputs": weight.shape[1],
        "sparsity": 1 - np.count_nonzero(used) / weight.size,
        "nonzeros": int(np.count_nonzero(used)),
        "active_rows": int(used.any(axis=1).sum()),
        "active_columns": int(used.any(axis=0).sum()),
    }


class Bench:
    """One kernel with every layer of the sweep prepared for every batch."""

    def __init__(
        self, kind: str, name: str, points: Sequence[Point], batches: Sequence[int]
    ) -> None:
        self._calls: list[list[Call]] = []
        self._starts: dict[int, int] = {}
        self.facts: list[dict[str, Any]] = []
        kernel = KERNELS[kind][name]
        memory = np.random.default_rng(0).random(_COLD_VALUES, dtype=np.float32)
        for point in points:
            weight = make_weight(point)
            for batch in batches:
                calls = _rows_calls if issubclass(kernel, Fetch) else _layer_calls
                self._calls.append(calls(kernel, weight, batch, memory))
                facts = {"kernel": name, "kind": kind, "part": point.part, "batch": batch}
                self.facts.append(facts | layer_facts(weight))
        limit_threads(1)

    def sample(self, index: int, milliseconds: float) -> float:
        """Microseconds a call of layer ``index``: the mean of what fits ``milliseconds``."""
        calls = self._calls[index]
        # Warms the caches, and tells how many calls fit.
        seconds = _time(cycle(calls), _CALLS_AT_LEAST)
        count = max(_CALLS_AT_LEAST, round(milliseconds / 1000 / seconds))
        # Windows are taken up where an earlier sample left them.
        start = self._starts.get(index, 0)
        self._starts[index] = (start + count) % len(calls)
        return _time(cycle(calls[start:] + calls[:start]), count) * 1e6


def _layer_calls(
    kernel: type[Kernel], weight: np.ndarray, batch: int, memory: np.ndarray
) -> list[Call]:
    """The layer several times over, each time with weights, input and output of its own."""
    outputs, inputs = weight.shape
    bias = memory[:outputs].copy()
    width = kernel.padded(batch)
    calls = []
    for copy in range(_COPIES):
        layer = kernel()
        layer.prepare(weight.copy(), bias, batch, relu6=outputs > 1)
        x = memory[copy * inputs * width : (copy + 1) * inputs * width].reshape(inputs, width)
        calls.append((layer.apply, x))
    return calls


def _rows_calls(
    kernel: type[Kernel], weight: np.ndarray, batch: int, memory: np.ndarray
) -> list[Call]:
    """Row-major blocks of ``batch`` rows, one after the other, seen as (inputs, batch)."""
    inputs = weight.shape[1]
    step = kernel()
    step.prepare(weight, np.zeros(len(weight), np.float32), batch)
    count = max(1, min(len(memory) // (inputs * batch), _WINDOWS_AT_MOST))
    blocks = memory[: count * inputs * batch].reshape(count, batch, inputs)
    return [(step.apply, block.T) for block in blocks]


def _time(calls: Iterator[Call], count: int) -> float:
    start = time.perf_counter()
    for apply, x in islice(calls, count):
        apply(x)
    return (time.perf_counter() - start) / count


def as_json(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Points as plain objects, for a child process."""
    return [asdict(point) for point in points]
