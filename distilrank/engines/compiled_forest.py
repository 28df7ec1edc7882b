"""Forests compiled to machine code while they are loaded: lleaves (LLVM) and tl2cgen (C).

Both turn every tree into nested branches. Compiling takes seconds for a hundred trees of 64 leaves
and minutes for a thousand, and does not depend on the batch: the last forest's code is kept.
"""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
import tempfile
from abc import abstractmethod
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from distilrank.engines.base import Engine, Model, check_rows, missing
from distilrank.forest import ZERO_IS_MISSING, Forest

# Compiling 600 trees of 256 leaves took lleaves more than 24 GB of memory.
_LEAVES_AT_MOST = 100_000
_LLVMLITE_BELOW = (0, 45)
_TREES_A_FILE = 25  # larger C functions take gcc more than proportionally longer


class _CompiledEngine(Engine):
    """What both have in common: what they take, and keeping the last forest's code."""

    kind = "forest"
    precision = "exact"
    modules: ClassVar[tuple[str, ...]]
    _latest: ClassVar[tuple[Forest, Any] | None] = None

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, Forest):
            return "it scores forests only"
        if model.source is None:
            return "the forest was not read from a LightGBM model text"
        if any((tree.route & ZERO_IS_MISSING).any() for tree in model.trees):
            return f"the forest takes 0 for missing, which {self.name} does not: its scores differ"
        return missing(*self.modules)

    def _code(self, model: Model, threads: int) -> Any:
        """The forest's compiled code."""
        if not isinstance(model, Forest):
            raise ValueError(f"{self.name} scores forests only")
        if threads != 1:
            raise ValueError(f"{self.name} scores on one thread, {threads} asked for")
        cached = type(self)._latest
        if cached is None or cached[0] is not model:
            with tempfile.TemporaryDirectory() as folder:
                text = Path(folder, "model.txt")
                text.write_text(_model_text(model), encoding="utf-8")
                type(self)._latest = cached = (model, self._compiled(text, len(model.trees)))
        return cached[1]

    @abstractmethod
    def _compiled(self, text: Path, trees: int) -> Any:
        """Compile the model in the file ``text``; what is left of it is in memory."""


def _model_text(forest: Forest) -> str:
    """The forest's LightGBM text with our reader's thresholds.

    They differ where LightGBM takes tiny values for 0, which neither compiler knows of.
    """
    if forest.source is None:
        raise ValueError("the forest was not read from a LightGBM model text")
    thresholds = iter(tree.threshold for tree in forest.trees if len(tree.threshold))
    lines = forest.source.read_text(encoding="utf-8").split("\n")
    for at, line in enumerate(lines):
        if line.startswith("threshold=") and line[len("threshold=") :].strip():
            lines[at] = "threshold=" + " ".join(map(repr, next(thresholds).tolist()))
    return "\n".join(lines)


class LleavesEngine(_CompiledEngine):
    """lleaves with its default settings, its compiled function called without its wrapper.

    In float64, into which rows are copied within the time: in float32 it is no faster, and its
    thresholds are rounded. Disabling its blocks of trees gains nothing for single rows either.
    """

    name = "lleaves"
    modules = ("lleaves",)

    def supports(self, model: Model) -> str | None:
        reason = super().supports(model)
        if reason or not isinstance(model, Forest):
            return reason
        found = version("llvmlite")
        if tuple(map(int, found.split(".")[:2])) >= _LLVMLITE_BELOW:
            return f"lleaves needs llvmlite below 0.45, found {found}"
        leaves = sum(tree.leaves for tree in model.trees)
        if leaves > _LEAVES_AT_MOST:
            return (
                f"the forest has {leaves} leaves in all; beyond {_LEAVES_AT_MOST} lleaves takes "
                "tens of gigabytes of memory to compile it"
            )
        return None

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        # The model owns the function's memory.
        self._model = self._code(model, threads)
        self._batch = batch
        self._rows = np.zeros((batch, self._model.num_feature()), dtype=np.float64)
        self._out = np.zeros(batch, dtype=np.float64)
        double = ctypes.POINTER(ctypes.c_double)
        self._addresses = self._rows.ctypes.data_as(double), self._out.ctypes.data_as(double)
        self._function = self._model._c_entry_func

    def _compiled(self, text: Path, trees: int) -> Any:
        import lleaves

        model = lleaves.Model(str(text))
        model.compile(raw_score=True)
        return model

    def score(self, rows: np.ndarray) -> np.ndarray:
        count = len(rows)
        if count != self._batch:
            check_rows(rows, self._rows.shape[1], self._batch)
        np.copyto(self._rows[:count], rows)
        self._function(*self._addresses, 0, count)
        return self._out[:count]

    def describe(self) -> dict[str, Any]:
        return {name: version(name) for name in ("lleaves", "llvmlite")} | {
            "rows": "copied to float64, within the time"
        }


# A row's values become entries, a missing one the integer -1; `predict` is tl2cgen's.
_DRIVER = """
#include "header.h"
void score_rows(const float* rows, long count, long width, union Entry* row, double* scores) {
  for (long i = 0; i < count; ++i, rows += width) {
    for (long k = 0; k < width; ++k) {
      if (isnan(rows[k])) row[k].missing = -1; else row[k].fvalue = rows[k];
    }
    scores[i] = 0;
    predict(row, 1, scores + i);
  }
}
"""


class Tl2cgenEngine(_CompiledEngine):
    """tl2cgen's C code, thresholds quantised to ranks, called row by row from C.

    Ranks decide exactly as the thresholds do, twice as fast. tl2cgen's own predictor would add
    20 us a call.
    """

    name = "tl2cgen"
    modules = ("treelite", "tl2cgen")

    def supports(self, model: Model) -> str | None:
        reason = super().supports(model)
        if reason is None and shutil.which("cc") is None:
            return "tl2cgen writes C, and there is no C compiler (cc) here"
        return reason

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        self._library = self._code(model, threads)
        self._features, self._batch = model.n_features, batch
        self._entries = np.zeros(self._features, dtype=np.float64)
        self._out = np.zeros(batch, dtype=np.float64)
        self._addresses = self._entries.ctypes.data, self._out.ctypes.data
        self._function = self._library.score_rows
        pointer, number = ctypes.c_void_p, ctypes.c_long
        self._function.argtypes = [pointer, number, number, pointer, pointer]
        self._function.restype = None

    def _compiled(self, text: Path, trees: int) -> Any:
        import tl2cgen
        import treelite

        folder = str(text.parent)
        model = treelite.frontend.load_lightgbm_model(str(text))
        files = math.ceil(trees / _TREES_A_FILE)
        tl2cgen.generate_c_code(model, folder, {"quantize": 1, "parallel_comp": files})
        Path(folder, "driver.c").write_text(_DRIVER)
        return _linked(folder)

    def score(self, rows: np.ndarray) -> np.ndarray:
        count = len(rows)
        if count != self._batch:
            check_rows(rows, self._features, self._batch)
        self._function(rows.ctypes.data, count, self._features, *self._addresses)
        return self._out[:count]

    def describe(self) -> dict[str, Any]:
        return {name: version(name) for name in self.modules} | {
            "compiler": "cc -O3",
            "thresholds": "quantised to ranks, within the time",
        }


def _linked(folder: str) -> ctypes.CDLL:
    """All C files in ``folder`` as one loaded library.

    Raises:
        RuntimeError: with the compiler's first line, if it fails.
    """
    target = Path(folder, "forest.so")
    sources = sorted(Path(folder).glob("*.c"))
    command = ["cc", "-O3", "-std=c99", "-fPIC", "-shared", "-o", target, *sources, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise RuntimeError(f"the C compiler failed on tl2cgen's code: {said[0]}")
    return ctypes.CDLL(str(target))
