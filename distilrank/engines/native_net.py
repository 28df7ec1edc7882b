"""Networks in this project's own native scorer, in fp32 and bf16."""

from __future__ import annotations

from typing import Any

import numpy as np

from distilrank.engines.base import Engine, Model, check_rows, scaler_described
from distilrank.native import load
from distilrank.scorer import Scorer
from distilrank.student import Student


class NativeNetEngine(Engine):
    """`distilrank.scorer.Scorer` on this processor's best level; see docs/native.md."""

    name = "native-fp32"
    kind = "network"
    precision = "fp32"

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, Student):
            return "it scores networks only"
        try:
            load()
        except (OSError, ValueError) as error:
            return str(error)
        return None

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        if not isinstance(model, Student):
            raise ValueError(f"{self.name} scores networks only")
        if threads != 1:
            raise ValueError(f"{self.name} scores on one thread, {threads} asked for")
        self._scorer = Scorer(model, precision=self.precision)
        self._batch = batch
        self._described = scaler_described(model)
        self._out = np.empty(batch, dtype=np.float32)

    def score(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) != self._batch:
            check_rows(rows, self._scorer.n_features, self._batch)
        return self._scorer.score(rows, self._out[: len(rows)])

    def describe(self) -> dict[str, Any]:
        return self._scorer.describe() | self._described


class NativeBf16Engine(NativeNetEngine):
    """Weights and activations rounded to bf16, products summed in fp32."""

    name = "native-bf16"
    precision = "bf16"
    exact = False
