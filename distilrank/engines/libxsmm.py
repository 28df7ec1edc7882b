"""A sparse layer kernel compiled for its matrix while it is loaded: LIBXSMM's packed CSR product.

LIBXSMM 1.17, ``libxsmm_create_xcsr_soa`` with a sparse A: ``C[m][n][16] += A[m][k] B[k][n][16]``,
which is a feature-major product whose batch is a multiple of 16.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from distilrank.engines.base import Kernel
from distilrank.engines.csr import csr_parts

_ZERO, _SIX = np.float32(0), np.float32(6)
_PACK = 16  # documents in one AVX-512 register
_LINE = _PACK * 4  # bytes
# LIBXSMM writes machine code into a buffer of 128 KiB and crashes beyond it. A non-zero takes at
# most 14 bytes for each group of 16 documents, a row 20 for loading and storing.
_CODE_LIMIT, _BYTES_A_NONZERO, _BYTES_A_ROW = 100_000, 14, 20
# Groups of 16 documents that one generated kernel holds in registers; the generator allows 28.
_GROUPS_AT_MOST = 8


class LibxsmmCsr(Kernel):
    """One generated kernel for each block of rows that fits LIBXSMM's code buffer."""

    name: ClassVar[str] = "libxsmm-csr"
    sparse: ClassVar[bool] = True
    multiple: ClassVar[int] = _PACK

    @classmethod
    def unavailable(cls) -> str | None:
        try:
            library, _ = _libxsmm()
        except (OSError, subprocess.CalledProcessError) as error:
            return f"LIBXSMM 1.17 is not installed here (Debian: libxsmm-dev): {error}"
        if not library.libxsmm_get_target_arch():
            return f"LIBXSMM cannot generate code for this processor ({platform.machine()})"
        return None

    def prepare(self, weight: np.ndarray, bias: np.ndarray, batch: int, relu6: bool = True) -> None:
        self._batch, self._relu6 = batch, relu6
        self._bias = bias.astype(np.float32)[:, None].copy()
        self._out = np.empty((len(weight), self.padded(batch)), dtype=np.float32)
        self._result = self._out[:, :batch]
        self._seen: np.ndarray | None = None
        groups = self.padded(batch) // _PACK
        columns = [
            (start, min(_GROUPS_AT_MOST, groups - start))
            for start in range(0, groups, _GROUPS_AT_MOST)
        ]
        self._keep: list[np.ndarray] = []
        self._calls: list[tuple[Any, int, int, int]] = []
        compiled: dict[tuple[int, int], Any] = {}
        for first, last in _row_blocks(weight, columns[0][1]):
            block = np.ascontiguousarray(weight[first:last])
            if not block.any():
                continue
            for start, width in columns:
                if (first, width) not in compiled:
                    compiled[first, width] = self._compile(block, width, groups)
                kernel, values = compiled[first, width]
                target = self._out.ctypes.data + first * groups * _LINE + start * _LINE
                self._calls.append((kernel, values, start * _LINE, target))
        self._kernels = len(compiled)

    def _compile(self, block: np.ndarray, width: int, groups: int) -> tuple[Any, int]:
        """Generate code for ``block`` times ``width`` groups of 16 out of ``groups``."""
        library, _ = _libxsmm()
        pointers, columns, values = csr_parts(block)
        pointers, columns = pointers.astype(np.uint32), columns.astype(np.uint32)
        self._keep += [values]
        blob = ctypes.create_string_buffer(256)
        rows, inputs = block.shape
        one = ctypes.c_float(1.0)
        descriptor = library.libxsmm_sgemm_descriptor_init(
            blob, rows, width, inputs, 0, groups, groups, one, one, 0, 0
        )
        code = library.libxsmm_create_xcsr_soa(
            ctypes.c_void_p(descriptor), _address(pointers), _address(columns), _address(values),
            ctypes.c_uint(_PACK),
        )  # fmt: skip
        if not code:
            raise RuntimeError(f"LIBXSMM generated no code for {rows} x {inputs}")
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(code)
        return function, values.ctypes.data

    def apply(self, x: np.ndarray) -> np.ndarray:
        if x is not self._seen:
            start = x.ctypes.data
            self._seen = x
            self._ready = [
                (kernel, values, start + offset, target)
                for kernel, values, offset, target in self._calls
            ]
        np.copyto(self._out, self._bias)
        for kernel, values, source, target in self._ready:
            kernel(values, source, target)
        if self._relu6:
            np.clip(self._out, _ZERO, _SIX, out=self._out)
        return self._result

    def describe(self) -> dict[str, Any]:
        library, origin = _libxsmm()
        return {
            "libxsmm": origin,
            "libxsmm_target": library.libxsmm_get_target_arch().decode(),
            "sparse_kernel": f"libxsmm_create_xcsr_soa, {self._kernels} generated kernels",
        }


def _row_blocks(weight: np.ndarray, groups: int) -> list[tuple[int, int]]:
    """Cut the rows into runs (first, last + 1) whose generated code fits the buffer."""
    cost = groups * (np.count_nonzero(weight, axis=1) * _BYTES_A_NONZERO + _BYTES_A_ROW)
    blocks, first, total = [], 0, 0
    for row, size in enumerate(cost):
        if size > _CODE_LIMIT:
            raise ValueError(f"row {row} has too many non-zeros for LIBXSMM's code buffer")
        if total + size > _CODE_LIMIT:
            blocks.append((first, row))
            first, total = row, 0
        total += size
    return [*blocks, (first, len(weight))]


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@cache
def _libxsmm() -> tuple[ctypes.CDLL, str]:
    """The library and where it came from; ``OSError`` says what is missing."""
    found = ctypes.util.find_library("xsmm")
    library = ctypes.CDLL(found) if found else _linked()
    library.libxsmm_init()
    library.libxsmm_get_target_arch.restype = ctypes.c_char_p
    library.libxsmm_sgemm_descriptor_init.restype = ctypes.c_void_p
    library.libxsmm_create_xcsr_soa.restype = ctypes.c_void_p
    return library, f"shared library {found}" if found else "linked from the static libxsmm.a"


def _linked() -> ctypes.CDLL:
    """Debian ships LIBXSMM as static archives only: link them into a shared library (0.1 s)."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise OSError("no shared libxsmm, and no C compiler to link the static one")
    archives = [_archive(compiler, name) for name in ("libxsmm.a", "libxsmmnoblas.a")]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "libxsmm.so")
        subprocess.run(
            [compiler, "-shared", "-o", target, "-Wl,--whole-archive", *archives,
             "-Wl,--no-whole-archive", "-lpthread", "-ldl", "-lm", "-lrt"],
            check=True, capture_output=True,
        )  # fmt: skip
        return ctypes.CDLL(str(target))


def _archive(compiler: str, name: str) -> str:
    """The path where ``compiler`` finds a library file; it echoes a bare name for none."""
    answer = subprocess.run(
        [compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True
    )
    path = answer.stdout.strip()
    if path == name:
        raise OSError(f"neither a shared libxsmm nor {name} was found")
    return path
