"""Forests and networks in this project's own native scorers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from distilrank.engines.base import Engine, Model, check_rows, scaler_described
from distilrank.forest import Forest
from distilrank.native import load
from distilrank.scorer import Scorer
from distilrank.student import Student


class _NativeEngine(Engine):
    """`distilrank.scorer.Scorer` on this processor's best level; see docs/native.md."""

    scores: ClassVar[type[Forest] | type[Student]]

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, self.scores):
            return f"it scores {self.kind}s only"
        try:
            load()
        except (OSError, ValueError) as error:
            return str(error)
        return None

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        if not isinstance(model, self.scores):
            raise ValueError(f"{self.name} scores {self.kind}s only")
        if threads != 1:
            raise ValueError(f"{self.name} scores on one thread, {threads} asked for")
        is_network = isinstance(model, Student)
        self._scorer = Scorer(model, precision=self.precision if is_network else "fp32")
        self._described = scaler_described(model) if is_network else {}
        self.resize(batch)

    def resize(self, batch: int) -> None:
        """Be ready for another batch: of the model, nothing depends on it."""
        self._batch = batch
        self._out = np.empty(batch, dtype=np.float32)

    def score(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) == self._batch:
            return self._scorer.score(rows, self._out)
        check_rows(rows, self._scorer.n_features, self._batch)
        return self._scorer.score(rows)

    def describe(self) -> dict[str, Any]:
        return self._scorer.describe() | self._described

    @property
    def scorer(self) -> Scorer:
        """What really scores, once loaded."""
        return self._scorer


class NativeForestEngine(_NativeEngine):
    """Forests, bit-sliced; sums are exact."""

    name = "native-forest"
    kind = "forest"
    precision = "exact"
    scores = Forest


class NativeNetEngine(_NativeEngine):
    """Networks in fp32."""

    name = "native-fp32"
    kind = "network"
    precision = "fp32"
    scores = Student


class NativeBf16Engine(NativeNetEngine):
    """Weights and activations rounded to bf16, products summed in fp32."""

    name = "native-bf16"
    precision = "bf16"
    exact = False


class NativeInt8Engine(NativeNetEngine):
    """All layers but the first in whole numbers of 8 bits; see `distilrank.quantise`."""

    name = "native-int8"
    precision = "int8"
    exact = False
