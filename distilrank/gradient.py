"""One training step's loss and gradients: by PyTorch, or by the native library.

The native one (``native/gradient_code.hpp``) takes a block of documents forward and back through
all layers while what lies in between is in the core's cache; PyTorch takes the whole batch through
one layer after the other.
"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from distilrank.feed import Batch, NativeZScore
from distilrank.losses import listwise_softmax
from distilrank.native import declare, load
from distilrank.net import Net
from distilrank.scorer import PRECISIONS

_POINTER, _INT64 = ctypes.c_void_p, ctypes.c_int64
_ARRAY = ctypes.POINTER(_POINTER)
# Of enum distilrank_level.
_BEST = 0
# Documents that are scored at a time.
_SCORED = 4096


class TorchGradient:
    """The gradient by PyTorch, on the network's device, with PyTorch's threads.

    Attributes:
        name: what computes.
    """

    def __init__(self, net: Net, bf16: bool) -> None:
        """Take ``net``, whose products are in ``bf16``, or else in float32."""
        self._net, self._bf16 = net, bf16
        self.name = "bf16" if bf16 else "fp32"

    def loss(self, batch: Batch) -> torch.Tensor:
        """The mean squared error, or by query `listwise_softmax`; with what PyTorch needs to go
        back."""
        device = self._net.mean.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
            scores = self._net.outputs(torch.from_numpy(batch.rows).to(device))
        targets = torch.from_numpy(batch.targets).to(device)
        if batch.sizes is None:
            return nn.functional.mse_loss(scores.float(), targets)
        return listwise_softmax(scores.float(), targets, batch.sizes)

    def __call__(self, batch: Batch) -> torch.Tensor:
        self._net.zero_grad(set_to_none=True)
        loss = self.loss(batch)
        loss.backward()
        return loss.detach()

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Raw rows, (documents, features) float32, as (documents,) float32 scores, in fp32."""
        self._net.eval()
        with torch.inference_mode():
            return np.concatenate(
                [
                    self._net(torch.tensor(features[at : at + _SCORED]).to(self._net.mean.device))
                    .cpu()
                    .numpy()
                    for at in range(0, len(features), _SCORED)
                ]
            )


class _Step(ctypes.Structure):
    _fields_ = [
        ("weights", _ARRAY), ("biases", _ARRAY), ("rows", _POINTER), ("n", _INT64),
        ("stride", _INT64), ("targets", _POINTER), ("factor", ctypes.c_float),
        ("seed", ctypes.c_uint32),
        ("weight_gradients", _ARRAY), ("bias_gradients", _ARRAY),
    ]  # fmt: skip


@cache
def _library(path: str | os.PathLike | None) -> ctypes.CDLL:
    library = load(path)
    signatures = {
        "create": (_POINTER, [_POINTER, _INT64, ctypes.c_int32, ctypes.c_int32]),
        "run": (ctypes.c_double, [_POINTER, _POINTER]),
        "score": (None, [_POINTER, _POINTER, _POINTER]),
        "level": (ctypes.c_char_p, [ctypes.c_int32, ctypes.c_int32]),
        "destroy": (None, [_POINTER]),
    }
    declare(library, "gradient_", signatures)
    return library


class NativeGradient:
    """The gradient of the mean squared error by the native library, on the CPU.

    Each thread takes its part of a batch's rows; parts are added up in their order, so that the
    same thread count gives the same bytes. Meanwhile PyTorch should have one thread: its others
    would spin, waiting for work, on the cores that these need.

    Attributes:
        name: what computes.
    """

    def __init__(
        self, net: Net, precision: str, threads: int,
        library: str | os.PathLike | None = None, level: int = _BEST,
    ) -> None:  # fmt: skip
        """Take ``net``, which has to stay on the CPU, in fp32 and without dropout.

        Args:
            precision: of products: ``fp32``, ``bf16`` or ``int8``.
            threads: that share each batch.
            library: the native library, where `native.find_library` finds it if not given.
            level: the highest of enum distilrank_level, for tests.

        Raises:
            ValueError: if this processor lacks instructions for it.
            OSError: if the native library is missing.
        """
        name = self.instructions(precision, library, level)
        if not name:
            raise ValueError(f"this processor has no instructions for gradients in {precision}")
        self.name = f"{precision} by the native library ({name})"
        self._net = net
        layers = [layer.weight.shape for layer in net.layers]
        widths = np.array([inputs for _, inputs in layers] + [1], np.int64)
        native = _library(library)
        self._parts = [_Part(native, widths, precision, level) for _ in range(threads)]
        # Scores are fp32 whatever the gradients are.
        self._scorers = self._parts
        if precision != "fp32":
            self._scorers = [_Part(native, widths, "fp32", level) for _ in range(threads)]
        fill = None if net.fill is None else net.fill.numpy()
        self._standardise = NativeZScore(net.mean.numpy(), net.scale.numpy(), fill, library)
        self._pool = ThreadPoolExecutor(threads, "gradient")

    @staticmethod
    def instructions(
        precision: str, library: str | os.PathLike | None = None, level: int = _BEST
    ) -> str:
        """What the processor has for it: ``amx``, ``avx512``, or an empty text."""
        number = PRECISIONS.index(precision)
        return _library(library).distilrank_gradient_level(number, level).decode()

    @staticmethod
    def takes(net: Net) -> bool:
        """Whether ``net`` is as it has to be, but for dropout, which only training has."""
        return net.precision == "fp32" and net.mean.device.type == "cpu"

    def __call__(self, batch: Batch) -> torch.Tensor:
        pieces = self._pieces(len(batch.rows))
        others = [
            self._pool.submit(part, self._net, batch, piece)
            for part, piece in zip(self._parts[1:], pieces[1:], strict=True)
        ]
        first = self._parts[0]
        squares = first(self._net, batch, pieces[0])
        for part, other in zip(self._parts[1:], others, strict=True):
            squares += other.result()
            for total, own in zip(first.gradients, part.gradients, strict=True):
                total += own
        for parameter, total in zip(_parameters(self._net), first.gradients, strict=True):
            parameter.grad = total
        return torch.tensor(squares / len(batch.rows), dtype=torch.float32)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """As `TorchGradient.scores`, up to the order of float32's sums."""
        scores = np.empty(len(features), np.float32)
        others = [
            self._pool.submit(self._score, part, features, scores, piece)
            for part, piece in zip(self._scorers, self._pieces(len(features)), strict=True)
        ]
        for other in others:
            other.result()
        return scores

    def _score(self, part: "_Part", features: np.ndarray, scores: np.ndarray, piece: slice) -> None:
        rows = np.empty((_SCORED, features.shape[1]), np.float32)
        for at in range(piece.start, piece.stop, _SCORED):
            stop = min(at + _SCORED, piece.stop)
            self._standardise(features, np.arange(at, stop), rows)
            part.score(self._net, rows[: stop - at], scores[at:stop])

    def _pieces(self, rows: int) -> list[slice]:
        """Each thread's part of some rows."""
        bounds = np.linspace(0, rows, len(self._parts) + 1).astype(int)
        return [slice(start, stop) for start, stop in pairwise(bounds.tolist())]

    def close(self) -> None:
        """Free the threads and buffers."""
        self._pool.shutdown()
        for part in {*self._parts, *self._scorers}:
            part.close()


@contextmanager
def gradient_of(
    net: Net, precision: str, plain: bool, library: str | os.PathLike | None = None
) -> Iterator[TorchGradient | NativeGradient]:
    """What takes a step's batch, leaves each parameter's gradient in its ``grad``, gives the loss.

    Args:
        precision: of products: ``fp32``, ``bf16`` or ``int8``.
        plain: whether the loss is the mean squared error, without dropout.
        library: the native library, where `native.find_library` finds it if not given.

    Raises:
        ValueError: if int8 is wanted where the native library cannot compute it.
    """
    plain = plain and NativeGradient.takes(net)
    if not (plain and NativeGradient.instructions(precision, library)):
        if precision == "int8":
            raise ValueError(
                "gradients in int8 (compute: int8) are for fp32 networks that learn a teacher's "
                "scores without dropout on a processor with AVX512_VNNI: use compute: auto or fp32"
            )
        yield TorchGradient(net, precision == "bf16")
        return
    threads = torch.get_num_threads()
    gradient = NativeGradient(net, precision, threads, library)
    torch.set_num_threads(1)
    try:
        yield gradient
    finally:
        torch.set_num_threads(threads)
        gradient.close()


class _Part:
    """One thread's buffers and gradients, those in the order of `_parameters`."""

    def __init__(
        self, library: ctypes.CDLL, widths: np.ndarray, precision: str, level: int
    ) -> None:
        self._library = library
        self._handle = library.distilrank_gradient_create(
            widths.ctypes.data, len(widths) - 1, PRECISIONS.index(precision), level
        )
        if not self._handle:
            raise MemoryError(
                f"no memory left for the gradients of a network {widths.tolist()} in {precision}, "
                "or a layer too wide for them"
            )
        shapes = list(zip(widths[1:].tolist(), widths[:-1].tolist(), strict=True))
        self.gradients = [torch.empty(shape) for shape in shapes]
        self.gradients += [torch.empty(outputs) for outputs, _ in shapes]

    def __call__(self, net: Net, batch: Batch, piece: slice) -> float:
        """The sum of the squared errors of some rows."""
        rows, targets = batch.rows[piece], batch.targets[piece]
        weights, biases, *gradients = (*_halves(_parameters(net)), *_halves(self.gradients))
        # No two threads' alike; 0 stays 0, which rounds down.
        seed = (batch.seed + piece.start) % 2**32 if batch.seed else 0
        step = _Step(
            weights, biases, rows.ctypes.data, len(rows), batch.rows.shape[1],
            targets.ctypes.data, 1 / len(batch.rows), seed, *gradients,
        )  # fmt: skip
        return self._library.distilrank_gradient_run(self._handle, ctypes.byref(step))

    def score(self, net: Net, rows: np.ndarray, scores: np.ndarray) -> None:
        """Write the scores of some z-scores."""
        weights, biases = _halves(_parameters(net))
        step = _Step(weights, biases, rows.ctypes.data, len(rows), rows.shape[1])
        self._library.distilrank_gradient_score(
            self._handle, ctypes.byref(step), scores.ctypes.data
        )

    def close(self) -> None:
        self._library.distilrank_gradient_destroy(self._handle)
        self._handle = None


def _parameters(net: Net) -> list[torch.Tensor]:
    """All weights, then all biases."""
    return [layer.weight for layer in net.layers] + [layer.bias for layer in net.layers]


def _halves(tensors: Sequence[torch.Tensor]) -> tuple[ctypes.Array, ctypes.Array]:
    """Pointers to the weights' and to the biases'."""
    pointers = [tensor.data_ptr() for tensor in tensors]
    half = len(pointers) // 2
    array = _POINTER * half
    return array(*pointers[:half]), array(*pointers[half:])
