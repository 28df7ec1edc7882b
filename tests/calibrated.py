"""A made-up calibration of this machine, in the form that `planned.NativeTimes` reads."""

import os
from pathlib import Path

from distilrank.files import write_json
from distilrank.machine import fingerprint

_SLOWER = {"fp32": 1.0, "bf16": 0.5, "int8": 0.4}


def write_calibration(
    path: str | os.PathLike, machine: str | None = None, library: dict | None = None
) -> Path:
    """Write ``predictor/native.json``: 100 products a nanosecond in fp32, sparse ones 10."""
    host = fingerprint()
    costs = {
        precision: {"call": 1.0, "value": 1e-4, "product": 1e-5 * slow, "sparse_product": 1e-4}
        for precision, slow in _SLOWER.items()
    }
    described = {"machine": host | {"id": machine or host["id"]}, "library": library or {}}
    write_json(path, described | {"costs": costs})
    return Path(path)
