"""Universal Binary JSON, draft 12, as far as XGBoost writes it; https://ubjson.org."""

import struct
from pathlib import Path
from typing import Any

import numpy as np

# The same letters for `struct` and for NumPy, big-endian.
_NUMBERS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
_CONSTANTS = {b"Z": None, b"T": True, b"F": False}
_DEEPEST = 64


def load_ubjson(content: bytes, path: Path) -> Any:
    """The value in ``content``: dicts, lists, texts, numbers; typed arrays as NumPy arrays.

    Raises:
        ValueError: if the bytes are cut short, nested too deeply or no UBJSON.
    """
    reader = _Reader(content, path)
    value = reader.value(reader.take(1), 0)
    if reader.at != len(content):
        raise ValueError(f"{path} has {len(content) - reader.at} bytes after its end")
    return value


class _Reader:
    def __init__(self, content: bytes, path: Path) -> None:
        self.content, self.path, self.at = content, path, 0

    def take(self, size: int) -> bytes:
        if size < 0 or size > len(self.content) - self.at:
            raise ValueError(
                f"{self.path} is cut short or no UBJSON: at byte {self.at} it announces {size} "
                f"more, and {len(self.content) - self.at} are left"
            )
        self.at += size
        return self.content[self.at - size : self.at]

    def peek(self) -> bytes:
        return self.content[self.at : self.at + 1]

    def value(self, marker: bytes, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"{self.path} is nested deeper than {_DEEPEST}, which no forest is")
        if marker in _NUMBERS:
            kind = _NUMBERS[marker]
            return struct.unpack(kind, self.take(struct.calcsize(kind)))[0]
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker == b"S":
            return self.text()
        if marker == b"[":
            return self.array(depth)
        if marker == b"{":
            return self.object(depth)
        raise ValueError(f"{self.path} is no UBJSON: byte {self.at - 1} is the unknown {marker!r}")

    def length(self) -> int:
        marker = self.take(1)
        if marker not in _NUMBERS or marker in (b"d", b"D"):
            raise ValueError(f"{self.path} is no UBJSON: byte {self.at - 1} starts no length")
        return self.value(marker, 0)

    def text(self) -> str:
        return self.take(self.length()).decode("utf-8", errors="replace")

    def array(self, depth: int) -> Any:
        kind = None
        if self.peek() == b"$":
            self.take(1)
            kind = self.take(1)
            if kind not in _NUMBERS or self.peek() != b"#":
                raise ValueError(f"{self.path} is no UBJSON: byte {self.at} is in a typed array")
        if self.peek() == b"#":
            self.take(1)
            length = self.length()
            if kind is not None:
                dtype = np.dtype(_NUMBERS[kind])
                block = np.frombuffer(self.take(length * dtype.itemsize), dtype)
                return block.astype(dtype.newbyteorder("="))
            # Each value has at least its marker, so that the bytes end before memory does.
            return [self.value(self.take(1), depth + 1) for _ in range(length)]
        values = []
        while (marker := self.take(1)) != b"]":
            values.append(self.value(marker, depth + 1))
        return values

    def object(self, depth: int) -> dict[str, Any]:
        values = {}
        while self.peek() != b"}":
            key = self.text()
            values[key] = self.value(self.take(1), depth + 1)
        self.take(1)
        return values
