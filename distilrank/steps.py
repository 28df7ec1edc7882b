"""What the native scorer does with a network, step by step, in counts: no time is in here.

A call is cut into blocks of documents and into few or single ones behind them, as
``native/network_kernels.hpp`` cuts it; the first step of each reads its rows, then each layer is a
step.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from distilrank.native_net import (
    BLOCK,
    FEW,
    ONE,
    PER_WORD,
    Geometry,
    NativeLayer,
    NativeNet,
    Piece,
    pieces,
)
from distilrank.predictor import Cost

# A core issues so many multiplications of vectors before the first one's sum is there again.
_IN_FLIGHT = 8

Counts = Counter[str]


@dataclass(frozen=True)
class Step:
    """One step of a call: what to call it, which costs are its own, and how much there is of each.

    Attributes:
        name: ``rows`` or ``layer 1``, ...
        group: of the costs in `TERMS`: kind and numbers, such as ``sparse fp32``.
    """

    name: str
    group: str
    counts: Mapping[str, float]


def steps(net: NativeNet, batch: int, geometry: Geometry) -> list[Step]:
    """The counts of each step of a call, summed over its pieces."""
    cut = Counter(pieces(batch, net.precision, geometry))
    first = next(iter(cut))
    totals: list[Counts] = [Counter() for _ in range(1 + len(net.layers))]
    totals[0]["cold"] = min(batch, first.documents) * -(-net.features // 16)
    for piece, times in cut.items():
        for total, counts in zip(totals, _piece(net, piece, geometry), strict=True):
            for name, count in counts.items():
                total[f"{piece.regime}.{name}"] += times * count
    made = [Step("rows", f"rows {net.layers[0].numbers}", totals[0])]
    for number, (layer, counts) in enumerate(zip(net.layers, totals[1:], strict=True), 1):
        # What was only just transposed is gathered at another speed.
        place = "first " if number == 1 and layer.sparse else ""
        group = f"{place}{_kind(net, number)} {layer.numbers}"
        made.append(Step(f"layer {number}", group, counts))
    return made


def _kind(net: NativeNet, number: int) -> str:
    if number == len(net.layers):
        return "last"
    return "sparse" if net.layers[number - 1].sparse else "dense"


def _piece(net: NativeNet, piece: Piece, geometry: Geometry) -> list[dict[str, float]]:
    """One piece's counts by step."""
    parts = -(-net.features // geometry.width)
    # Few documents lie as rows, but for sparse layers in front of the first dense one.
    by_rows = piece.regime == ONE or (piece.regime == FEW and not net.layers[0].sparse)
    vectors = piece.documents * parts if by_rows else piece.vectors * parts
    made: list[dict[str, float]] = [{"row": piece.documents, "vector": vectors}]
    if not by_rows:
        made[0]["value"] = piece.vectors * net.features
        for name, (low, high) in _evictions(geometry).items():
            made[0][name] = vectors * _ramp(net.bytes, low, high)
    far = beyond(net.bytes, geometry.l2)
    for number, layer in enumerate(net.layers, 1):
        kind = _kind(net, number)
        if kind == "dense" and piece.regime == FEW:
            by_rows = True
        unit = PER_WORD[net.precision] if number < len(net.layers) else 1
        layout = ONE if piece.regime == ONE else FEW if by_rows else BLOCK
        counts = _COUNT[kind, layout](layer, piece, geometry, unit)
        counts["far"] = far * counts.pop("read", 0)
        made.append(counts)
    return made


def _evictions(geometry: Geometry) -> dict[str, tuple[float, float]]:
    """Bytes of weights that push rows and buffers out of the caches: none of them, and all."""
    l1, l2 = geometry.l1, geometry.l2
    return {"evicted": (0.75 * l1, 3 * l1), "lost": (3 * l1, l2 / 2), "gone": (l2 / 2, l2)}


def _ramp(size: float, low: float, high: float) -> float:
    """0 up to ``low``, 1 from ``high`` on, even on a logarithmic scale between."""
    return float(np.clip(np.log(max(size, 1) / low) / np.log(high / low), 0, 1))


def beyond(size: float, cache: int) -> float:
    """The share that does not come from a cache read round and round: 0 up to 3/4 of it."""
    return float(np.clip(2 * (size / cache - 0.75), 0, 1))


@lru_cache(maxsize=4096)
def _panels(outputs: int, height: int, unit: int) -> tuple[int, ...]:
    """Heights of panels of nearly equal heights in whole words: ``pack_dense``."""
    count, words = -(-outputs // height), outputs // unit
    return tuple(
        (words * (p + 1) // count) * unit - (words * p // count) * unit for p in range(count)
    )


def _dense_block(layer: NativeLayer, piece: Piece, geometry: Geometry, unit: int) -> dict:
    if geometry.tiles and layer.numbers != "fp32":
        groups = -(-layer.outputs // 16)
        return {
            "tile": groups * -(-layer.depth // 16) * piece.vectors,
            "panel": -(-groups // 2) * -(-piece.vectors // 2),
            "output": layer.outputs * piece.vectors,
            "read": layer.depth * layer.outputs,
        }
    heights = _panels(layer.outputs, geometry.height // unit * unit, unit)
    v, depth = piece.vectors, layer.depth
    loads = depth * v * len(heights)
    return {
        "piece": 1,
        "panel": len(heights),
        "product": depth * layer.outputs * v,
        "load": loads,
        "weight": depth * layer.outputs,
        "output": layer.outputs * v,
        "missed": loads * beyond(depth * v * geometry.width * 4, geometry.l1),
        "wait": depth * sum(max(0, _IN_FLIGHT - h * v) for h in heights),
        "read": depth * layer.outputs,
    }


def _dense_few(layer: NativeLayer, piece: Piece, geometry: Geometry, unit: int) -> dict:
    columns, rows = -(-layer.outputs // geometry.width), geometry.few_rows
    groups = [3] * (columns // 3) + [columns % 3] * (columns % 3 > 0)
    tiles = [min(rows, piece.documents - at) for at in range(0, piece.documents, rows)]
    n, depth = piece.documents, layer.depth
    return {
        "piece": 1,
        "panel": len(groups) * len(tiles),
        "product": depth * n * columns,
        "load": depth * columns * len(tiles),
        "weight": depth * n * len(groups),
        "output": n * columns,
        "missed": depth * columns * len(tiles) * beyond(depth * columns * 64, geometry.l1),
        "wait": depth * sum(max(0, _IN_FLIGHT - r * v) for r in tiles for v in groups),
        "read": depth * columns * geometry.width,
    }


def _dense_one(layer: NativeLayer, piece: Piece, geometry: Geometry, unit: int) -> dict:
    columns = -(-layer.outputs // geometry.width)
    groups = [8] * (columns // 8) + [columns % 8] * (columns % 8 > 0)
    return {
        "piece": 1,
        "scan": -(-layer.depth // geometry.width),
        "panel": len(groups),
        "load": layer.active * columns,
        "weight": layer.active * len(groups),
        "output": columns,
        "missed": layer.active * columns * beyond(layer.depth * columns * 64, geometry.l1),
        "wait": layer.active * sum(max(0, _IN_FLIGHT - v) for v in groups),
        "read": layer.active * columns * geometry.width,
    }


def _sparse_block(layer: NativeLayer, piece: Piece, geometry: Geometry, unit: int) -> dict:
    v, missing = piece.vectors, (geometry.l1 / 2, 4 * geometry.l1)
    return {
        "piece": 1,
        "neuron": layer.outputs,
        "output": layer.outputs * v,
        "end": layer.ends,
        "weight": layer.nonzeros,
        "product": layer.nonzeros * v,
        "missed": layer.nonzeros * v * _ramp(layer.columns * v * geometry.width * 4, *missing),
        "column": layer.columns * v,
        "read": 2 * layer.nonzeros,
    }


def _sparse_rows(layer: NativeLayer, piece: Piece, geometry: Geometry, unit: int) -> dict:
    n = piece.documents
    return {
        "piece": 1,
        "output": n * -(-layer.outputs // geometry.width),
        "gather": n * layer.gathers,
        "read": 2 * layer.gathers * geometry.width,
    }


def _last_block(layer: NativeLayer, piece: Piece, geometry: Geometry, unit: int) -> dict:
    v = piece.vectors
    return {
        "piece": 1,
        "product": layer.depth * v,
        "wait": layer.depth * max(0, _IN_FLIGHT - v),
        "row": piece.documents,
    }


def _last_rows(layer: NativeLayer, piece: Piece, geometry: Geometry, unit: int) -> dict:
    return {"row": piece.documents, "load": piece.documents * -(-layer.depth // geometry.width)}


_COUNT = {
    ("dense", BLOCK): _dense_block,
    ("dense", FEW): _dense_few,
    ("dense", ONE): _dense_one,
    ("sparse", BLOCK): _sparse_block,
    ("sparse", FEW): _sparse_rows,
    ("sparse", ONE): _sparse_rows,
    ("last", BLOCK): _last_block,
    ("last", FEW): _last_rows,
    ("last", ONE): _last_rows,
}

_MEANINGS = {
    "once": ("call", "a call from Python, whatever its size"),
    "prefetch": ("line", "asking for 64 bytes of the next block's rows"),
    "pieces": ("piece", "starting a block, a few documents or one"),
    "cold": ("line", "fetching 64 bytes of rows that no prefetch was ahead of"),
    "row": ("document", "starting one document"),
    "vector": ("vector", "reading and centring one vector of features"),
    "value": ("vector", "storing one feature of one vector of documents"),
    "evicted": (
        "vector",
        "reading one vector of features after weights beyond a first-level cache",
    ),
    "lost": ("vector", "the same after several times as many weights"),
    "gone": ("vector", "the same after weights that fill a second-level cache"),
    "piece": ("layer", "starting a layer, once a block or a few documents"),
    "panel": ("panel", "starting one register tile"),
    "product": ("vector", "one multiplication and addition of a vector"),
    "load": ("vector", "loading one vector of the operand that lies side by side"),
    "weight": ("word", "broadcasting one word of the other operand"),
    "output": ("vector", "scaling, bounding and storing one vector of outputs"),
    "missed": ("vector", "loading one vector that the first-level cache has lost meanwhile"),
    "wait": ("vector", "waiting for a sum, where a register tile is too small to hide it"),
    "far": ("word", "reading a word of weights from beyond the second-level cache"),
    "scan": ("vector", "finding the words that are not zero in one vector"),
    "tile": ("tile", "one multiplication of AMX's tiles"),
    "neuron": ("neuron", "starting one neuron of a sparse layer"),
    "end": ("count", "one wrongly foreseen end, where the neurons' number of weights changes"),
    "column": ("vector", "one vector of an input that some weight reads"),
    "gather": ("vector", "gathering one vector of inputs and multiplying it"),
}
_PLACES = {BLOCK: "in a block", FEW: "among few documents", ONE: "for one document"}


def cost(name: str) -> Cost:
    """Unit and meaning of a count such as ``block.product``; its costs are microseconds."""
    place, _, what = name.rpartition(".")
    unit, meaning = _MEANINGS[what]
    return Cost(f"us/{unit}", f"{meaning}, {_PLACES[place]}" if place else meaning)
