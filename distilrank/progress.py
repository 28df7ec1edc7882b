"""Progress bars."""

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:
    """Wrap ``items`` in a progress bar; silent where the console is no terminal."""
    return tqdm(items, desc=what, total=total, leave=False, disable=None, dynamic_ncols=True)
