"""Time models of layers, fitted on the kernel sweep, and of whole networks made of layers.

A layer's time is a sum of physically meaningful terms, each a count of something times a
non-negative cost; so the model extrapolates sensibly and its coefficients can be read. A network's
time is the sum of its layers' times and of the time to read its rows, or to transpose them for a
sparse first layer: nothing is fitted on networks.
"""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from distilrank.student import Student

FETCH, TRANSPOSE = "fetch", "transpose"
STEPS = (FETCH, TRANSPOSE)  # swept like dense kernels, but no layers
# A product with one document is another routine in every library (a matrix times a vector),
# bound by reading the weights; it gets costs of its own.
VECTOR, MATRIX = "vector", "matrix"
_CACHE_LINE, _L1_BYTES = 64, 32 * 1024


@dataclass(frozen=True)
class Layer:
    """What a layer's time depends on; no weights are needed, so planned layers do too.

    Attributes:
        outputs, inputs: the shape.
        nonzeros: weights that are not zero.
        active_rows, active_columns: rows and columns that hold a non-zero weight.
    """

    outputs: int
    inputs: int
    nonzeros: int
    active_rows: int
    active_columns: int

    @classmethod
    def dense(cls, outputs: int, inputs: int) -> "Layer":
        return cls(outputs, inputs, outputs * inputs, outputs, inputs)

    @classmethod
    def of(cls, weight: np.ndarray) -> "Layer":
        """The layer of an (outputs, inputs) weight matrix."""
        used = weight != 0
        rows, columns = used.any(axis=1).sum(), used.any(axis=0).sum()
        return cls(*weight.shape, int(used.sum()), int(rows), int(columns))


@dataclass(frozen=True)
class Cost:
    """What one coefficient of a time model is: its unit, and its meaning in words."""

    unit: str
    meaning: str


@dataclass(frozen=True)
class Term:
    """One summand: ``coefficient * count(layer, batch)`` microseconds.

    Attributes:
        unit: of the coefficient.
        meaning: what it costs, in words.
    """

    count: Callable[[Layer, int], float]
    unit: str
    meaning: str


_CALL = Term(lambda layer, batch: 1.0, "us", "one call, whatever its size")
_ACTIVATION = Term(
    lambda layer, batch: float(layer.outputs > 1), "us", "calling ReLU6; an output layer has none"
)
_ROWS = Term(lambda layer, batch: layer.outputs, "us/row", "starting one row of the weights")
_STORED = Term(
    lambda layer, batch: batch * layer.outputs, "us/value", "storing one output: bias and ReLU6"
)
_WEIGHTS = Term(
    lambda layer, batch: layer.outputs * layer.inputs, "us/weight", "reading one weight"
)
_NONZEROS = Term(lambda layer, batch: layer.nonzeros, "us/weight", "reading one non-zero weight")
_USED = Term(
    lambda layer, batch: batch * layer.active_columns,
    "us/value",
    "loading one input that some weight uses",
)

# By kind of kernel and by regime. With one document, counts that differ by the batch only
# would be one column twice.
TERMS: dict[str, dict[str, dict[str, Term]]] = {
    "dense": {
        VECTOR: {
            "call": _CALL,
            "activation": _ACTIVATION,
            "row": _ROWS,
            "input": Term(lambda layer, batch: layer.inputs, "us/value", "loading one input"),
            "weight": _WEIGHTS,
        },
        MATRIX: {
            "call": _CALL,
            "activation": _ACTIVATION,
            "row": _ROWS,
            "output": _STORED,
            "input": Term(
                lambda layer, batch: batch * layer.inputs, "us/value", "packing one input"
            ),
            "weight": _WEIGHTS,
            "product": Term(
                lambda layer, batch: batch * layer.outputs * layer.inputs,
                "us/product",
                "one multiplication and addition",
            ),
        },
    },
    "sparse": {
        VECTOR: {"call": _CALL, "row": _ROWS, "input": _USED, "nonzero": _NONZEROS},
        MATRIX: {
            "call": _CALL,
            "row": _ROWS,
            "output": _STORED,
            "active_row": Term(
                lambda layer, batch: batch * layer.active_rows,
                "us/value",
                "adding to one output that some weight reaches",
            ),
            "input": _USED,
            "nonzero": _NONZEROS,
            "product": Term(
                lambda layer, batch: batch * layer.nonzeros,
                "us/product",
                "one multiplication and addition",
            ),
        },
    },
}
for _kernel in STEPS:
    TERMS[_kernel] = {
        regime: {
            "call": _CALL,
            "value": Term(
                lambda layer, batch: batch * layer.inputs, "us/value", "moving one feature value"
            ),
        }
        for regime in (VECTOR, MATRIX)
    }
# Features are moved one column at a time: with many rows the cache lines of one column fill the
# first-level cache, and each line is read again for every feature in it.
TERMS[TRANSPOSE][MATRIX]["missed_value"] = Term(
    lambda layer, batch: batch * layer.inputs * (batch * _CACHE_LINE > _L1_BYTES),
    "us/value",
    "moving one value whose cache line has been evicted meanwhile",
)


def regime_of(batch: int) -> str:
    return VECTOR if batch == 1 else MATRIX


def terms_of(kind: str, kernel: str, batch: int) -> dict[str, Term]:
    """The terms of a kernel at a batch size."""
    return TERMS[kernel if kernel in TERMS else kind][regime_of(batch)]


@dataclass(frozen=True)
class Sample:
    """One layer's measured time: the median over rounds, microseconds a call."""

    kernel: str
    kind: str
    part: str
    layer: Layer
    batch: int
    microseconds: float


@dataclass(frozen=True)
class Predictor:
    """Fitted costs: ``coefficients[kernel][regime][term]``, in the units of `TERMS`."""

    kind: str
    coefficients: Mapping[str, Mapping[str, Mapping[str, float]]]

    def layer(self, kernel: str, layer: Layer, batch: int) -> float:
        """Microseconds a call of one layer.

        Raises:
            ValueError: if the kernel was not fitted at such a batch.
        """
        try:
            costs = self.coefficients[kernel][regime_of(batch)]
        except KeyError:
            raise ValueError(
                f"there is no {self.kind} predictor of {kernel} for batch {batch}; fitted are "
                f"{', '.join(sorted(self.coefficients))}: time it in the kernel sweep first"
            ) from None
        terms = terms_of(self.kind, kernel, batch)
        return float(sum(costs[name] * term.count(layer, batch) for name, term in terms.items()))

    def as_json(self) -> dict[str, Any]:
        """Coefficients with their units and meanings."""
        return {
            "kind": self.kind,
            "kernels": {
                kernel: {
                    regime: {
                        name: {
                            "value": value,
                            "unit": _terms(self.kind, kernel, regime)[name].unit,
                            "meaning": _terms(self.kind, kernel, regime)[name].meaning,
                        }
                        for name, value in costs.items()
                    }
                    for regime, costs in regimes.items()
                }
                for kernel, regimes in self.coefficients.items()
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Predictor":
        """What ``as_json`` gave."""
        coefficients = {
            kernel: {
                regime: {name: entry["value"] for name, entry in costs.items()}
                for regime, costs in regimes.items()
            }
            for kernel, regimes in content["kernels"].items()
        }
        return cls(content["kind"], coefficients)


def _terms(kind: str, kernel: str, regime: str) -> dict[str, Term]:
    return terms_of(kind, kernel, 1 if regime == VECTOR else 2)


def non_negative(
    counts: np.ndarray, times: np.ndarray, scale: np.ndarray | None = None
) -> np.ndarray:
    """(terms,) costs from 0, by least squares on the relative error.

    Minimises the sum of ``((counts @ costs - times) / scale)^2`` (C. Lawson and R. Hanson,
    *Solving Least Squares Problems*, 1974, chapter 23).

    Args:
        counts: (samples, terms).
        times: (samples,).
        scale: (samples,) above 0, what errors are relative to; ``times`` if not given.
    """
    from scipy.optimize import nnls

    relative = counts / (times if scale is None else scale)[:, None]
    # Counts differ by many orders of magnitude.
    size = np.maximum(np.abs(relative).max(axis=0), 1e-300)
    solution, _ = nnls(relative / size, times / (times if scale is None else scale))
    return solution / size


def fit(samples: Sequence[Sample], kind: str) -> Predictor:
    """`non_negative` costs for each kernel and regime.

    Only samples of the part ``fit`` are looked at.

    Raises:
        ValueError: if a kernel has fewer layers than coefficients.
    """
    grouped: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        if sample.part == "fit":
            grouped.setdefault((sample.kernel, regime_of(sample.batch)), []).append(sample)
    coefficients: dict[str, dict[str, dict[str, float]]] = {}
    for (kernel, regime), group in sorted(grouped.items()):
        terms = _terms(kind, kernel, regime)
        if len(group) < len(terms):
            raise ValueError(
                f"{kernel} has {len(group)} {regime} samples to fit {len(terms)} coefficients on; "
                f"raise {kind}_points under kernels: in the config"
            )
        counts = [[term.count(s.layer, s.batch) for term in terms.values()] for s in group]
        times = np.array([sample.microseconds for sample in group])
        solution = non_negative(np.array(counts), times)
        coefficients.setdefault(kernel, {})[regime] = dict(
            zip(terms, solution.tolist(), strict=True)
        )
    if not coefficients:
        raise ValueError(f"there are no {kind} samples to fit a predictor on")
    return Predictor(kind, coefficients)


def read_samples(path: str | os.PathLike) -> list[Sample]:
    """Each layer's median over rounds, from a CSV of the kernel sweep.

    Raises:
        ValueError: if the file holds no sample.
    """
    rounds: dict[tuple, list[float]] = {}
    with Path(path).open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            shape = tuple(
                int(line[name])
                for name in ("outputs", "inputs", "nonzeros", "active_rows", "active_columns")
            )
            key = (line["kernel"], line["kind"], line["part"], shape, int(line["batch"]))
            rounds.setdefault(key, []).append(float(line["microseconds"]))
    if not rounds:
        raise ValueError(f"{path} holds no samples; delete it and run again")
    return [
        Sample(kernel, kind, part, Layer(*shape), batch, median(times))
        for (kernel, kind, part, shape, batch), times in rounds.items()
    ]


def network_time(
    student: Student, engine: str, batch: int, dense: Predictor, sparse: Predictor
) -> float | None:
    """Predicted microseconds a call of a whole network.

    Args:
        engine: a dense kernel (``numpy``) or a sparse and a dense one (``mkl-csr+numpy``).

    Returns:
        The sum over layers and what it takes to read the rows: a transpose where the first
        layer is sparse. None for an engine that is not made of fitted kernels.
    """
    first, _, rest = engine.partition("+")
    rest = rest or first
    if rest not in dense.coefficients:
        return None
    features = Layer.dense(student.n_features, student.n_features)
    if first == rest:
        weights, total = student.weights, dense.layer(FETCH, features, batch)
    elif first in sparse.coefficients:
        total = dense.layer(TRANSPOSE, features, batch)
        total += sparse.layer(first, Layer.of(student.weights[0]), batch)
        weights = student.weights[1:]
    else:
        return None
    return total + sum(dense.layer(rest, Layer.dense(*w.shape), batch) for w in weights)


def relative_errors(predicted: Sequence[float], measured: Sequence[float]) -> dict[str, Any]:
    """How far predictions are off: ``n``, median and 95th percentile of ``|p / m - 1|``."""
    errors = np.abs(np.asarray(predicted) / np.asarray(measured) - 1)
    middle, high = np.quantile(errors, [0.5, 0.95])
    return {"n": len(errors), "median_abs_error": float(middle), "p95_abs_error": float(high)}
