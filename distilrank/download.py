"""Fetch published files: several sources, gone on with after a break, never anything unchecked."""

import hashlib
import os
import re
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm import tqdm
from unearth import PackageFinder

from distilrank.files import explaining_full_disk, read_json, write_json

# Seconds to wait before a source that broke off is asked to go on: so often in a row without
# much new.
WAITS = (1, 3, 10)
_MUCH = 1 << 20
# Seconds to connect; seconds without a byte.
_TIMEOUT = (20, 60)
_BLOCK = 1 << 20
# How a web page begins, whatever its status and type say; no archive does.
_PAGE = re.compile(rb"\s*<(!doctype|!--|html|head|body|\?xml)", re.IGNORECASE)
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError)


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


def download(
    sources: Iterable[str], sha256: str, path: str | os.PathLike, size: int | None = None
) -> None:
    """Download the first source that serves the file with this ``sha256`` to ``path``.

    A file that is there already and right is kept; a wrong one stays until a right one has come.
    What arrives is collected in a hidden file beside ``path``. It outlives a break, so that the
    next try and the next run go on where it ended, and goes when its checksum is wrong.

    Args:
        sources: addresses, asked for only when ``path`` is not right yet.
        size: the file's bytes, where they are known; a source that offers another number is
            left at once.

    Raises:
        ValueError: if no source does: lists what each one said.
        OSError: if the file cannot be written.
    """
    path = Path(path)
    partial = _Partial(path)
    said = []
    if path.exists():
        wrong = fault(path, sha256, size)
        if wrong is None:
            partial.remove()  # somebody lost patience, and put the file there by hand
            return
        said.append(f"{path} itself: {wrong}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        for source in sources:
            try:
                _fetch(source, sha256, partial, size)
            # Whatever a server or network does, the next one is tried.
            except (*_BROKEN, ValueError) as error:
                said.append(_without_login(f"{source}: {error}", source))
            else:
                partial.become(path)
                return
    except ValueError as error:  # no address could be found
        said.append(str(error))
    kept = f" ({partial.size:,} bytes have come and are kept)" if partial.size else ""
    raise ValueError(
        f"{path.name} could not be fetched{kept}. Put the file with sha256 {sha256}"
        f"{f' and {size:,} bytes' if size else ''} at {path} by hand. Tried: " + "; ".join(said)
    )


def fault(path: Path, sha256: str | None, size: int | None) -> str | None:
    """What is wrong with a file, or None; reads all of it where its size is right."""
    found = path.stat().st_size
    if size is not None and found != size:
        return f"it has {found:,} bytes, expected {size:,}"
    if sha256 is not None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != sha256:
            return f"it has sha256 {digest}, expected {sha256}"
    return None


class _Partial:
    """What has come of a file, hidden beside it, and the version that the server says it is of."""

    def __init__(self, path: Path) -> None:
        self.file = path.with_name(f".{path.name}.part")
        self._note = path.with_name(f".{path.name}.part.json")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def version(self, source: str) -> str | None:
        """The server's name for the version that came from ``source``."""
        try:
            note = read_json(self._note)
        except (OSError, ValueError):
            return None
        return note.get("version") if note.get("source") == _fingerprint(source) else None

    def start(self, source: str, headers: requests.structures.CaseInsensitiveDict) -> None:
        """Forget what has come, and note what comes now."""
        self.remove()
        etag = headers.get("ETag", "")
        # A weak tag does not promise the same bytes (RFC 9110, 13.1.5).
        version = headers.get("Last-Modified") if etag.startswith("W/") or not etag else etag
        write_json(self._note, {"source": _fingerprint(source), "version": version})

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def become(self, path: Path) -> None:
        with self.file.open("rb") as written:
            os.fsync(written.fileno())  # a crash leaves the part or the whole
        self.file.replace(path)
        self._note.unlink(missing_ok=True)


def _fetch(source: str, sha256: str, partial: _Partial, size: int | None) -> None:
    """Have all of the file in ``partial``, checked.

    Raises:
        ValueError: says what came in place of it.
    """
    went_on = partial.size > 0
    came = _transfer(source, partial, size)
    wrong = fault(partial.file, sha256, size)
    if wrong and went_on:  # the older part may be to blame: another server's, or another version's
        partial.remove()
        came = _transfer(source, partial, size)
        wrong = fault(partial.file, sha256, size)
    if wrong:
        wrong += f"; {came}{_first_words(partial.file)}"
        partial.remove()
        raise ValueError(wrong)


def _transfer(source: str, partial: _Partial, size: int | None) -> str:
    """Ask until all has come; a server that has begun to serve is asked again after a break."""
    failures, begun, most = 0, False, partial.size
    while True:
        try:
            return _ask(source, partial, size)
        except _BROKEN:
            # Compared with the most that ever came: a server may also start over each time.
            begun = begun or partial.size > most
            failures = 1 if partial.size - most >= _MUCH else failures + 1
            most = max(most, partial.size)
            if not begun or failures > len(WAITS):
                raise
            time.sleep(WAITS[failures - 1])


def _ask(source: str, partial: _Partial, size: int | None, anew: bool = False) -> str:
    """One request for what is still missing, or for all; returns what the server said of it.

    What has come goes only when something that may be the file comes in its place.
    """
    if size is not None and partial.size > size:
        partial.remove()
    have = 0 if anew else partial.size
    if have and have == size:
        return "it was there from an earlier run"
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if version := partial.version(source):
            headers["If-Range"] = version
    with closing(requests.get(source, headers=headers, stream=True, timeout=_TIMEOUT)) as response:
        if response.status_code == 416:
            return _out_of_range(source, partial, size, response)
        if response.status_code == 200:
            have = 0
        _check_head(response, have, size)
        _save(source, response, partial, have, size)
        return _answer(response)


def _out_of_range(
    source: str, partial: _Partial, size: int | None, response: requests.Response
) -> str:
    """The server has no more: either all has come, or what has come is of another file."""
    if response.headers.get("Content-Range", "") == f"bytes */{partial.size}":
        return _answer(response)
    if "Range" not in response.request.headers:
        raise ValueError(_answer(response))
    return _ask(source, partial, size, anew=True)


def _check_head(response: requests.Response, have: int, size: int | None) -> None:
    if response.status_code not in (200, 206):
        raise ValueError(_answer(response) + _words(_beginning(response)))
    if have and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise ValueError(f"{_answer(response)}, expected bytes from {have:,} on")
    length = _length(response)
    if size is not None and length is not None and have + length != size:
        raise ValueError(f"{_answer(response)}, expected {size:,}{_words(_beginning(response))}")


def _save(
    source: str, response: requests.Response, partial: _Partial, have: int, size: int | None
) -> None:
    length = _length(response)
    total = size if size is not None else length and have + length
    blocks = response.raw.stream(_BLOCK, decode_content=False)
    first = next(blocks, b"")
    if not have:
        if not first:
            raise ValueError(f"{_answer(response)}: it sent nothing")
        if _PAGE.match(first):
            raise ValueError(f"{_answer(response)}: a web page, not the file{_words(first)}")
        partial.start(source, response.headers)
    name = partial.file.name.removeprefix(".").removesuffix(".part")
    with (
        explaining_full_disk(partial.file),
        partial.file.open("ab") as file,
        tqdm(desc=name, total=total, initial=have, unit="B", unit_scale=True, leave=False,
             disable=None, dynamic_ncols=True) as bar,
    ):  # fmt: skip
        while first:
            file.write(first)
            file.flush()
            bar.update(len(first))
            have += len(first)
            if size is not None and have > size:
                break  # the check of the whole says so
            first = next(blocks, b"")
    if total is not None and have < total:
        raise requests.ConnectionError(f"it broke off after {have:,} of {total:,} bytes")


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _answer(response: requests.Response) -> str:
    kind = response.headers.get("Content-Type", "no content type")
    length = _length(response)
    counted = "" if length is None else f", {length:,} bytes"
    return f"{response.status_code} {response.reason or ''}".rstrip() + f", {kind}{counted}"


def _beginning(response: requests.Response) -> bytes:
    try:
        return response.raw.read(1000, decode_content=False)
    except _BROKEN:
        return b""


def _first_words(path: Path) -> str:
    with path.open("rb") as file:
        return _words(file.read(1000))


def _words(beginning: bytes) -> str:
    """The first words of a text, without markup; nothing of what is no text."""
    try:
        text = beginning.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    text = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    if not text.isprintable() or not text:
        return ""
    return f", beginning '{text[:80]}'"


def _fingerprint(source: str) -> str:
    """An address as it is noted on disk: it may hold a password."""
    return hashlib.sha256(source.encode()).hexdigest()


def _without_login(text: str, source: str) -> str:
    """An index's address may hold a password, which belongs in no log."""
    login, at, _ = urlsplit(source).netloc.rpartition("@")
    return text.replace(login + at, "***@") if at else text
