"""Readers of forest files, one module a format; each returns a `distilrank.forest.Forest`."""

import os

from distilrank.forest import Forest
from distilrank.readers.lightgbm_text import read_lightgbm_text

__all__ = ["read_forest"]


def read_forest(path: str | os.PathLike) -> Forest:
    """Read the forest in ``path``; ``ValueError`` says what is wrong with the file."""
    return read_lightgbm_text(path)
