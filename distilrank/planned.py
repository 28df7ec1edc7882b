"""Stub of the planned networks' times, until the native predictor is merged: same signatures.

A network costs a fixed time a call, a time for each feature read and one for each multiplication
and addition, which is dearer where the first layer is sparse.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from distilrank.files import read_json
from distilrank.student import Student

_COSTS = ("call", "value", "product", "sparse_product")


@dataclass(frozen=True)
class Estimate:
    """A network's predicted time.

    Attributes:
        steps: (name, microseconds a document) in the order they run.
        low, high: an interval for the total, microseconds a document.
    """

    steps: tuple[tuple[str, float], ...]
    low: float
    high: float

    @property
    def total(self) -> float:
        """Microseconds a document."""
        return sum(time for _, time in self.steps)


class NativeTimes:
    """The calibrated native scorers of one machine.

    Attributes:
        machine: the fingerprint of the machine that was calibrated.
        library: the native library's version there.
    """

    def __init__(
        self,
        machine: dict[str, Any],
        costs: dict[str, dict[str, float]],
        library: dict[str, Any],
    ) -> None:
        self.machine, self.library, self._costs = machine, library, costs

    @classmethod
    def read(cls, path: str | os.PathLike) -> "NativeTimes":
        """Read ``predictor/native.json``; ``ValueError`` says what is wrong with another file."""
        content = read_json(path)
        if "machine" not in content or "costs" not in content:
            raise ValueError(f"{path} is no calibration; delete it and run: snakemake predictor")
        return cls(content["machine"], content["costs"], content.get("library", {}))

    def estimate(
        self, widths: Sequence[int], sparsity: float, precision: str, batch: int
    ) -> Estimate:
        """The time of a network of ``widths`` from features to the one output."""
        call, value, product, sparse = (self._costs[precision][name] for name in _COSTS)
        steps = [("rows", value * widths[0])]
        for layer, (inputs, outputs) in enumerate(pairwise(widths), 1):
            share, cost = (1 - sparsity, sparse) if layer == 1 and sparsity else (1.0, product)
            steps.append((f"layer {layer}", cost * share * inputs * outputs))
        steps.append(("call", call / batch))
        total = sum(time for _, time in steps)
        return Estimate(tuple(steps), 0.95 * total, 1.05 * total)

    def of_student(self, student: Student, precision: str, batch: int) -> Estimate:
        """The time of a network that exists."""
        widths = [int(part) for part in student.architecture.split("-")]
        return self.estimate(widths, student.sparsity(0), precision, batch)
