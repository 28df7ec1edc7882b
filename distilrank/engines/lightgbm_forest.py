"""Forests in LightGBM itself, through its C interface."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from distilrank.engines.base import Engine, Model, check_rows, missing
from distilrank.forest import Forest

_FLOAT32, _RAW_SCORE, _ROW_MAJOR = 0, 1, 1


class LightGbmEngine(Engine):
    """``LGBM_BoosterPredictForMat``; for single rows the ``SingleRowFast`` variant.

    The C interface spares the Python wrapper's checks and copies, which at small batches cost
    more than the trees.
    """

    name = "lightgbm"
    kind = "forest"
    precision = "exact"

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, Forest):
            return "it scores forests only"
        if model.source is None:
            return "the forest was not read from a LightGBM model text"
        return missing("lightgbm")

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        import lightgbm

        if not isinstance(model, Forest):
            raise ValueError("lightgbm scores forests only")
        # A Booster of its own keeps the handle alive and frees it.
        self._booster = lightgbm.Booster(model_file=str(model.source))
        self._library = lightgbm.basic._LIB
        self._handle = self._booster._handle
        self._version = lightgbm.__version__
        self._features, self._batch = model.n_features, batch
        self._parameters = ctypes.c_char_p(f"num_threads={threads} verbosity=-1".encode())
        self._out = np.empty(batch, dtype=np.float64)
        self._out_address = ctypes.c_void_p(self._out.ctypes.data)
        self._count = ctypes.c_int64(0)
        self._count_address = ctypes.byref(self._count)
        self._fast = ctypes.c_void_p()
        if batch == 1:
            self._check(
                self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
                    self._handle, _RAW_SCORE, 0, -1, _FLOAT32, ctypes.c_int32(self._features),
                    self._parameters, ctypes.byref(self._fast),
                )
            )  # fmt: skip

    def score(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) != self._batch:
            check_rows(rows, self._features, self._batch)
        source = ctypes.c_void_p(rows.ctypes.data)
        if self._fast:
            status = self._library.LGBM_BoosterPredictForMatSingleRowFast(
                self._fast, source, self._count_address, self._out_address
            )
        else:
            status = self._library.LGBM_BoosterPredictForMat(
                self._handle, source, _FLOAT32, ctypes.c_int32(len(rows)),
                ctypes.c_int32(self._features), _ROW_MAJOR, _RAW_SCORE, 0, -1, self._parameters,
                self._count_address, self._out_address,
            )  # fmt: skip
        if status:
            self._check(status)
        return self._out[: len(rows)]

    def _check(self, status: int) -> None:
        if status:
            self._library.LGBM_GetLastError.restype = ctypes.c_char_p
            raise RuntimeError(f"LightGBM: {self._library.LGBM_GetLastError().decode()}")

    def describe(self) -> dict[str, Any]:
        call = "PredictForMatSingleRowFast" if self._fast else "PredictForMat"
        return {"lightgbm": self._version, "call": f"LGBM_Booster{call}"}

    def __del__(self) -> None:
        if getattr(self, "_fast", None):
            self._library.LGBM_FastConfigFree(self._fast)
