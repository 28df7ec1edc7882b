"""A network engine made of layer kernels: one for the first layer, one for all the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from distilrank.engines.base import (
    Engine,
    Kernel,
    Model,
    limit_threads,
    padded_rows,
    scaler_described,
)
from distilrank.letor import MISSING
from distilrank.student import Student


class LayeredEngine(Engine):
    """Kernels in a row: ``mkl-csr+numpy`` is MKL's sparse product, then NumPy's dense ones.

    The scaler is folded into the first layer. Only the first layer is ever treated as sparse: a
    later layer that was pruned too is computed as a dense one with zeros in it.
    """

    kind = "network"
    precision = "fp32"

    def __init__(self, name: str, first: type[Kernel], rest: type[Kernel]) -> None:
        self.name = name
        self.sparse = first.sparse
        self._first, self._rest = first, rest

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, Student):
            return "it scores networks only"
        if self.sparse and model.sparsity(0) == 0:
            return "first layer is dense"
        return self._first.unavailable() or self._rest.unavailable()

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        if not isinstance(model, Student):
            raise ValueError(f"{self.name} scores networks only")
        folded = model.folded()
        self._features, self._batch = model.n_features, batch
        self._fill, self._scaler = model.fill, scaler_described(model)
        self._kernels: list[Kernel] = []
        last = len(folded.weights) - 1
        for layer, (weight, bias) in enumerate(zip(folded.weights, folded.biases, strict=True)):
            kernel = self._rest() if layer else self._first()
            kernel.prepare(weight, bias, batch, relu6=layer < last)
            self._kernels.append(kernel)
        self._columns: np.ndarray | None = None
        if self.sparse:
            width = self._first.padded(batch)
            self._columns = np.zeros((model.n_features, width), dtype=np.float32)
            self._real_columns = self._columns[:, :batch]
        limit_threads(threads)

    def score(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) != self._batch:
            return self.score(padded_rows(rows, self._features, self._batch))[: len(rows)]
        if self._fill is not None:
            rows = np.where(rows == MISSING, self._fill, rows)
        if self._columns is None:
            # BLAS reads the row-major block as the transpose that it is: nothing to copy.
            x = rows.T
        else:
            np.copyto(self._real_columns, rows.T)
            x = self._columns
        for kernel in self._kernels:
            x = kernel.apply(x)
        return x[0]

    def describe(self) -> dict[str, Any]:
        described = self._kernels[0].describe() | self._kernels[-1].describe()
        return described | self._scaler
