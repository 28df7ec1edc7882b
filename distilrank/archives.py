"""Open single files inside archives and folders as streams, trusting none of them.

Nothing is ever unpacked to disk, so that no name inside an archive can reach a place outside.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow

# What reading a damaged file raises, by the layer that notices.
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError,
)  # fmt: skip
# A text of numbers shrinks to a tenth, rarely to a fiftieth; a bomb to a thousandth.
_MOST_EXPANSION = 100
_ALWAYS_ALLOWED = 1 << 30
_GIGABYTE = 10**9


@contextmanager
def member(
    source: str | os.PathLike, path: str, largest_gb: float | None = None
) -> Iterator[BinaryIO]:
    """Open the one file ``path`` inside ``source``; nothing is written to disk.

    Args:
        source: a zip or tar archive, or a folder.
        path: the file's place in it; in an archive, leading folders may be left out. A name that
            ends with .gz, .bz2 or .zst is decompressed too.
        largest_gb: the most gigabytes the file may have when it is decompressed; else 100 times
            what ``source`` has on disk, and one gigabyte in any case.

    Raises:
        ValueError: if there is not exactly one such regular file, or a file is of no known kind,
            damaged, or larger than allowed.
    """
    source = Path(source)
    where = source if source.is_file() else source / path
    try:
        with _opened(source, path) as stream, _decompressed(stream, path) as text:
            yield _Limited(text, where, _limit(where, largest_gb))
    except _DAMAGE as error:
        raise ValueError(
            f"{where} is damaged ({error}); put a whole copy in its place, or delete it if this "
            "workflow fetched it"
        ) from error


@contextmanager
def _opened(source: Path, path: str) -> Iterator[BinaryIO]:
    """The bytes of the file as they are stored."""
    if source.is_dir():
        if not (source / path).is_file():
            raise ValueError(f"there is no file {source / path}{_near(path, _names(source))}")
        with (source / path).open("rb") as stream:
            yield stream
    elif not source.exists():
        raise ValueError(f"there is no {source}; name an archive or a folder that exists")
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            names = [entry.filename for entry in archive.infolist() if _is_regular(entry)]
            with _entry(archive, _only(names, path, source)) as stream:
                yield stream
    elif tarfile.is_tarfile(source):
        with tarfile.open(source) as archive:
            names = [entry.name for entry in archive if entry.isreg()]
            stream = archive.extractfile(_only(names, path, source))
            assert stream is not None  # `names` has regular files only
            with stream:
                yield stream
    else:
        raise ValueError(f"{source} is neither a folder nor a zip or tar archive")


def _entry(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    try:
        return archive.open(name)
    except (NotImplementedError, RuntimeError) as error:  # a rare compression; a password
        raise ValueError(
            f"{archive.filename}: {name} cannot be read ({error}); unpack the archive and name "
            "the folder in the config (folder: ...)"
        ) from error


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def _is_regular(entry: zipfile.ZipInfo) -> bool:
    """False for folders, and for the links and devices that Unix tools store in a zip."""
    mode = entry.external_attr >> 16
    return not entry.is_dir() and (not stat.S_IFMT(mode) or stat.S_ISREG(mode))


def _only(names: list[str], path: str, archive: Path) -> str:
    safe = [name for name in names if _is_safe(name)]
    found = [name for name in safe if name == path] or [
        name for name in safe if path and name.endswith(f"/{path}")
    ]
    if len(found) != 1:
        raise ValueError(
            f"{archive} holds {len(found)} files named {path}, expected one"
            f"{_near(path, safe) if not found else ': ' + ', '.join(found)}"
        )
    return found[0]


def _is_safe(name: str) -> bool:
    """False for a name that leads out of its archive: no published one has any."""
    parts = re.split(r"[/\\]", name)
    return ".." not in parts and parts[0] != "" and not re.match("[A-Za-z]:", name)


def _near(path: str, names: list[str]) -> str:
    """What else is there, files of the same last name first."""
    ordered = sorted(names, key=lambda name: Path(name).name != Path(path).name)
    shown = ", ".join(ordered[:8]) + (", ..." if len(ordered) > 8 else "")
    return f"; there are {shown}" if shown else ""


@contextmanager
def _decompressed(stream: BinaryIO, name: str) -> Iterator[BinaryIO]:
    match Path(name).suffix:
        case ".gz":
            with gzip.GzipFile(fileobj=stream) as text:
                yield text
        case ".bz2":
            with bz2.BZ2File(stream) as text:
                yield text
        case ".zst":
            yield _Zstandard(stream)
        case _:
            yield stream


class _Zstandard(io.RawIOBase):
    """A Zstandard file's text; its frames may be many, and the last must be whole."""

    def __init__(self, stream: BinaryIO) -> None:
        self._text = pyarrow.CompressedInputStream(stream, "zstd")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return self._text.read(size if size >= 0 else None)
        except OSError as error:
            raise EOFError(str(error)) from error


class _Limited(io.RawIOBase):
    """A stream that gives no more than it may: a small archive must not fill a disk."""

    def __init__(self, stream: BinaryIO, where: Path, most: int) -> None:
        self._stream, self._where, self._most, self._given = stream, where, most, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            block = self._stream.read(size)
        except OSError as error:  # what bz2 says of bytes that are none of its own
            raise EOFError(str(error)) from error
        self._given += len(block)
        if self._given > self._most:
            raise ValueError(
                f"{self._where} expands to more than {self._most / _GIGABYTE:.1f} GB, as archives "
                "that are made to fill a disk do; if it is sound, allow it with the data set's key "
                "largest_file_gb"
            )
        return block

    def readinto(self, buffer: memoryview) -> int:
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _limit(where: Path, largest_gb: float | None) -> int:
    if largest_gb is not None:
        return int(largest_gb * _GIGABYTE)
    size = where.stat().st_size if where.exists() else 0
    return max(_ALWAYS_ALLOWED, _MOST_EXPANSION * size)


def sha256_of(path: str | os.PathLike) -> str:
    """A file's sha256 in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked_blocks(
    stream: BinaryIO, sha256: str | None, name: str, size: int = 1 << 19
) -> Iterator[bytes]:
    """The stream in blocks; at its end ``ValueError`` if its sha256 is not the expected one."""
    digest = hashlib.sha256()
    while block := stream.read(size):
        digest.update(block)
        yield block
    if sha256 is not None and digest.hexdigest() != sha256:
        raise ValueError(f"{name} has sha256 {digest.hexdigest()}, expected {sha256}")
