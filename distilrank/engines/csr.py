"""Sparse layer kernels on the CSR form of the weights: SciPy, torch and Intel's MKL."""

from __future__ import annotations

import ctypes
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from distilrank.engines.base import Kernel, missing
from distilrank.engines.dense import TorchDense

_ZERO, _SIX = np.float32(0), np.float32(6)


def csr_parts(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The CSR form of a dense matrix: int32 row pointers, int32 columns, float32 values."""
    rows, columns = np.nonzero(weight)
    pointers = np.zeros(len(weight) + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=len(weight)), out=pointers[1:])
    return pointers, columns.astype(np.int32), weight[rows, columns].astype(np.float32)


class ScipyCsr(Kernel):
    """SciPy's CSR times dense: portable C++ without SIMD intrinsics."""

    name: ClassVar[str] = "scipy-csr"
    sparse: ClassVar[bool] = True

    @classmethod
    def unavailable(cls) -> str | None:
        return missing("scipy.sparse")

    def prepare(self, weight: np.ndarray, bias: np.ndarray, batch: int, relu6: bool = True) -> None:
        import scipy
        from scipy.sparse import csr_array

        self._version = scipy.__version__
        self._weight = csr_array(weight.astype(np.float32))
        self._bias = bias.astype(np.float32)[:, None].copy()
        self._relu6 = relu6

    def apply(self, x: np.ndarray) -> np.ndarray:
        out = self._weight @ x
        np.add(out, self._bias, out=out)
        if self._relu6:
            np.clip(out, _ZERO, _SIX, out=out)
        return out

    def describe(self) -> dict[str, Any]:
        return {"scipy": self._version, "sparse_kernel": "csr_array @ dense"}


class TorchCsr(TorchDense):
    """The same ``addmm`` with the weights in torch's sparse CSR form."""

    name: ClassVar[str] = "torch-csr"
    sparse: ClassVar[bool] = True

    def _matrix(self, weight: np.ndarray) -> Any:
        torch = self._torch
        pointers, columns, values = map(torch.from_numpy, csr_parts(weight))
        with warnings.catch_warnings():
            # "Sparse CSR tensor support is in beta state": the parity check is our guard.
            warnings.simplefilter("ignore", UserWarning)
            return torch.sparse_csr_tensor(
                pointers, columns, values, weight.shape, check_invariants=True
            )

    def describe(self) -> dict[str, Any]:
        mkl = self._torch.backends.mkl.is_available()
        return {
            "torch": self._torch.__version__,
            "sparse_kernel": "addmm of a CSR tensor, " + ("MKL" if mkl else "torch's own loop"),
        }


class _MatrixDescription(ctypes.Structure):
    """MKL's ``struct matrix_descr``."""

    _fields_: ClassVar = [("type", ctypes.c_int), ("mode", ctypes.c_int), ("diag", ctypes.c_int)]


_NO_TRANSPOSE, _ROW_MAJOR, _GENERAL, _SEQUENTIAL = 10, 101, 20, 1
# How often a prepared matrix will be used: MKL then spends more on choosing its inner kernel.
_EXPECTED_CALLS = 100_000


class MklCsr(Kernel):
    """MKL's inspector-executor ``mkl_sparse_s_mm``, the handle made and optimised beforehand.

    The same routine that the package sparse_dot_mkl calls, without its making a new handle in
    every call, which at batch 256 costs more than the product. The output buffer is filled with
    the bias and MKL adds the product to it.
    """

    name: ClassVar[str] = "mkl-csr"
    sparse: ClassVar[bool] = True

    @classmethod
    def unavailable(cls) -> str | None:
        try:
            _mkl()
        except OSError as error:
            return f"MKL is not installed here ({error})"
        return None

    def prepare(self, weight: np.ndarray, bias: np.ndarray, batch: int, relu6: bool = True) -> None:
        library = _mkl()
        outputs, inputs = weight.shape
        self._batch, self._relu6 = batch, relu6
        self._bias = bias.astype(np.float32)[:, None].copy()
        self._out = np.empty((outputs, batch), dtype=np.float32)
        # MKL keeps pointers to these three arrays.
        self._parts = pointers, columns, values = csr_parts(weight)
        self._handle = handle = ctypes.c_void_p()
        self._seen: np.ndarray | None = None
        integer = ctypes.c_int
        start = pointers.ctypes.data
        status = library.mkl_sparse_s_create_csr(
            ctypes.byref(handle), integer(0), integer(outputs), integer(inputs),
            ctypes.c_void_p(start), ctypes.c_void_p(start + pointers.itemsize),
            ctypes.c_void_p(columns.ctypes.data), ctypes.c_void_p(values.ctypes.data),
        )  # fmt: skip
        if status:
            raise RuntimeError(f"mkl_sparse_s_create_csr failed with status {status}")
        general = _MatrixDescription(_GENERAL, 0, 0)
        library.mkl_sparse_set_mm_hint(
            handle, _NO_TRANSPOSE, general, _ROW_MAJOR, batch, _EXPECTED_CALLS
        )
        library.mkl_sparse_optimize(handle)
        self._multiply = library.mkl_sparse_s_mm
        self._before = (_NO_TRANSPOSE, ctypes.c_float(1.0), handle, general, _ROW_MAJOR)
        self._after = (
            batch, batch, ctypes.c_float(1.0), ctypes.c_void_p(self._out.ctypes.data), batch,
        )  # fmt: skip

    def apply(self, x: np.ndarray) -> np.ndarray:
        if x is not self._seen:
            self._seen, self._x = x, ctypes.c_void_p(x.ctypes.data)
        out = self._out
        np.copyto(out, self._bias)
        status = self._multiply(*self._before, self._x, *self._after)
        if status:
            raise RuntimeError(f"mkl_sparse_s_mm failed with status {status}")
        if self._relu6:
            np.clip(out, _ZERO, _SIX, out=out)
        return out

    def describe(self) -> dict[str, Any]:
        text = ctypes.create_string_buffer(256)
        _mkl().mkl_get_version_string(text, 256)
        version = text.value.decode(errors="replace").strip()
        return {"mkl": version, "sparse_kernel": "mkl_sparse_s_mm, optimised for the batch"}

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            _mkl().mkl_sparse_destroy(self._handle)


@cache
def _mkl() -> ctypes.CDLL:
    """MKL's runtime library from the ``mkl`` wheel, or from the system; ``OSError`` without one."""
    candidates = [*sorted(map(str, Path(sys.prefix, "lib").glob("libmkl_rt.so*"))), "libmkl_rt.so"]
    for candidate in candidates:
        try:
            library = ctypes.CDLL(candidate)
        except OSError as error:
            last = error
            continue
        # One thread and no OpenMP runtime of MKL's own beside that of torch.
        library.MKL_Set_Threading_Layer(_SEQUENTIAL)
        return library
    raise last
