"""A network as the native scorer really runs it, and what it cuts a call into.

Of the weights only those that are zero count, so that planned networks can be described too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilrank.compact import live_units
from distilrank.student import Student

BLOCK, FEW, ONE = "block", "few", "one"
PER_WORD = {"fp32": 1, "bf16": 2, "int8": 4}
# The share of a layer's units that are above zero where nothing is known of its weights: as in the
# trained nets C and E of the MSLR sample.
ACTIVE = 0.62
_SPARSE, _SPARSE_BESIDE_TILES = 0.3, 0.05

Masks = Sequence[np.ndarray]


@dataclass(frozen=True)
class Geometry:
    """The shapes that one instruction set's kernels work in; see ``native/network.hpp``.

    Attributes:
        width: floats of a vector.
        vectors: of documents in a block.
        height: most outputs of a panel.
        few_rows: documents of a tile where documents are rows.
        tiles: whether AMX multiplies what is no fp32.
        l1, l2: bytes of the first and second level's cache.
    """

    width: int
    vectors: int
    height: int
    few_rows: int
    tiles: bool
    l1: int
    l2: int

    @classmethod
    def of(cls, level: str, machine: Mapping[str, Any]) -> "Geometry":
        """The kernels of ``level`` (`Scorer.describe`) on a machine (`machine.fingerprint`)."""
        shapes = {"avx2": (8, 2, 6, 4), "portable": (4, 2, 6, 4)}
        caches = machine.get("caches") or {}
        l1, l2 = (_bytes(caches.get(name), size) for name, size in (("L1d", 32), ("L2", 1024)))
        return cls(*shapes.get(level, (16, 4, 6, 8)), level == "amx", l1, l2)

    def sparse_share(self, precision: str) -> float:
        """At most this share of non-zeros, and a layer is stored sparse (native/network.cpp)."""
        return _SPARSE_BESIDE_TILES if self.tiles and precision == "bf16" else _SPARSE

    def has_tiles(self, precision: str) -> bool:
        return self.tiles and precision != "fp32"


def _bytes(text: str | None, default: int) -> int:
    units = {"K": 1, "M": 1024}
    number = text[:-1] if text and text[-1] in units else ""
    return int(number) * units[text[-1]] * 1024 if number.isdigit() and text else default * 1024


@dataclass(frozen=True)
class Piece:
    """Documents that are scored together: a block of whole vectors, few, or one."""

    regime: str
    documents: int
    vectors: int


def pieces(batch: int, precision: str, geometry: Geometry) -> list[Piece]:
    """What a call of ``batch`` documents is cut into, in order: ``score`` of the kernels."""
    width, tiles = geometry.width, geometry.has_tiles(precision)
    rest_at_most = width // 4 if tiles else width * 5 // 8
    few_at_most = rest_at_most if tiles else width
    made = []
    while batch > 0:
        taken = min(batch, width * geometry.vectors)
        rest = taken % width
        if taken > width and rest <= rest_at_most:
            taken -= rest
        if taken <= 2:
            taken, regime = 1, ONE
        else:
            regime = FEW if taken <= few_at_most else BLOCK
        made.append(Piece(regime, taken, -(-taken // width)))
        batch -= taken
    return made


@dataclass(frozen=True)
class NativeLayer:
    """One layer as it really runs, in words of 32 bits.

    Attributes:
        depth: words of inputs.
        outputs: neurons, in whole words of what they are stored as.
        numbers: what is multiplied: fp32, bf16 or int8.
        sparse: whether it is stored so.
        nonzeros: words of weights that are not zero.
        columns: words of inputs that some weight reads.
        gathers: vectors of weights where neurons stand side by side, each as many as the most of
            its neurons has words; for one document.
        ends: distinct numbers of words of a neuron.
        active: mean words of one document's input that are not zero.
    """

    depth: int
    outputs: int
    numbers: str
    sparse: bool
    nonzeros: int
    columns: int
    gathers: int
    ends: int
    active: float


@dataclass(frozen=True)
class NativeNet:
    """A network as the native scorer runs it: without neurons that nothing reads or feeds."""

    features: int
    layers: tuple[NativeLayer, ...]
    precision: str

    @classmethod
    def of_masks(
        cls,
        masks: Masks,
        precision: str,
        geometry: Geometry,
        active: Sequence[float] | None = None,
    ) -> "NativeNet":
        """From which weights are not zero.

        Args:
            masks: one (outputs, inputs) bool matrix a layer.
            active: the share of each layer's inputs that are above zero for a document; 1 for
                the features and `ACTIVE` for all others if not given.
        """
        shares = active or [1.0] + [ACTIVE] * (len(masks) - 1)
        features = masks[0].shape[1]
        most = geometry.sparse_share(precision)
        kept = _without_the_useless(masks)
        sparse_first = len(kept) > 1 and kept[0].sum() <= most * kept[0].size
        layers = []
        for number, (mask, share) in enumerate(zip(kept, shares, strict=True)):
            first, last = number == 0, number == len(kept) - 1
            fp32 = first and (precision == "int8" or sparse_first)
            numbers = "fp32" if fp32 or precision == "fp32" else precision
            unit = 1 if last else PER_WORD[precision]
            sparse = not last and mask.sum() <= most * mask.size
            layers.append(_layer(mask, numbers, unit, sparse, share, geometry.width))
        return cls(features, tuple(layers), precision)

    @classmethod
    def of_student(cls, student: Student, precision: str, geometry: Geometry) -> "NativeNet":
        """The network of a student's weights."""
        masks = [weight != 0 for weight in student.weights]
        if precision == "int8":  # small weights are zero in whole numbers
            masks[1:] = [_codes(weight) != 0 for weight in student.weights[1:]]
        return cls.of_masks(masks, precision, geometry, active_shares(student))

    @property
    def bytes(self) -> int:
        """All weights, as a block reads them."""
        return sum(4 * layer.nonzeros * (1 + layer.sparse) for layer in self.layers)


def _codes(weight: np.ndarray) -> np.ndarray:
    """A layer's weights as int8 has them, see ``quantise`` in native/network_model.cpp."""
    step = np.abs(weight).max(axis=1, keepdims=True).astype(np.float64) / 127
    return np.rint(np.divide(weight, step, out=np.zeros(weight.shape), where=step > 0))


def _without_the_useless(masks: Masks) -> list[np.ndarray]:
    """Masks without neurons that nothing reads or that read nothing; the features all stay."""
    live = live_units(masks)
    inputs = [np.ones_like(live[0]), *live[1:-1]]
    return [mask[np.ix_(outputs, read)] for mask, read, outputs in
            zip(masks, inputs, live[1:], strict=True)]  # fmt: skip


def _layer(
    mask: np.ndarray, numbers: str, unit: int, sparse: bool, share: float, width: int
) -> NativeLayer:
    per_word = PER_WORD[numbers]
    outputs, depth = -(-mask.shape[0] // unit) * unit, -(-mask.shape[1] // per_word)
    active = depth * (1 - (1 - share) ** per_word)
    if not sparse:
        return NativeLayer(depth, outputs, numbers, False, depth * outputs, depth, 0, 0, active)
    # The library sorts by weights, then counts words: nearly the same order.
    mask = mask[np.argsort(mask.sum(axis=1), kind="stable")]
    words = np.zeros((outputs, depth * per_word), bool)
    words[: mask.shape[0], : mask.shape[1]] = mask
    used = words.reshape(outputs, depth, per_word).any(axis=2)
    lengths, columns = used.sum(axis=1), int(used.any(axis=0).sum())
    gathers = sum(int(lengths[at : at + width].max()) for at in range(0, outputs, width))
    ends = len(np.unique(lengths))
    nonzeros = int(lengths.sum())
    return NativeLayer(depth, outputs, numbers, True, nonzeros, columns, gathers, ends, active)


def active_shares(student: Student, documents: int = 64) -> list[float]:
    """The share of each layer's inputs above zero, for documents of normal z-scores."""
    hidden = np.random.default_rng(0).standard_normal((documents, student.n_features))
    shares = [1.0]
    for weight, bias in zip(student.weights[:-1], student.biases[:-1], strict=True):
        hidden = np.clip(hidden.astype(np.float32) @ weight.T + bias, 0, 6)
        used = (weight != 0).any(axis=1)
        shares.append(float((hidden[:, used] > 0).mean()) if used.any() else 0.0)
    return shares
