"""Networks in oneDNN, called through its C interface: a chain of fused matrix products."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from distilrank.engines.base import Engine, Model, limit_threads, padded_rows, scaler_described
from distilrank.engines.bf16 import MEAN_TAKEN_OFF, folded_for_bf16
from distilrank.engines.onednn import BF16, F32, Placed, Session, described, unavailable
from distilrank.letor import MISSING
from distilrank.student import Student


class OneDnnEngine(Engine):
    """One ``matmul`` a layer, bias and ReLU6 fused; pruned layers run as dense.

    The weights lie in the order that each product asks for. ``inner_product`` was measured too:
    nowhere faster, and 5 to 10 % slower at 20 documents and in bf16.
    """

    name = "onednn"
    kind = "network"
    precision = "fp32"
    number: ClassVar[int] = F32

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, Student):
            return "it scores networks only"
        return unavailable(bf16=self.number == BF16)

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        if not isinstance(model, Student):
            raise ValueError(f"{self.name} scores networks only")
        self._session = session = Session()
        # Before any primitive is made: each is planned for the threads there are then.
        limit_threads(threads)
        self._features, self._batch, self._fill = model.n_features, batch, model.fill
        self._rows = np.zeros((batch, model.n_features), dtype=np.float32)
        self._absent = np.zeros(self._rows.shape, dtype=bool)
        self._out = np.zeros((batch, 1), dtype=np.float32)
        layout = session.layout(self._rows.shape, F32)
        memory = session.memory(layout, self._rows)
        self._read_from = session.mover(memory)
        self._calls, self._implementations = [], []
        self._mean: np.ndarray | None = None
        folded, first = self._prepared(model, (layout, memory))
        self._add_layers(folded, first)
        self._described = described() | scaler_described(model)

    def _prepared(self, student: Student, rows: Placed) -> tuple[Student, Any]:
        """The network of what the first product reads, and the memory it reads that from."""
        return student.folded(), rows[1]

    def _add_layers(self, folded: Student, memory: Any) -> None:
        """Make each layer's product, the first one reading ``memory``, and pack its weights."""
        session, last = self._session, len(folded.weights) - 1
        for layer, (weight, bias) in enumerate(zip(folded.weights, folded.biases, strict=True)):
            given, offset = np.ascontiguousarray(weight.T), np.ascontiguousarray(bias[None, :])
            inputs, outputs = given.shape
            number = F32 if layer == last else self.number
            plain, biased = session.layout(given.shape, F32), session.layout(offset.shape, F32)
            result = session.layout((self._batch, outputs), number)
            product = session.product(
                session.layout((self._batch, inputs), self.number),
                session.layout(given.shape, self.number, free=True),
                biased, result, relu6=layer < last,
            )  # fmt: skip
            self._note(session.implementation(product))
            order = session.weights_layout(product)
            packed = session.memory(order)
            if session.copy((plain, session.memory(plain, given)), (order, packed))():
                raise RuntimeError("oneDNN could not reorder a layer's weights")
            target = session.memory(result, self._out if layer == last else None)
            offsets = session.memory(biased, offset)
            self._calls.append(session.runner(product, memory, packed, offsets, target))
            memory = target

    def _note(self, implementation: str) -> None:
        """Keep what will run; oneDNN's reference code is a fallback that nobody should time."""
        if implementation.startswith("ref"):
            raise RuntimeError(
                f"oneDNN has only its reference code for {self.precision} on this processor"
            )
        if implementation not in self._implementations:
            self._implementations.append(implementation)

    def score(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) != self._batch:
            return self.score(padded_rows(rows, self._features, self._batch))[: len(rows)]
        if self._fill is not None:
            np.equal(rows, MISSING, out=self._absent)
            np.copyto(self._rows, rows)
            np.copyto(self._rows, self._fill, where=self._absent)
            rows = self._rows
        if self._mean is not None:
            rows = np.subtract(rows, self._mean, out=self._rows)
        self._read_from(rows.ctypes.data)
        for call in self._calls:
            if call():
                raise RuntimeError("oneDNN could not execute a layer")
        return self._out[:, 0]

    def describe(self) -> dict[str, Any]:
        return self._described | {"onednn_kernels": self._implementations}


class OneDnnBf16Engine(OneDnnEngine):
    """Weights and activations in bf16, products summed in fp32; rows converted in every call."""

    name = "onednn-bf16"
    precision = "bf16"
    exact = False
    number: ClassVar[int] = BF16

    def _prepared(self, student: Student, rows: Placed) -> tuple[Student, Any]:
        narrow = self._session.layout((self._batch, self._features), BF16)
        memory = self._session.memory(narrow)
        self._calls.append(self._session.copy(rows, (narrow, memory)))
        folded, self._mean = folded_for_bf16(student)
        return folded, memory

    def describe(self) -> dict[str, Any]:
        described = super().describe() | {"rows": "converted to bf16, within the time"}
        if self._mean is not None:
            described["scaler"] = MEAN_TAKEN_OFF
        return described
