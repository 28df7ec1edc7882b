"""Dense layer kernels: one matrix product by a general library.

Zeros among the weights gain nothing here; a pruned layer is simply a dense one with zeros in it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from distilrank.engines.base import Kernel, blas_in_use, missing

_ZERO, _SIX = np.float32(0), np.float32(6)


class NumpyDense(Kernel):
    """NumPy's matrix product, which is the BLAS it was built with."""

    name: ClassVar[str] = "numpy"

    @classmethod
    def unavailable(cls) -> str | None:
        return None

    def prepare(self, weight: np.ndarray, bias: np.ndarray, batch: int, relu6: bool = True) -> None:
        self._weight = np.ascontiguousarray(weight, dtype=np.float32)
        self._bias = bias.astype(np.float32)[:, None].copy()
        self._relu6 = relu6
        self._out = np.empty((len(weight), batch), dtype=np.float32)

    def apply(self, x: np.ndarray) -> np.ndarray:
        out = self._out
        np.matmul(self._weight, x, out=out)
        np.add(out, self._bias, out=out)
        if self._relu6:
            np.clip(out, _ZERO, _SIX, out=out)
        return out

    def describe(self) -> dict[str, Any]:
        return {"numpy": np.__version__, "blas": blas_in_use("libscipy_openblas")}


class TorchDense(Kernel):
    """torch's ``addmm``, the bias added within the product, then ReLU6 in place."""

    name: ClassVar[str] = "torch"

    @classmethod
    def unavailable(cls) -> str | None:
        return missing("torch")

    def prepare(self, weight: np.ndarray, bias: np.ndarray, batch: int, relu6: bool = True) -> None:
        import torch

        self._torch = torch
        # Copies: torch warns about, and could write to, a read-only array that it shares.
        self._weight = self._matrix(weight)
        self._bias = torch.tensor(bias)[:, None]
        self._relu6 = relu6
        self._out = torch.empty((len(weight), batch))
        self._shared_out = self._out.numpy()
        self._seen: np.ndarray | None = None

    def _matrix(self, weight: np.ndarray) -> Any:
        return self._torch.tensor(weight)

    def apply(self, x: np.ndarray) -> np.ndarray:
        if x is not self._seen:
            # A hidden layer gets the same buffer in every call: wrap it once.
            self._seen, self._x = x, self._torch.from_numpy(x)
        self._torch.addmm(self._bias, self._weight, self._x, out=self._out)
        if self._relu6:
            self._out.clamp_(0, 6)
        return self._shared_out

    def describe(self) -> dict[str, Any]:
        return {
            "torch": self._torch.__version__,
            "torch_cpu": self._torch.backends.cpu.get_cpu_capability(),
        }


class Fetch(Kernel):
    """Bringing row-major rows in from memory, as one plain copy.

    Not a layer: it exists so that the kernel sweep measures what a network spends on rows that no
    cache holds yet.
    """

    name: ClassVar[str] = "fetch"

    @classmethod
    def unavailable(cls) -> str | None:
        return None

    def prepare(self, weight: np.ndarray, bias: np.ndarray, batch: int, relu6: bool = True) -> None:
        self._out = np.zeros((batch, weight.shape[1]), dtype=np.float32).T

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Copy ``x``, an (inputs, batch) view of a row-major block, as it lies."""
        np.copyto(self._out, x)
        return self._out

    def describe(self) -> dict[str, Any]:
        return {"numpy": np.__version__}


class Transpose(Fetch):
    """The step before a sparse first layer: rows from memory to feature-major columns."""

    name: ClassVar[str] = "transpose"

    def prepare(self, weight: np.ndarray, bias: np.ndarray, batch: int, relu6: bool = True) -> None:
        self._out = np.zeros((weight.shape[1], batch), dtype=np.float32)
