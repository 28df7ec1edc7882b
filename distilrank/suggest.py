"""What to write in place of a name that is unknown."""

import difflib
from collections.abc import Iterable


def suggestion(found: str, known: Iterable[str]) -> str:
    """What to write in place of ``found``: the nearest known name, then all of them."""
    known = sorted(str(name) for name in known)
    near = difflib.get_close_matches(str(found), known, n=1)
    meant = f"did you mean '{near[0]}'? " if near else ""
    return f"{meant}known are {', '.join(known)}"


def check_names(key: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise ``ValueError``, naming the nearest known one, if one of ``names`` is unknown.

    Args:
        key: where in the config the names stand.
    """
    for name in names:
        if name not in known:
            raise ValueError(
                f"config key '{key}' names unknown '{name}': {suggestion(name, known)}"
            )
