"""A results folder is of one version of the project, and one run's at a time."""

import fcntl
import logging
import os
from pathlib import Path
from typing import TextIO

from distilrank.files import write_text

# Raise it with every change after which older results would be misread or passed over: another
# path, another content under an old name.
LAYOUT = 1
_FILE, _LOCK = ".layout", ".lock"
# What anybody may put there by hand, and what other versions read as well.
_ANYBODYS = {"raw", "archives", "native", "logs", "benchmarks"}
# Open files: a lock goes with its file.
_held: list[TextIO] = []


def claim(results: str | os.PathLike) -> None:
    """Have a results folder for this process alone, until it ends.

    Args:
        results: a folder of this version, or an empty or missing one, which becomes one.

    Raises:
        ValueError: if another version made what is there, or another run goes on there: says what
            to do. Nothing is changed.
        OSError: if nothing can be written there: says why.
    """
    folder = Path(results)
    found = _layout_of(folder)
    if found not in (None, str(LAYOUT)):
        aside = f"{folder}-{f'layout{found}' if found.isdigit() else 'old'}"
        raise ValueError(
            f"{folder}/ was made by another version of this project: its layout is {found}, this "
            f"version's is {LAYOUT}. Nothing is deleted. Run that version, or move the folder away "
            f"and run again; what was downloaded can be kept: 'mv {folder} {aside} && mkdir "
            f"{folder} && mv {aside}/raw {folder}/'"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _lock(folder / _LOCK)
        write_text(folder / _FILE, f"{LAYOUT}\n")
    except OSError as error:
        raise OSError(
            f"{folder}/ cannot be written to ({error.strerror or error}). Results go there: make "
            "it writable, or run with 'snakemake --directory FOLDER'"
        ) from error


def _lock(path: Path) -> None:
    """Have the file locked until this process ends, however it ends; jobs do not inherit it."""
    _held.append(path.open("a"))
    try:
        fcntl.flock(_held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f"another run is going on in {path.parent}/; wait for it to end") from None
    except OSError as error:
        logging.warning("%s: this file system knows no locks (%s)", path, error)


def _layout_of(folder: Path) -> str | None:
    """What the folder says, ``none`` if older versions left it without; None if it is empty."""
    try:
        return (folder / _FILE).read_text(encoding="utf-8", errors="replace").strip()[:20] or "none"
    except (FileNotFoundError, NotADirectoryError):
        made = (each.name for each in folder.glob("*") if each.is_dir())
        return "none" if set(made) - _ANYBODYS else None
