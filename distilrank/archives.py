"""Read single files out of archives and folders, trusting neither; nothing is written to disk."""

import bz2
import difflib
import gzip
import hashlib
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

# What reading damaged data raises, by the layer that notices: bz2 and Arrow raise OSError,
# zipfile RuntimeError where a password is needed.
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError,
)  # fmt: skip
# Text compresses by 5 to 10; a file that expands further than this is made to fill a disk.
_LARGEST_RATIO = 100
_ALWAYS_ALLOWED = 1 << 30
_SHOWN_NAMES = 8


@contextmanager
def member(source: str | Path, path: str, largest_gb: float | None = None) -> Iterator[BinaryIO]:
    """Open the one file ``path`` of a zip or tar archive, or of a folder, as a stream of bytes.

    Leading folders may be left out of an archive's ``path``: a file of exactly this name comes
    first, then the only one whose name ends with it. A file whose name ends with ``.gz``,
    ``.bz2`` or ``.zst`` is decompressed. Links, devices and names that lead out of an archive are
    never followed.

    Args:
        largest_gb: the most that the file may expand to, in GB of 1e9 bytes; a hundred times
            what lies on disk, and at least 1 GiB, if not given.

    Raises:
        ValueError: if the source is missing, of no known kind or damaged, if it has not exactly
            one such file, if the file is none that is read, or if it expands beyond the limit.
    """
    source = Path(source).expanduser()
    if not source.exists():
        raise ValueError(f"{source} is not there: it should be an archive or a folder of data")
    on_disk = (source / path if source.is_dir() else source).expanduser()
    if not on_disk.is_file():
        raise ValueError(_missing(source, path, _names_in(source)))
    limit = max(_ALWAYS_ALLOWED, _LARGEST_RATIO * on_disk.stat().st_size)
    if largest_gb is not None:
        limit = int(largest_gb * 1e9)
    opener = _open_file if source.is_dir() else _open_member
    with opener(source, path) as stream:
        where = f"{path} in {source}"
        with io.BufferedReader(_Guarded(stream, where, limit), 1 << 18) as guarded:
            suffix = Path(path).suffix
            if suffix not in _DECOMPRESSORS:
                yield cast(BinaryIO, guarded)
                return
            with io.BufferedReader(
                _Guarded(_DECOMPRESSORS[suffix](guarded), where, limit), 1 << 18
            ) as plain:
                yield cast(BinaryIO, plain)


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


class _Guarded(io.RawIOBase):
    """A stream that turns damage into a sentence and stops at ``limit`` bytes."""

    def __init__(self, stream: BinaryIO, where: str, limit: int) -> None:
        self._stream, self._where, self._left, self._limit = stream, where, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            block = self._stream.read(len(buffer))
        except _DAMAGE as error:
            raise ValueError(_damaged(self._where, error)) from error
        self._left -= len(block)
        if self._left < 0:
            raise ValueError(
                f"{self._where} expands to more than {self._limit / 1e9:.3g} GB, which no data of "
                "its kind does; if it is good, set largest_file_gb of its data set in the config"
            )
        buffer[: len(block)] = block
        return len(block)


def _damaged(where: str | Path, error: Exception) -> str:
    return f"{where} is damaged or cut short ({error}); replace it and run again"


def _zstandard(stream: BinaryIO) -> BinaryIO:
    import pyarrow  # heavy, and seldom needed

    return cast(BinaryIO, pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, "r"), "zstd"))


_DECOMPRESSORS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    ".gz": lambda stream: cast(BinaryIO, gzip.GzipFile(fileobj=stream)),
    ".bz2": lambda stream: cast(BinaryIO, bz2.BZ2File(stream)),
    ".zst": _zstandard,
}


def _open_file(folder: Path, path: str) -> AbstractContextManager[BinaryIO]:
    return (folder / path).expanduser().open("rb")


@contextmanager
def _open_member(archive: Path, path: str) -> Iterator[BinaryIO]:
    """The stored bytes of one member; they may still be compressed by themselves."""
    with ExitStack() as stack:
        try:
            stream = _find(archive, path, stack)
        except _DAMAGE as error:
            raise ValueError(_damaged(archive, error)) from error
        yield stack.enter_context(stream)


def _find(archive: Path, path: str, stack: ExitStack) -> BinaryIO:
    if zipfile.is_zipfile(archive):
        zipped = stack.enter_context(zipfile.ZipFile(archive))
        entries = [_of_zip(info) for info in zipped.infolist() if not info.is_dir()]
        return cast(BinaryIO, zipped.open(_only(entries, path, archive).info))
    if tarfile.is_tarfile(archive):
        found = archive.stat()
        entries = _tar_entries(archive, (found.st_mtime_ns, found.st_size))
        tarred = stack.enter_context(tarfile.open(archive))  # noqa: SIM115
        return cast(BinaryIO, tarred.extractfile(_only(entries, path, archive).info))
    raise ValueError(f"{archive} is neither a zip nor a tar archive")


@dataclass(frozen=True)
class _Entry:
    """One entry of an archive: ``fault`` says why it is never read."""

    name: str
    info: Any
    fault: str | None


@lru_cache(maxsize=1)
def _tar_entries(archive: Path, version: tuple[int, int]) -> list[_Entry]:
    """A tar has no directory: finding its entries decompresses all of it, so not for each split.

    ``version`` is the file's time and size: another file under the same name is read anew.
    """
    with tarfile.open(archive) as opened:
        return [_of_tar(info) for info in opened if not info.isdir()]


def _of_zip(info: zipfile.ZipInfo) -> _Entry:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return _entry(info.filename, info, kind in (0, stat.S_IFREG))


def _of_tar(info: tarfile.TarInfo) -> _Entry:
    return _entry(info.name, info, info.isreg())


def _entry(name: str, info: Any, is_plain: bool) -> _Entry:
    fault = None
    if name.startswith("/") or "\\" in name or ".." in name.split("/") or name[1:2] == ":":
        fault = "under a name that leads out of the archive"
    elif not is_plain:
        fault = "as a link or a device"
    return _Entry(re.sub(r"^(\./+)+", "", name.replace("\\", "/")), info, fault)


def _only(entries: Sequence[_Entry], path: str, archive: Path) -> _Entry:
    exact = [entry for entry in entries if entry.name == path]
    ending = [entry for entry in entries if path and entry.name.endswith(f"/{path}")]
    found = [entry for entry in exact or ending if not entry.fault]
    if len(found) == 1:
        return found[0]
    for entry in exact or ending:
        if entry.fault:
            raise ValueError(
                f"{archive} holds {entry.name} {entry.fault}; only plain files inside it are read"
            )
    if found:
        raise ValueError(f"{archive} holds {len(found)} files named {path}, expected one")
    raise ValueError(_missing(archive, path, [entry.name for entry in entries if not entry.fault]))


def _missing(source: Path, path: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(path, names, _SHOWN_NAMES, 0.5) or names[:_SHOWN_NAMES]
    more = ", ..." if len(names) > len(near) else ""
    return f"{source} holds no file named {path}; it holds {', '.join(near) or 'none'}{more}"


def _names_in(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in files)
