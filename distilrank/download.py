"""Fetch published archives."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pooch
from tqdm import tqdm
from unearth import PackageFinder


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
