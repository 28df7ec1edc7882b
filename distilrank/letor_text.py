"""Write documents as LETOR text, a block at a time: values are whole millionths, digits come from
tables, and no value passes through Python.
"""

import numpy as np

MILLION = 1_000_000
# Twelve digits before the point: three groups of four.
_LARGEST = 10**12 * MILLION
_GROUP = 10_000
# A token is a row of 4-byte words: feature id, sign and colon (2), digits (3), decimals (2).
_WORDS = 7


def _words(texts: list[str]) -> np.ndarray:
    """Texts of up to four characters as 4-byte words, padded with NUL."""
    return np.array([text.encode() for text in texts], dtype="S4").view(np.uint32)


# Zero leaves nothing before other digits, and stands alone as "0".
_LEADING = _words([str(number) if number else "" for number in range(_GROUP)])
_LAST = _words([str(number) for number in range(_GROUP)])
_INNER = _words([f"{number:04d}" for number in range(_GROUP)])
_TENTHS = _words([f".{number:03d}" for number in range(1000)])
# Six decimals, less one final zero: as the published files have it (0.75000, 0.00641).
_MILLIONTHS = _words([f"{number:03d}".removesuffix("0") for number in range(1000)])
_MINUS = np.frombuffer(b"\0\0\0-", dtype=np.uint32)[0]


def values_of(millionths: np.ndarray) -> np.ndarray:
    """What a parser reads from the text of ``millionths``: float32 of the same shape."""
    return (millionths / MILLION).astype(np.float32)


def letor_text(labels: np.ndarray, qids: np.ndarray, millionths: np.ndarray) -> bytes:
    """Lines ``label qid:Q 1:v 2:v ...``; whole numbers are bare, others have five or six decimals.

    Args:
        labels: (documents,) whole numbers from 0.
        qids: (documents,) the query of each document, whole numbers from 0.
        millionths: (documents, features) int64, the features times a million.

    Raises:
        ValueError: if a value has more than twelve digits before the point.
    """
    documents, features = millionths.shape
    if not documents:
        return b""
    size = np.abs(millionths)
    if size.max(initial=0) >= _LARGEST:
        raise ValueError(f"a feature of {size.max() / MILLION:g}, expected less than 1e12")
    heads = [b"\n%d qid:%d" % pair for pair in zip(labels.tolist(), qids.tolist(), strict=True)]
    words = np.empty((documents, features + 1, _WORDS), dtype=np.uint32)
    words[:, 0] = np.array(heads, dtype=f"S{4 * _WORDS}").view(np.uint32).reshape(documents, -1)
    tokens = words[:, 1:]
    ids = np.array([f" {place}:" for place in range(1, features + 1)], dtype="S8")
    tokens[:, :, :2] = ids.view(np.uint32).reshape(features, 2)
    tokens[:, :, 1] |= np.where(millionths < 0, _MINUS, np.uint32(0))
    whole = size // MILLION
    _write_decimals(tokens, (size - whole * MILLION).astype(np.int32))
    _write_whole(tokens, whole)
    # Padding goes, and with it the first line's leading line end.
    return words.tobytes().translate(None, b"\0")[1:] + b"\n"


def _write_whole(tokens: np.ndarray, whole: np.ndarray) -> None:
    tokens[:, :, 2:4] = 0
    large = np.nonzero(whole >= _GROUP)
    groups = whole[large]
    tokens[:, :, 4] = _LAST[np.minimum(whole, _GROUP - 1)]
    rest, last = np.divmod(groups, _GROUP)
    first, middle = np.divmod(rest, _GROUP)
    padded = np.where(first > 0, _INNER[middle], _LEADING[middle])
    for word, digits in ((2, _LEADING[first]), (3, padded), (4, _INNER[last])):
        tokens[(*large, word)] = digits


def _write_decimals(tokens: np.ndarray, decimals: np.ndarray) -> None:
    tenths, millionths = np.divmod(decimals, 1000)
    there = decimals != 0
    tokens[:, :, 5] = _TENTHS[tenths] * there
    tokens[:, :, 6] = _MILLIONTHS[millionths] * there
