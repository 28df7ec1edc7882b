"""The binding of the native scorers: a forest or a network behind one handle.

See the scorers' part of ``native/distilrank.h``. A `Scorer` reads rows where they lie, with any
stride, and allocates nothing while it scores.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distilrank.forest import Forest
from distilrank.native import declare, load

if TYPE_CHECKING:  # Reading it in Python needs safetensors; scoring needs NumPy alone.
    from distilrank.student import Student

# The orders are those of enum distilrank_level and enum distilrank_precision.
LEVELS = ("best", "portable", "avx2", "avx512", "amx")
PRECISIONS = ("fp32", "bf16", "int8")

_INT32, _INT64 = ctypes.c_int32, ctypes.c_int64
_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_size_t
_SENTENCE = 500
_FLOAT32 = np.dtype(np.float32)
# A pointer that holds on to an array's memory.
_Floats = ctypes.c_float * 0


class _Options(ctypes.Structure):
    _fields_ = [("level", _INT32), ("precision", _INT32)]


class _Forest(ctypes.Structure):
    arrays = ("n_nodes", "feature", "threshold", "left", "right", "route", "value")
    _fields_ = [
        ("n_features", _INT64), ("n_trees", _INT64), *((name, _POINTER) for name in arrays),
    ]  # fmt: skip


class _Network(ctypes.Structure):
    _fields_ = [
        ("n_layers", _INT64),
        *((name, _POINTER) for name in ("widths", "weights", "biases", "mean", "scale")),
        ("fill", _POINTER),
    ]


class _Call(ctypes.Structure):
    """What seldom changes from call to call."""

    _fields_ = [
        ("scorer", _POINTER), ("n", _INT64), ("stride", _INT64),
        ("error", _POINTER), ("size", _SIZE),
    ]  # fmt: skip


class Scorer:
    """A model made ready to score by one thread at a time; `clone` it for another thread.

    Close it, or use it in a ``with`` block, to free it at once; else Python frees it some time.

    Attributes:
        n_features: the width of the rows it scores.
    """

    def __init__(
        self,
        model: str | os.PathLike | Forest | Student,
        level: str = "best",
        precision: str = "fp32",
        library: str | os.PathLike | None = None,
    ) -> None:
        """Make ``model`` ready: the only step that allocates.

        Args:
            model: what to score with: the file of a saved `Student`, of a forest that
                `forest_file.save_forest` wrote, or of one as LightGBM text, told by its content
                and read by the library itself, so that a file from a stranger is safe to open; or
                such a model in memory, which is copied. The scores are the same either way.
            level: one of `LEVELS`: how far to go; what the processor lacks is never used.
            precision: one of `PRECISIONS`, for networks.
            library: the native library; where `native.find_library` finds it if not given.

        Raises:
            ValueError: if the model cannot be scored, or an option is none: a sentence, with the
                path where a file is missing or is no model.
            OSError: if the native library is missing.
        """
        options = _options(level, precision)
        self._handle: int | None = None
        self._native = _native(library)
        error = ctypes.create_string_buffer(_SENTENCE)
        if isinstance(model, str | os.PathLike):
            what, given, named = "open", _file_name(model), f"{os.fsdecode(model)}: "
        else:
            what, given, named = *_structure(model), ""
        create = getattr(self._native, f"distilrank_scorer_{what}")
        handle = create(given, ctypes.byref(options), error, _SENTENCE)
        if not handle:
            raise ValueError(named + error.value.decode(errors="replace"))
        self._own(handle, error)

    def _own(self, handle: int, error: Any) -> None:
        self._handle, self._error = handle, error
        self.n_features = self._native.distilrank_scorer_features(handle)
        self._score = self._native["distilrank_scorer_call"]
        self._score.restype = _INT32
        # Made once: arguments that ctypes converts anew cost more than scoring a document.
        self._call = _Call(handle, 0, 0, ctypes.addressof(error), _SENTENCE)
        self._argument = ctypes.byref(self._call)
        self._shape, self._out, self._scores = None, None, None

    def score(self, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Score ``rows``.

        Args:
            rows: (documents, n_features) float32, each row's values side by side; the rows may be
                any distance apart that is a multiple of a float and not below the width, as in
                ``matrix[:, 3:139]``.
            out: (documents,) float32, contiguous: where the scores go, if given. Calls that bring
                the same array again save a little time.

        Returns:
            (documents,) float32: ``out``, or a new array.

        Raises:
            ValueError: if an array has another shape, type or layout.
        """
        try:
            # As the last call's: there is nothing else to look at.
            alike = rows.shape == self._shape and rows.dtype is _FLOAT32 and rows.flags.carray
        except AttributeError:
            raise ValueError(f"rows is a {type(rows).__name__}, expected a NumPy array") from None
        values = _Floats.from_buffer(rows) if alike else self._take(rows)
        if out is None:
            out = np.empty(len(rows), _FLOAT32)
            scores = _Floats.from_buffer(out)
        else:
            if out is not self._out:
                self._scores, self._out = _pointer_to_scores(out), out
            if len(out) != len(rows):
                raise ValueError(f"out has room for {len(out)} scores, {len(rows)} rows given")
            scores = self._scores
        if self._score(self._argument, values, scores):
            raise ValueError(self._error.value.decode())
        return out

    def _take(self, rows: np.ndarray) -> Any:
        """Check ``rows`` and be ready for their like; a pointer to them."""
        self._open()
        self._call.stride, self._call.n = _stride(rows, self.n_features), len(rows)
        self._shape = rows.shape if rows.flags.c_contiguous else None
        return _pointer(rows)

    def profile(self, rows: np.ndarray) -> np.ndarray:
        """Score ``rows``, and tell where the time goes.

        Args:
            rows: as for `score`.

        Returns:
            (1 + layers,) float64 seconds: reading the rows, then each layer of `describe`. A clock
            is read between the steps of every block of documents, some 25 ns each time.

        Raises:
            ValueError: as `score`, or for a forest, which is not scored step by step.
        """
        stride = _stride(rows, self.n_features)
        seconds = np.zeros(self._native.distilrank_scorer_steps(self._open()))
        scores = np.empty(len(rows), np.float32)
        status = self._native.distilrank_scorer_profile(
            self._open(), rows.ctypes.data, len(rows), stride, scores.ctypes.data,
            seconds.ctypes.data, self._error, _SENTENCE,
        )  # fmt: skip
        if status:
            raise ValueError(self._error.value.decode())
        return seconds

    def clone(self) -> Scorer:
        """The same model with buffers of its own, for another thread."""
        twin = object.__new__(Scorer)
        twin._handle, twin._native = None, self._native
        error = ctypes.create_string_buffer(_SENTENCE)
        handle = self._native.distilrank_scorer_clone(self._open(), error, _SENTENCE)
        if not handle:
            raise ValueError(error.value.decode())
        twin._own(handle, error)
        return twin

    def describe(self) -> dict[str, Any]:
        """What really runs: ``kind``, ``level``, ``precision`` and more of the model."""
        return json.loads(self._native.distilrank_scorer_describe(self._open()))

    def close(self) -> None:
        """Free the model; a second time does nothing."""
        handle, self._handle, self._shape = self._handle, None, None
        if handle:
            self._native.distilrank_scorer_destroy(handle)

    def _open(self) -> int:
        if self._handle is None:
            raise ValueError("the scorer is closed")
        return self._handle

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()


def _native(path: str | os.PathLike | None) -> ctypes.CDLL:
    """The library, its scorer functions declared."""
    library = load(path)
    if library.distilrank_scorer_score.argtypes is None:
        said = [ctypes.c_char_p, _SIZE]
        signatures = {
            "forest": (_POINTER, [_POINTER, _POINTER, *said]),
            "network": (_POINTER, [_POINTER, _POINTER, *said]),
            "open": (_POINTER, [ctypes.c_char_p, _POINTER, *said]),
            "read": (_POINTER, [ctypes.c_char_p, _SIZE, _POINTER, *said]),
            "clone": (_POINTER, [_POINTER, *said]),
            "features": (_INT64, [_POINTER]),
            "describe": (ctypes.c_char_p, [_POINTER]),
            "destroy": (None, [_POINTER]),
            "steps": (_INT64, [_POINTER]),
            "profile": (_INT32, [_POINTER, _POINTER, _INT64, _INT64, _POINTER, _POINTER, *said]),
            "score": (_INT32, [_POINTER, _POINTER, _INT64, _INT64, _POINTER, *said]),
        }
        declare(library, "scorer_", signatures)
    return library


def _file_name(path: str | os.PathLike) -> bytes:
    name = os.fsencode(path)
    if b"\0" in name:  # C would read up to there, and open another file.
        raise ValueError(f"{os.fsdecode(path)!r} is no file's name")
    return name


def _pointer(array: np.ndarray) -> Any:
    """To the array's numbers, as an argument that needs no conversion."""
    if array.flags.carray:
        return _Floats.from_buffer(array)
    return _POINTER(array.ctypes.data)  # Takes three times as long, but any array.


def _pointer_to_scores(out: np.ndarray) -> Any:
    if out.dtype != np.float32 or out.ndim != 1 or not out.flags.c_contiguous:
        raise ValueError(
            f"out is {out.dtype} of shape {out.shape}, expected contiguous float32 of shape "
            "(documents,)"
        )
    if not out.flags.writeable:
        raise ValueError("out cannot be written to")
    return _pointer(out)


def _options(level: str, precision: str) -> _Options:
    return _Options(_index("level", level, LEVELS), _index("precision", precision, PRECISIONS))


def _index(option: str, value: str, names: Sequence[str]) -> int:
    if value not in names:
        raise ValueError(f"{option} is {value!r}, expected one of {', '.join(names)}")
    return names.index(value)


def _stride(rows: np.ndarray, n_features: int) -> int:
    """How many floats lie from one row's start to the next one's."""
    if rows.ndim != 2 or rows.shape[1] != n_features or rows.dtype != np.float32:
        raise ValueError(
            f"rows of {rows.dtype} and shape {rows.shape} given, float32 of shape "
            f"(documents, {n_features}) expected"
        )
    if not len(rows) or (len(rows) == 1 and (n_features < 2 or rows.strides[1] == 4)):
        return n_features  # NumPy gives the strides of no and of single rows any value.
    bytes_apart, between = rows.strides
    if (n_features > 1 and between != 4) or bytes_apart % 4 or bytes_apart < 4 * n_features:
        raise ValueError(
            f"rows with strides of {rows.strides} bytes given: a row's values must lie side by "
            "side, and the rows apart; use np.ascontiguousarray(rows)"
        )
    return bytes_apart // 4


def _structure(model: Forest | Student) -> tuple[str, Any]:
    """What the library calls such a model, and a reference that keeps all of it alive."""
    is_forest = isinstance(model, Forest)
    structure, structure.arrays = _of_forest(model) if is_forest else _of_student(model)
    return "forest" if is_forest else "network", ctypes.byref(structure)


def _of_forest(forest: Forest) -> tuple[_Forest, list[np.ndarray]]:
    """The C structure, and the arrays it points into."""
    arrays = forest.arrays()
    pointers = [arrays[name].ctypes.data for name in _Forest.arrays]
    return _Forest(forest.n_features, len(forest.trees), *pointers), list(arrays.values())


def _of_student(student: Student) -> tuple[_Network, list[Any]]:
    """The C structure, and the arrays it points into."""
    widths = [student.n_features, *(len(bias) for bias in student.biases)]
    weights = [np.ascontiguousarray(weight, np.float32) for weight in student.weights]
    biases = [np.ascontiguousarray(bias, np.float32) for bias in student.biases]
    arrays = [
        np.array(widths, np.int64),
        np.array([weight.ctypes.data for weight in weights], np.uintp),
        np.array([bias.ctypes.data for bias in biases], np.uintp),
        np.ascontiguousarray(student.mean, np.float64),
        np.ascontiguousarray(student.scale, np.float64),
    ]
    if student.fill is not None:
        arrays.append(np.ascontiguousarray(student.fill, np.float32))
    pointers = [array.ctypes.data for array in arrays]
    return _Network(len(weights), *pointers), [arrays, weights, biases]
