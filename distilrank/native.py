"""The binding of libdistilrank, this project's own native code; see ``native/distilrank.h``.

The workflow builds the library (``snakemake native``); nothing is built by an import.
"""

import ctypes
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.letor import LONGEST_LINE, PROBLEMS, problem

LIBRARY = "libdistilrank.so"
_ABI = 7
# Rows are handed out in blocks of about this size, which stays in a processor's cache.
_BLOCK_BYTES = 1 << 18
# Which way through the text, of the header's levels: the best that the processor can take.
_LEVEL = -1
# The environment's variable that `choose_library` sets.
_CHOSEN = "DISTILRANK_LIBRARY"

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
Signatures = Mapping[str, tuple[Any, Sequence[Any]]]


class _Error(ctypes.Structure):
    _fields_ = [
        ("problem", ctypes.c_int32),
        ("line", ctypes.c_int64),
        ("text", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
    ]


def choose_library(path: str | os.PathLike) -> None:
    """Have `find_library` find ``path``, in this process and those that it starts."""
    os.environ[_CHOSEN] = str(Path(path).absolute())


def find_library() -> Path:
    """Where the library lies: as chosen, beside the package, or as the workflow built it.

    What is installed comes first: it must not run whatever lies in the folder it is used in.

    Raises:
        OSError: if it is in no such place.
    """
    if chosen := os.environ.get(_CHOSEN):
        return Path(chosen)
    places = [Path(__file__).parent / LIBRARY, Path("results", "native", LIBRARY)]
    for place in places:
        if place.exists():
            return place
    raise OSError(
        f"the native library is not built: no {places[1]} in this folder, and none beside the "
        "package; run 'snakemake native'"
    )


def load(path: str | os.PathLike | None = None) -> ctypes.CDLL:
    """Open the library at ``path``, or where `find_library` finds it.

    Raises:
        OSError: if there is none, or it cannot be opened.
        ValueError: if it was built from another version of the sources.
    """
    return _open(str(Path(path or find_library()).resolve()))


def library_version(path: str | os.PathLike | None = None) -> dict[str, Any]:
    """What a time of the library holds for: its interface's version and its file's sha256.

    Raises:
        OSError: if there is no library.
    """
    content = Path(path or find_library()).read_bytes()
    return {"abi": _ABI, "sha256": hashlib.sha256(content).hexdigest()[:16]}


@cache
def _open(path: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise OSError(f"{path} cannot be opened ({error}); run 'snakemake native'") from error
    found = getattr(library, "distilrank_abi", int)()
    if found != _ABI:
        raise ValueError(
            f"{path} has the interface's version {found}, expected {_ABI}; run 'snakemake native'"
        )
    pointer, int64 = ctypes.c_void_p, ctypes.c_int64
    signatures: Signatures = {
        "create": (pointer, [int64, int64, ctypes.c_int32, ctypes.c_int32]),
        "feed": (ctypes.c_int32, [pointer, ctypes.c_char_p, ctypes.c_size_t]),
        "finish": (ctypes.c_int32, [pointer]),
        "rows": (int64, [pointer, int64, pointer, pointer, pointer]),
        "problem_of": (_Error, [pointer]),
        "destroy": (None, [pointer]),
    }
    declare(library, "letor_", signatures)
    return library


def declare(library: ctypes.CDLL, prefix: str, signatures: Signatures) -> None:
    """Say what some of the library's functions give and take; see ``native/distilrank.h``.

    Args:
        prefix: of their names, behind ``distilrank_``.
        signatures: by the rest of a name the result's type and the arguments' types.
    """
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"distilrank_{prefix}{name}")
        function.restype, function.argtypes = result, arguments


def parse_blocks(
    blocks: Iterable[bytes],
    name: str,
    n_features: int,
    library: str | os.PathLike | None = None,
    returning: bool = False,
) -> Iterator[Rows]:
    """Parse a LETOR file that comes in blocks, cut anywhere: as `letor.parse_letor`, as a stream.

    Args:
        blocks: the file's bytes, in order.
        name: what messages call the file.
        n_features: the highest feature id, and the width of the arrays.
        library: the native library; where `find_library` finds it if not given.
        returning: a query may come back after others.

    Yields:
        Features (n, n_features) float32, labels (n,) uint8 and each document's query id (n,)
        int64. The arrays are used again for the next block: copy what is to be kept.

    Raises:
        ValueError: what `letor.parse_letor` raises, in the same words.
        OSError: if the native library is missing.
    """
    native = load(library)
    parser = native.distilrank_letor_create(n_features, LONGEST_LINE, returning, _LEVEL)
    if not parser:
        raise MemoryError("no memory left for a parser")
    count = max(1, _BLOCK_BYTES // (4 * n_features))
    buffers = (
        np.empty((count, n_features), np.float32), np.empty(count, np.uint8),
        np.empty(count, np.int64),
    )  # fmt: skip
    pointers = [buffer.ctypes.data for buffer in buffers]

    def ready(status: int) -> Iterator[Rows]:
        while status >= 0:
            status = native.distilrank_letor_rows(parser, count, *pointers)
            if status == 0:
                return
            if status > 0:
                features, labels, qids = buffers
                yield features[:status], labels[:status], qids[:status]
        raise ValueError(_sentence(native.distilrank_letor_problem_of(parser), name, n_features))

    documents = 0
    try:
        for block in blocks:
            for rows in ready(native.distilrank_letor_feed(parser, block, len(block))):
                documents += len(rows[1])
                yield rows
        for rows in ready(native.distilrank_letor_finish(parser)):
            documents += len(rows[1])
            yield rows
    finally:
        native.distilrank_letor_destroy(parser)
    if not documents:
        raise ValueError(f"{name} holds no document")


def _sentence(error: _Error, name: str, n_features: int) -> str:
    kind = list(PROBLEMS)[error.problem - 1]
    text = ctypes.string_at(error.text, error.size) if error.size else b""
    found = int(text) if kind == "back" else text
    return f"{name}, line {error.line}: {problem(kind, found, n_features)}"
