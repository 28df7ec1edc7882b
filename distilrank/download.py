"""Fetch published archives and read single files out of them, trusting neither."""

import gzip
import hashlib
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import pooch
from tqdm import tqdm
from unearth import PackageFinder

# What reading a damaged archive raises, by the layer that notices.
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError,
)  # fmt: skip


def package_url(name: str, version: str) -> str:
    """Find where the package index serves a release's source archive; nothing is built or run.

    The index is pip's: ``PIP_INDEX_URL`` where it is set, else the public one.

    Raises:
        ValueError: if the index has no such source archive.
    """
    index = os.environ.get("PIP_INDEX_URL")
    finder = PackageFinder(
        index_urls=[index] if index else [], no_binary=[":all:"], ignore_compatibility=True
    )
    best = finder.find_best_match(f"{name}=={version}").best
    if best is None:
        raise ValueError(f"the package index has no source archive of {name} {version}")
    return best.link.normalized


def download(sources: Sequence[str], sha256: str, path: str | os.PathLike) -> None:
    """Download the first source that serves the file with this ``sha256`` to ``path``.

    Raises:
        ValueError: if no source does: lists what each one said.
    """
    path = Path(path)
    said = []
    # It would log each source's address, password included.
    pooch.get_logger().setLevel("WARNING")
    for source in sources:
        try:
            pooch.retrieve(
                source,
                known_hash=f"sha256:{sha256}",
                fname=path.name,
                path=path.parent,
                downloader=pooch.HTTPDownloader(progressbar=_bar(path.name), timeout=60),
            )
            return
        except Exception as error:  # whatever a server or network does, the next one is tried
            said.append(_without_login(f"{source}: {error}", source))
    raise ValueError(
        f"{path.name} could not be fetched. Put the file with sha256 {sha256} at {path} by hand. "
        "Tried: " + "; ".join(said)
    )


def _without_login(text: str, source: str) -> str:
    """An index's address may hold a password, which belongs in no log."""
    login, at, _ = urlsplit(source).netloc.rpartition("@")
    return text.replace(login + at, "***@") if at else text


def _bar(name: str) -> tqdm:
    # pooch asks for the bar's truth value, which tqdm has only with a total; pooch then sets it.
    return tqdm(desc=name, total=1, unit="B", unit_scale=True, leave=False, disable=None)


@contextmanager
def member(archive: str | os.PathLike, path: str) -> Iterator[BinaryIO]:
    """Open the one file ``path`` inside a zip or tar archive; nothing is written to disk.

    A leading folder of the archive (``name-version/``) may be left out of ``path``.

    Raises:
        ValueError: if the archive is of no known kind, is damaged, or has not exactly one such
            regular file.
    """
    try:
        if zipfile.is_zipfile(archive):
            with (
                zipfile.ZipFile(archive) as opened,
                opened.open(_only(opened.namelist(), path, archive)) as stream,
            ):
                yield stream
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as opened:
                names = [entry.name for entry in opened if entry.isfile()]
                stream = opened.extractfile(_only(names, path, archive))
                assert stream is not None  # `names` has regular files only
                with stream:
                    yield stream
        else:
            raise ValueError(f"{archive} is neither a zip nor a tar archive")
    except _DAMAGE as error:
        raise ValueError(f"{archive} is damaged ({error}); delete it and run again") from error


def _only(names: list[str], path: str, archive: str | os.PathLike) -> str:
    found = [name for name in names if name == path or name.partition("/")[2] == path]
    if len(found) != 1:
        raise ValueError(f"{archive} holds {len(found)} files named {path}, expected one")
    return found[0]


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
