"""Files are written under a temporary name and renamed, so that a half-written one is never found.

Everything the project stores is JSON, CSV, ``.npy`` without objects, or safetensors: formats that
are safe to open when they come from a stranger.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    The file is flushed to disk before the rename, so that a crash leaves the old file or the
    new one. If the block raises, the temporary file is removed and ``path`` is untouched. What a
    writer of ``path`` that was killed has left is removed first.

    Raises:
        OSError: if the disk is full: which file, and how much space is left.
    """
    path = Path(path)
    with explaining_full_disk(path):
        temporary = temporary_beside(path)
        try:
            yield temporary
            _flush(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def explaining_full_disk(path: str | os.PathLike) -> Iterator[None]:
    """Say which file there was no space for, and how much is free, in place of the system's words.

    Raises:
        OSError: if the block raises one for want of space.
    """
    try:
        yield
    except Exception as error:
        if _is_full(error):
            free = shutil.disk_usage(Path(path).parent).free / 1e6
            raise OSError(
                f"no space left to write {path}: {free:.1f} MB are free there. Free some, or "
                "enlarge the disk or the quota, and run again: what is done is kept"
            ) from error
        raise


def temporary_beside(path: Path) -> Path:
    """A hidden path for what will become the file or folder ``path``, which has one writer a time.

    What killed writers have left under such names is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    left = re.compile(rf"\.{re.escape(path.stem)}\.\d+\.tmp{re.escape(path.suffix)}")
    for entry in os.scandir(path.parent):
        if left.fullmatch(entry.name):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink(missing_ok=True)
    # The suffix is kept: matplotlib and numpy choose the format, or add a suffix, by it.
    return path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")


def _is_full(error: Exception) -> bool:
    """Whether a disk or a quota had no space; NumPy and libraries in Rust say it in words."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    words = rf"os error {errno.ENOSPC}\b|\d+ requested and \d+ written"
    return re.search(words, str(error)) is not None


@contextmanager
def replacing_folder(path: str | os.PathLike) -> Iterator[Path]:
    """The same for a folder: yield an empty one, which becomes ``path`` if the block succeeds.

    What was at ``path`` is removed first, so that after a failure nothing old passes for new.
    """
    path = Path(path)
    if path.exists():
        shutil.rmtree(path)
    with explaining_full_disk(path):
        temporary = temporary_beside(path)
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _flush(file)
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _flush(path: Path) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write one UTF-8 text file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Mapping[str, Any]) -> None:
    """Write ``value`` as JSON with sorted keys; NaN and infinity raise ``ValueError``."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, default=_plain)
    write_text(path, text + "\n")


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """Read one JSON object; ``ValueError`` names the file where it is not one."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}). Delete it and run again.") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a JSON {type(value).__name__}, expected an object.")
    return value


def write_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write one ``.npy`` file; object arrays raise ``ValueError``."""
    with replacing(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


class GrowingArray:
    """A ``.npy`` file whose first axis grows with what is added to it."""

    def __init__(self, file: BinaryIO, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        self._file, self._dtype, self._shape, self._length = file, dtype, shape, 0
        self._size = self._write_header()

    def add(self, block: np.ndarray) -> None:
        """Append ``block``: any number of entries of the array's shape and type."""
        if block.dtype != self._dtype or block.shape[1:] != self._shape:
            raise ValueError(f"an array of {self._dtype} {self._shape} cannot take {block.dtype}")
        self._file.write(np.ascontiguousarray(block).data)
        self._length += len(block)

    def finish(self) -> None:
        """Put the final length into the header, for which NumPy leaves room."""
        self._file.seek(0)
        if self._write_header() != self._size:
            raise ValueError("the header of a .npy file has grown over its data")

    def _write_header(self) -> int:
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self._length, *self._shape),
            },
        )
        return self._file.tell()


@contextmanager
def growing_array(
    path: str | os.PathLike, dtype: DTypeLike, shape: tuple[int, ...]
) -> Iterator[GrowingArray]:
    """Write a ``.npy`` file block by block; ``shape`` is that of one entry.

    The file appears when the block succeeds, as with ``replacing``.
    """
    # The file is closed before it is renamed.
    with replacing(path) as temporary, temporary.open("wb") as file:
        array = GrowingArray(file, np.dtype(dtype), shape)
        yield array
        array.finish()


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays as the plain numbers and lists that JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
