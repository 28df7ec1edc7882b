"""oneDNN 3 through its C interface: the few functions that a chain of dense layers needs.

Nothing here is a Python package's interface, so the shared library itself is what must be found:
in the wheel ``onednn-cpu-gomp``, which ``onednn-devel-cpu-gomp`` brings, or in the system. The
constants are those of ``dnnl_types.h``, which oneDNN keeps for a whole major version; version 2
has other functions and other constants.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from typing import Any, ClassVar

import numpy as np

_WHEEL = "onednn-cpu-gomp"
_INSTALL = "pip install onednn-devel-cpu-gomp==2023.2.0"
_MAJOR = 3
# Threading runtimes of a build. With these two, a primitive has finished when `execute` returns.
_RUNTIMES = {1: "sequential", 2: "OpenMP"}

F32, BF16 = 3, 2
_CPU, _IN_ORDER, _CLIP = 1, 1, 46
_ANY_ORDER, _ROW_MAJOR = 1, 3
_QUERY_NAME, _QUERY_WEIGHTS = 8, 131
_SOURCE, _RESULT, _WEIGHTS, _BIAS = 1, 17, 33, 41
_ALLOCATE = ctypes.c_void_p(-1)
_UNIMPLEMENTED = 3
# `dnnl_cpu_isa_avx512_core_bf16`: every set of instructions above it has its bits too.
_ISA_BF16 = 0xE7

_Handle = ctypes.c_void_p
_Out = ctypes.POINTER(_Handle)
Placed = tuple[_Handle, _Handle]  # a layout and a memory
_INT, _FLOAT = ctypes.c_int, ctypes.c_float
_SIGNATURES: dict[str, list[Any]] = {
    "engine_create": [_Out, _INT, ctypes.c_size_t],
    "stream_create": [_Out, _Handle, ctypes.c_uint],
    "memory_desc_create_with_tag": [_Out, _INT, ctypes.POINTER(ctypes.c_int64), _INT, _INT],
    "memory_create": [_Out, _Handle, _Handle, _Handle],
    "memory_set_data_handle": [_Handle, _Handle],
    "primitive_attr_create": [_Out],
    "primitive_attr_set_post_ops": [_Handle, _Handle],
    "post_ops_create": [_Out],
    "post_ops_append_eltwise": [_Handle, _INT, _FLOAT, _FLOAT],
    "matmul_primitive_desc_create": [_Out, *[_Handle] * 6],
    "reorder_primitive_desc_create": [_Out, *[_Handle] * 5],
    "primitive_desc_query": [_Handle, _INT, _INT, ctypes.c_void_p],
    "primitive_create": [_Out, _Handle],
    "primitive_execute": [_Handle, _Handle, _INT, ctypes.c_void_p],
    **{
        f"{kind}_destroy": [_Handle]
        for kind in ("engine", "stream", "memory_desc", "memory", "primitive_attr", "post_ops",
                     "primitive_desc", "primitive")
    },
}  # fmt: skip


class _Version(ctypes.Structure):
    """``dnnl_version_t``."""

    _fields_: ClassVar = [
        ("major", _INT), ("minor", _INT), ("patch", _INT), ("hash", ctypes.c_char_p),
        ("cpu_runtime", ctypes.c_uint), ("gpu_runtime", ctypes.c_uint),
    ]  # fmt: skip


class _Argument(ctypes.Structure):
    """``dnnl_exec_arg_t``."""

    _fields_: ClassVar = [("arg", _INT), ("memory", _Handle)]


def unavailable(bf16: bool = False) -> str | None:
    """Why oneDNN cannot run here, or not with bf16 instructions; None where it can."""
    try:
        library()
    except OSError as error:
        return str(error)
    if bf16 and library().dnnl_get_effective_cpu_isa() & _ISA_BF16 != _ISA_BF16:
        return "oneDNN finds no bf16 instructions on this processor (AVX512_BF16 or AMX)"
    return None


@cache
def library() -> ctypes.CDLL:
    """The shared library, its functions declared; ``OSError`` says what is missing."""
    candidates = [*_in_wheel(), *filter(None, [ctypes.util.find_library("dnnl")])]
    if not candidates:
        raise OSError(f"oneDNN is not installed here ({_INSTALL})")
    reasons = []
    for candidate in candidates:
        try:
            return _declared(ctypes.CDLL(candidate))
        except (OSError, AttributeError) as error:
            reasons.append(str(error))
    raise OSError(f"no oneDNN found here serves: {'; '.join(reasons)} ({_INSTALL})")


def _in_wheel() -> list[str]:
    """The library's file where the wheel is installed."""
    try:
        listed = files(_WHEEL) or []
    except PackageNotFoundError:
        return []
    return [str(file.locate()) for file in listed if file.name == f"libdnnl.so.{_MAJOR}"]


def _declared(loaded: ctypes.CDLL) -> ctypes.CDLL:
    """``loaded`` with argument types; ``OSError`` where its version or runtime is another."""
    loaded.dnnl_version.restype = ctypes.POINTER(_Version)
    version = loaded.dnnl_version().contents
    if version.major != _MAJOR:
        raise OSError(
            f"oneDNN {version.major}.{version.minor} has another C interface, "
            f"version {_MAJOR} is needed"
        )
    if version.cpu_runtime not in _RUNTIMES:
        raise OSError("oneDNN was built for neither OpenMP nor sequential running")
    for name, arguments in _SIGNATURES.items():
        getattr(loaded, f"dnnl_{name}").argtypes = arguments
    return loaded


def described() -> dict[str, str]:
    """Version and threading runtime of the library."""
    version = library().dnnl_version().contents
    return {
        "onednn": f"{version.major}.{version.minor}.{version.patch}",
        "onednn_runtime": _RUNTIMES[version.cpu_runtime],
    }


class Session:
    """A CPU engine, its stream, and every object made with them, destroyed together."""

    def __init__(self) -> None:
        self._library = library()
        self._made: list[tuple[str, _Handle]] = []
        self._arrays: list[np.ndarray] = []
        self._engine = self._make("engine", "engine_create", _CPU, 0)
        self._stream = self._make("stream", "stream_create", self._engine, _IN_ORDER)

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, f"dnnl_{function}")(*arguments)
        if status == _UNIMPLEMENTED:
            raise RuntimeError(f"oneDNN cannot do this on this processor ({function})")
        if status:
            raise RuntimeError(f"oneDNN: {function} failed with status {status}")

    def _make(self, kind: str, function: str, *arguments: Any) -> _Handle:
        """A new object of ``kind``, which the session owns."""
        handle = _Handle()
        self._call(function, ctypes.byref(handle), *arguments)
        self._made.append((kind, handle))
        return handle

    def layout(self, shape: tuple[int, int], number: int, free: bool = False) -> _Handle:
        """Row-major ``shape`` of `F32` or `BF16`; ``free`` leaves the order to a primitive."""
        dims = (ctypes.c_int64 * 2)(*shape)
        tag = _ANY_ORDER if free else _ROW_MAJOR
        return self._make("memory_desc", "memory_desc_create_with_tag", 2, dims, number, tag)

    def memory(self, layout: _Handle, array: np.ndarray | None = None) -> _Handle:
        """Memory of that layout: the ``array``'s own, or newly allocated."""
        if array is None:
            return self._make("memory", "memory_create", layout, self._engine, _ALLOCATE)
        self._arrays.append(array)
        return self._make("memory", "memory_create", layout, self._engine, array.ctypes.data)

    def mover(self, memory: _Handle) -> Callable[[int], int]:
        """A function that puts ``memory`` at another address."""
        function = self._library.dnnl_memory_set_data_handle
        return lambda address: function(memory, address)

    def copy(self, source: Placed, target: Placed) -> Callable[[], int]:
        """A function that copies, reorders and converts."""
        description = self._make(
            "primitive_desc", "reorder_primitive_desc_create",
            source[0], self._engine, target[0], self._engine, None,
        )  # fmt: skip
        return self._runner(description, {_SOURCE: source[1], _RESULT: target[1]})

    def product(
        self, source: _Handle, weights: _Handle, bias: _Handle, result: _Handle, relu6: bool
    ) -> _Handle:
        """Describe ``result = relu6(source x weights + bias)``, given the four's layouts."""
        attributes = None
        if relu6:
            after = self._make("post_ops", "post_ops_create")
            self._call("post_ops_append_eltwise", after, _CLIP, 0.0, 6.0)
            attributes = self._make("primitive_attr", "primitive_attr_create")
            self._call("primitive_attr_set_post_ops", attributes, after)
        return self._make(
            "primitive_desc", "matmul_primitive_desc_create",
            self._engine, source, weights, bias, result, attributes,
        )  # fmt: skip

    def weights_layout(self, product: _Handle) -> _Handle:
        """The order of the weights that a product chose; it owns the layout."""
        found = _Handle()
        self._call("primitive_desc_query", product, _QUERY_WEIGHTS, 0, ctypes.byref(found))
        return found

    def implementation(self, product: _Handle) -> str:
        """The name of the code that will run, such as ``brg:avx512_core``."""
        name = ctypes.c_char_p()
        self._call("primitive_desc_query", product, _QUERY_NAME, 0, ctypes.byref(name))
        return (name.value or b"").decode()

    def runner(
        self, product: _Handle, source: _Handle, weights: _Handle, bias: _Handle, result: _Handle
    ) -> Callable[[], int]:
        """A function that computes a product of these memories; it returns a status, 0 = done."""
        memories = {_SOURCE: source, _WEIGHTS: weights, _BIAS: bias, _RESULT: result}
        return self._runner(product, memories)

    def _runner(self, description: _Handle, memories: dict[int, _Handle]) -> Callable[[], int]:
        primitive = self._make("primitive", "primitive_create", description)
        arguments = (_Argument * len(memories))(*memories.items())
        execute, stream, count = self._library.dnnl_primitive_execute, self._stream, len(memories)
        return lambda: execute(primitive, stream, count, arguments)

    def __del__(self) -> None:
        for kind, handle in reversed(getattr(self, "_made", [])):
            getattr(self._library, f"dnnl_{kind}_destroy")(handle)
