"""Copies on a node's own disk of what is read in random order: a cluster's shared one is slow."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

# The environment variable that names a folder of the node's own.
SCRATCH = "DISTILRANK_SCRATCH"


@contextmanager
def nearby(folders: Mapping[str, str | os.PathLike]) -> Iterator[dict[str, Path]]:
    """Yield ``folders``, or copies of them in the folder that ``DISTILRANK_SCRATCH`` names.

    The copies are gone after the block. The variable may name others that are set on the node
    alone: ``$TMPDIR/distilrank``. Where that is no folder, or has no room, the originals are used
    and the log says so: a node without a disk of its own is slower, not wrong.
    """
    originals = {name: Path(folder) for name, folder in folders.items()}
    named = os.environ.get(SCRATCH, "")
    if not named:
        yield originals
        return
    place = Path(os.path.expandvars(named))
    why_not = _why_not(place, originals)
    if why_not:
        logging.warning("%s is %s, and %s: reading the originals", SCRATCH, named, why_not)
        yield originals
        return
    with TemporaryDirectory(prefix="distilrank-", dir=place) as copies:
        for name, folder in originals.items():
            shutil.copytree(folder, Path(copies) / name)
        yield {name: Path(copies) / name for name in originals}


def _why_not(place: Path, folders: Mapping[str, Path]) -> str:
    """Why ``place`` cannot take copies of ``folders``; empty if it can."""
    if not (place.is_dir() and os.access(place, os.W_OK)):
        return f"{place} is no folder that can be written to"
    needed = sum(
        path.stat().st_size
        for folder in folders.values()
        for path in folder.rglob("*")
        if path.is_file()
    )
    free = shutil.disk_usage(place).free
    if needed > free:
        return f"it has {free / 1e9:.1f} GB free where {needed / 1e9:.1f} GB are needed"
    return ""
