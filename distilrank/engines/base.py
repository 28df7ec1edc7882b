"""What every scoring engine offers, and what a layer kernel offers.

An engine scores whole models; a kernel is one layer of a network. Importing this package imports
no scoring library: each engine imports its own inside ``supports`` and ``load``, so that a
process pays for the one engine it times, and a missing library is a reason, not a crash.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from distilrank.forest import Forest, check_width
from distilrank.student import Student

Model = Forest | Student

# Largest error that a correct engine may show, in standard deviations of the reference's scores.
# float32 sums of a few hundred terms round at about 1e-7 each: networks measure 1e-7..6e-6 and
# QuickScorer's float32 sum over some 600 trees 4e-6. A wrong column, bias or split shows 1e-3 or
# more. bf16 keeps 8 bits of a number: a few roundings of 2^-9 measure 1e-3 to 3e-3 on average, for
# networks of some hundred weights up to 7e-3, and 2.3e-2 for one document of 100,000. So for it too
# the mean is the sharp bound: bits cut off instead of rounded measure 1.6e-2 to 2.9e-2.
# int8 answers to `quantise.predict_int8`. Beside a half, float32 picks the other code now and then:
# 200,000 rows like MSLR's measure up to 1.8e-2 for a document or two, and 2e-5 on average. So the
# largest error only shows gross faults. The mean shows any other scheme: even float64 scores, the
# finest, are 4e-3 off on average.
TOLERANCES = {"exact": 1e-5, "fp32": 1e-5, "bf16": 6e-2, "int8": 5e-2}
MEAN_TOLERANCES = {"bf16": 1e-2, "int8": 1e-3}


class Engine(ABC):
    """One way to score one kind of model.

    Attributes:
        name: the key used in the config.
        kind: ``forest`` or ``network``, the models it is made for.
        precision: a key of `TOLERANCES`; ``int8`` is the scheme of `quantise` and no other.
        exact: it computes the model itself, not a quantised version of it.
        sparse: it makes use of zeros among the weights.
        most_leaves: of a tree, in a forest that it can score; None where any number goes.
        routes_missing: it scores forests that route missing values (`Forest.routes_missing`).
    """

    name: str
    kind: str
    precision: str = "fp32"
    exact: bool = True
    sparse: bool = False
    most_leaves: int | None = None
    routes_missing: bool = True

    def unsuited(self, leaves: int, routes_missing: bool) -> str | None:
        """Why this engine scores no such forest on any machine; None where it does.

        Args:
            leaves: of the largest tree.
            routes_missing: as `Forest.routes_missing`.
        """
        if self.most_leaves is not None and leaves > self.most_leaves:
            return f"a tree has {leaves} leaves and {self.name} takes up to {self.most_leaves}"
        if routes_missing and not self.routes_missing:
            return f"the forest routes missing values, which {self.name} does not"
        return None

    @abstractmethod
    def supports(self, model: Model) -> str | None:
        """Why this engine cannot score ``model`` on this machine; None where it can."""

    @abstractmethod
    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        """Compile and allocate everything for calls of at most ``batch`` rows."""

    @abstractmethod
    def score(self, rows: np.ndarray) -> np.ndarray:
        """Score raw, row-major (documents, features) float32 rows: the only timed call.

        At most ``batch`` rows are taken; the timer always gives exactly ``batch``. The result,
        (documents,) floats, may be a buffer that the next call overwrites.

        A missing value is `letor.MISSING`. Forests take it as the large number that it is;
        networks put their student's ``fill`` in its place, within this call. A student without
        ``fill`` is spared the search: rows given to it must have no missing value.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What really runs: library versions, the kernel chosen, any fallback. After ``load``."""


class SelfTimedEngine(Engine):
    """An engine that can only be timed fairly by its own library's benchmark function."""

    @abstractmethod
    def self_timed(self, rows: np.ndarray) -> float:
        """Seconds that one call of ``batch`` rows takes, over ``rows`` (n x batch, features)."""


class Kernel(ABC):
    """One layer of a network: ``y = relu6(W x + b)``, or without ReLU6 for the output layer.

    Activations are feature-major float32, (features, batch): a row of the weights then meets
    contiguous documents, which is what every sparse kernel wants, and kernels compose freely.

    Attributes:
        name: the key used in engine names and in the kernel sweep.
        sparse: it stores the non-zero weights only.
        multiple: ``apply`` wants its input's columns padded to a multiple of this.
    """

    name: ClassVar[str]
    sparse: ClassVar[bool] = False
    multiple: ClassVar[int] = 1

    @classmethod
    @abstractmethod
    def unavailable(cls) -> str | None:
        """Why this kernel cannot run on this machine; None where it can."""

    @abstractmethod
    def prepare(self, weight: np.ndarray, bias: np.ndarray, batch: int, relu6: bool = True) -> None:
        """Compile and allocate: (outputs, inputs) float32 weights, (outputs,) float32 bias."""

    @abstractmethod
    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return (outputs, batch) float32: a buffer that the next call overwrites.

        Args:
            x: (inputs, batch) float32, the batch padded to `multiple`. Sparse kernels want it
                C-contiguous; dense ones also take a transposed row-major block.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What really runs, after ``prepare``."""

    @classmethod
    def padded(cls, batch: int) -> int:
        """``batch`` rounded up to `multiple`."""
        return -(-batch // cls.multiple) * cls.multiple


def missing(*modules: str) -> str | None:
    """Why one of ``modules`` cannot be imported, or None where all can."""
    for module in modules:
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            return f"{module} is not installed here ({error})"
    return None


def check_rows(rows: np.ndarray, n_features: int, batch: int) -> None:
    """Raise ``ValueError`` unless ``rows`` can be given to a loaded engine's ``score``."""
    check_width(rows, n_features)
    if rows.dtype != np.float32 or not rows.flags.c_contiguous:
        raise ValueError("rows must be row-major float32: use np.ascontiguousarray(rows, 'f4')")
    if len(rows) > batch:
        raise ValueError(f"{len(rows)} rows given to an engine loaded for {batch}")


def padded_rows(rows: np.ndarray, n_features: int, batch: int) -> np.ndarray:
    """``rows`` with zeros behind them, (batch, features): for engines made for one size of call.

    Raises:
        ValueError: as `check_rows`.
    """
    check_rows(rows, n_features, batch)
    padded = np.zeros((batch, n_features), dtype=np.float32)
    padded[: len(rows)] = rows
    return padded


def scaler_described(student: Student) -> dict[str, str]:
    """What a network engine's ``describe`` says of what happens before the first layer."""
    described = {"scaler": "folded into the first layer"}
    if student.fill is not None:
        described["missing"] = "the mean put in its place, within the time"
    return described


def limit_threads(threads: int) -> None:
    """Hold every BLAS and OpenMP library already loaded by this process to ``threads``."""
    threadpool_limits(limits=threads)


def blas_in_use(prefix: str) -> str:
    """Name, version and kernel family of the loaded BLAS whose library starts with ``prefix``."""
    for library in threadpool_info():
        if library.get("prefix", "").startswith(prefix):
            parts = (library.get(key) for key in ("internal_api", "version", "architecture"))
            return " ".join(str(part) for part in parts if part)
    return "unknown"
