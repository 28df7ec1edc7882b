"""A model as one safetensors file: numbers, and what is said of them in the header."""

import json
import os
from collections.abc import Mapping

import numpy as np
from safetensors.numpy import save

from distilrank.files import replacing


def write_tensors(
    path: str | os.PathLike, tensors: Mapping[str, np.ndarray], header: Mapping[str, str]
) -> None:
    """Write the contiguous arrays ``tensors`` and the texts ``header``; always the same bytes."""
    with replacing(path) as temporary:
        temporary.write_bytes(_in_order(save(dict(tensors), metadata=dict(header))))


def _in_order(content: bytes) -> bytes:
    """The same safetensors file with a sorted header: the library writes metadata in any order.

    The header is padded to 8 bytes, so that the numbers behind it stay aligned.
    """
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + size :]
