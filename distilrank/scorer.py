"""The binding of the native scorers: a forest or a network behind one handle.

See the scorers' part of ``native/distilrank.h``. A `Scorer` reads rows where they lie, with any
stride, and allocates nothing while it scores.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from distilrank.forest import Forest
from distilrank.native import load
from distilrank.student import Student

# The orders are those of enum distilrank_level and enum distilrank_precision.
LEVELS = ("best", "portable", "avx2", "avx512", "amx")
PRECISIONS = ("fp32", "bf16", "int8")

_INT32, _INT64 = ctypes.c_int32, ctypes.c_int64
_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_size_t
_SENTENCE = 500
# A pointer that holds on to an array's memory.
_Floats = ctypes.c_float * 0


class _Options(ctypes.Structure):
    _fields_ = [("level", _INT32), ("precision", _INT32)]


class _Forest(ctypes.Structure):
    _fields_ = [
        ("n_features", _INT64), ("n_trees", _INT64),
        *((name, _POINTER) for name in (
            "n_nodes", "feature", "threshold", "left", "right", "route", "value")),
    ]  # fmt: skip


class _Network(ctypes.Structure):
    _fields_ = [
        ("n_layers", _INT64),
        *((name, _POINTER) for name in ("widths", "weights", "biases", "mean", "scale")),
        ("fill", _POINTER),
    ]


class Scorer:
    """A model made ready to score by one thread at a time; `clone` it for another thread.

    Close it, or use it in a ``with`` block, to free it at once; else Python frees it some time.

    Attributes:
        n_features: the width of the rows it scores.
    """

    def __init__(
        self,
        model: Forest | Student,
        level: str = "best",
        precision: str = "fp32",
        library: str | os.PathLike | None = None,
    ) -> None:
        """Make ``model`` ready: the only step that allocates.

        Args:
            model: what to score with; it is copied.
            level: one of `LEVELS`: how far to go; what the processor lacks is never used.
            precision: one of `PRECISIONS`, for networks.
            library: the native library; where `native.find_library` finds it if not given.

        Raises:
            ValueError: if the model cannot be scored, or an option is none: a sentence.
            OSError: if the native library is missing.
        """
        options = _options(level, precision)
        self._handle: int | None = None
        self._native = _native(library)
        self.n_features = model.n_features
        if isinstance(model, Forest):
            create, (structure, kept) = self._native.distilrank_scorer_forest, _of_forest(model)
        else:
            create, (structure, kept) = self._native.distilrank_scorer_network, _of_student(model)
        error = ctypes.create_string_buffer(_SENTENCE)
        handle = create(ctypes.byref(structure), ctypes.byref(options), error, len(error))
        del kept  # The library copied what it needs.
        self._own(handle, error)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike,
        level: str = "best",
        precision: str = "fp32",
        library: str | os.PathLike | None = None,
    ) -> Scorer:
        """Make the model in a file ready: a saved `Student`, or a forest as LightGBM text.

        The library reads the file itself, told by its content: the same scores as by
        ``Scorer(Student.load(path))`` and ``Scorer(read_forest(path))``. A file from a stranger is
        safe to open.

        Raises:
            ValueError: if the file is missing, or is no model that can be scored: a sentence with
                the path; or if an option is none.
            OSError: if the native library is missing.
        """
        options = _options(level, precision)
        scorer = object.__new__(cls)
        scorer._handle, scorer._native = None, _native(library)
        name = os.fsencode(path)
        if b"\0" in name:  # C would read up to there, and open another file.
            raise ValueError(f"{os.fsdecode(path)!r} is no file's name")
        error = ctypes.create_string_buffer(_SENTENCE)
        handle = scorer._native.distilrank_scorer_open(
            name, ctypes.byref(options), error, len(error)
        )
        if not handle:
            raise ValueError(f"{os.fsdecode(path)}: {error.value.decode(errors='replace')}")
        scorer.n_features = scorer._native.distilrank_scorer_features(handle)
        scorer._own(handle, error)
        return scorer

    def _own(self, handle: int | None, error: Any) -> None:
        if not handle:
            raise ValueError(error.value.decode())
        self._handle, self._error = handle, error
        self._score = self._native["distilrank_scorer_score"]
        self._score.restype = _INT32
        # Made once: arguments that ctypes converts anew cost more than scoring a document.
        self._scorer, self._size = _POINTER(handle), _SIZE(_SENTENCE)
        self._count, self._stride = _INT64(), _INT64()
        self._out, self._scores = None, None

    def score(self, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Score ``rows``.

        Args:
            rows: (documents, n_features) float32, each row's values side by side; the rows may be
                any distance apart that is a multiple of a float and not below the width, as in
                ``matrix[:, 3:139]``.
            out: (documents,) float32, contiguous: where the scores go, if given.

        Returns:
            (documents,) float32: ``out``, or a new array.

        Raises:
            ValueError: if an array has another shape, type or layout.
        """
        self._count.value = count = len(rows)
        self._stride.value = _stride(rows, self.n_features)
        self._open()
        if out is None:
            out = np.empty(count, np.float32)
            scores = _pointer(out)
        else:
            if out is not self._out:
                self._scores, self._out = _pointer_to_scores(out), out
            if len(out) != count:
                raise ValueError(f"out has room for {len(out)} scores, {count} rows given")
            scores = self._scores
        if self._score(
            self._scorer, _pointer(rows), self._count, self._stride, scores, self._error, self._size
        ):
            raise ValueError(self._error.value.decode())
        return out

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
        twin._handle, twin._native, twin.n_features = None, self._native, self.n_features
        error = ctypes.create_string_buffer(_SENTENCE)
        handle = self._native.distilrank_scorer_clone(self._open(), error, len(error))
        twin._own(handle, error)
        return twin

    def describe(self) -> dict[str, Any]:
        """What really runs: ``kind``, ``level``, ``precision`` and more of the model."""
        return json.loads(self._native.distilrank_scorer_describe(self._open()))

    def close(self) -> None:
        """Free the model; a second time does nothing."""
        handle, self._handle = self._handle, None
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
        for name, (result, arguments) in signatures.items():
            function = getattr(library, f"distilrank_scorer_{name}")
            function.restype, function.argtypes = result, arguments
    return library


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


def _of_forest(forest: Forest) -> tuple[_Forest, list[np.ndarray]]:
    """The C structure, and the arrays it points into."""
    trees = forest.trees

    def joined(name: str, dtype: type) -> np.ndarray:
        parts = [np.asarray(getattr(tree, name), dtype) for tree in trees]
        return np.concatenate([*parts, np.empty(0, dtype)])

    arrays = [
        np.array([len(tree.feature) for tree in trees], np.int64),
        joined("feature", np.int32), joined("threshold", np.float64),
        joined("left", np.int32), joined("right", np.int32),
        joined("route", np.uint8), joined("value", np.float64),
    ]  # fmt: skip
    pointers = [array.ctypes.data for array in arrays]
    return _Forest(forest.n_features, len(trees), *pointers), arrays


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
