"""A made-up calibration of this machine, in the form that the workflow writes it."""

import os
from pathlib import Path
from typing import Any

from distilrank.files import write_json
from distilrank.forest_times import ForestModel
from distilrank.machine import fingerprint
from distilrank.native_fit import BATCH_CLASSES, CALL, NativeModel
from distilrank.native_net import PER_WORD, Geometry
from distilrank.planned import FORMAT

_CLASSES = (*BATCH_CLASSES, "any")
# Microseconds; in low precision a product is a product of words of two or four numbers.
_COSTS = {"block.product": 2.7e-4, "block.output": 1e-3, "few.product": 5e-4, "one.gather": 4e-3}


def write_calibration(
    path: str | os.PathLike, machine: str | None = None, library: dict[str, Any] | None = None
) -> Path:
    """Write ``predictor/native.json``: products and outputs cost, the rest of the work nothing."""
    host = fingerprint()
    geometry = Geometry.of("avx512", {})
    model = NativeModel(
        dict.fromkeys(PER_WORD, geometry),
        {precision: _costs() for precision in PER_WORD},
        dict.fromkeys(PER_WORD, 0.0),
    )
    content = {
        "format": FORMAT,
        "machine": host | {"id": machine or host["id"]},
        "library": library or {},
        "model": model.as_json(),
        "forests": ForestModel(geometry, {}).as_json(),
        "residual": {"kept": False},
        "intervals": {precision: dict.fromkeys(_CLASSES, (0.95, 1.05)) for precision in PER_WORD},
    }
    write_json(path, content)
    return Path(path)


def _costs() -> dict[str, dict[str, float]]:
    layers = [
        f"{place}{kind} {numbers}"
        for place in ("", "first ")
        for kind in ("dense", "sparse", "last")
        for numbers in PER_WORD
    ]
    rows = {f"rows {numbers}": {"cold": 1e-3} for numbers in PER_WORD}
    return {CALL: {"once": 1.6}} | rows | dict.fromkeys(layers, _COSTS)
