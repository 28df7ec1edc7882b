"""Forests in this project's own native scorer."""

from __future__ import annotations

from typing import Any

import numpy as np

from distilrank.engines.base import Engine, Model, check_rows
from distilrank.forest import Forest
from distilrank.native import load
from distilrank.scorer import Scorer


class NativeForestEngine(Engine):
    """`distilrank.scorer.Scorer` on this processor's best level; see docs/native.md."""

    name = "native-forest"
    kind = "forest"
    precision = "exact"

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, Forest):
            return "it scores forests only"
        try:
            load()
        except (OSError, ValueError) as error:
            return str(error)
        return None

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        if not isinstance(model, Forest):
            raise ValueError("native-forest scores forests only")
        if threads != 1:
            raise ValueError(f"native-forest scores on one thread, {threads} asked for")
        self._scorer = Scorer(model)
        self._batch = batch
        self._out = np.empty(batch, dtype=np.float32)

    def score(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) != self._batch:
            check_rows(rows, self._scorer.n_features, self._batch)
        return self._scorer.score(rows, self._out[: len(rows)])

    def describe(self) -> dict[str, Any]:
        return self._scorer.describe()
