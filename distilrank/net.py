"""A student that PyTorch can train: under masks, and as int8 will score it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from distilrank.letor import MISSING
from distilrank.quantise import ACTIVATION_CODES, LARGEST_ACTIVATION, WEIGHT_CODES
from distilrank.student import Student

PRECISIONS = ("fp32", "int8")


class Net(nn.Module):
    """A `Student` that PyTorch can train.

    In int8 the forward pass, in training and out of it, is that of `quantise.predict_int8` on what
    `student` returns, up to float32's rounding, while gradients pass the rounding as if it were
    not there (straight-through estimator: Bengio et al., 2013, arXiv 1308.3432; Jacob et al., CVPR
    2018, section 3). The weights that are trained, and those of `student`, stay float32.

    int8's codes are spread over [0, 6], of which most neurons use little. `equalise` gives each
    hidden neuron a factor: its weights and bias times it, the weights that read it divided by it,
    which changes nothing but where ReLU6 cuts (Nagel et al., ICCV 2019, section 4.1). The factors
    are kept apart from what is trained, so that the learning rate means the same with them.
    """

    def __init__(
        self,
        student: Student,
        dropout: float,
        masks: Sequence[np.ndarray | None],
        precision: str = "fp32",
    ) -> None:
        """Copy ``student``.

        Args:
            dropout: share of the first hidden layer's outputs dropped while training.
            masks: for each layer a boolean array of the weights that may differ from 0, or None.
            precision: one of `PRECISIONS`.

        Raises:
            ValueError: if there is no such precision.
        """
        super().__init__()
        if precision not in PRECISIONS:
            raise ValueError(f"precision {precision!r}, expected one of {', '.join(PRECISIONS)}")
        self.origin, self.precision = student, precision
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList()
        for weight, bias in zip(student.weights, student.biases, strict=True):
            layer = nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight.data = torch.tensor(weight)
            layer.bias.data = torch.tensor(bias)
            self.layers.append(layer)
        self.register_buffer("mean", torch.tensor(student.mean))
        self.register_buffer("scale", torch.tensor(student.scale))
        for index, bias in enumerate(student.biases[:-1]):
            self.register_buffer(f"factor{index}", torch.ones(len(bias)))
        fill = None if student.fill is None else torch.tensor(student.fill)
        self.register_buffer("fill", fill)
        self.masked = [index for index, mask in enumerate(masks) if mask is not None]
        for index in self.masked:
            self.register_buffer(f"mask{index}", torch.tensor(masks[index], dtype=torch.float32))
        self.hold_masks()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(documents, features) raw float32 rows to (documents,) float32 scores."""
        return self.outputs(self.standardised(rows))

    def outputs(self, hidden: torch.Tensor) -> torch.Tensor:
        """(documents, features) float32 z-scores to (documents,) scores."""
        for index in range(len(self.layers) - 1):
            hidden = nn.functional.relu6(self._layer(index, hidden))
            if self.precision == "int8":
                hidden = fake_quantised_activations(hidden)
            if index == 0:
                hidden = self.dropout(hidden)
        return self._layer(len(self.layers) - 1, hidden).squeeze(1)

    def standardised(self, rows: torch.Tensor) -> torch.Tensor:
        """(documents, features) raw float32 rows to float32 z-scores."""
        if self.fill is not None:
            rows = torch.where(rows == float(MISSING), self.fill, rows)
        # The z-score in float64: raw features reach 1e9, where float32 has few digits left.
        return ((rows.double() - self.mean) / self.scale).float()

    def _layer(self, index: int, hidden: torch.Tensor) -> torch.Tensor:
        weight, bias = self._scaled(index)
        # The first layer reads z-scores, which have no bounds: it stays fp32.
        if self.precision == "int8" and index > 0:
            weight = fake_quantised_weights(weight)
        return nn.functional.linear(hidden, weight, bias)

    def _scaled(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A layer's weight and bias with the neurons' factors in them: those of the student."""
        weight, bias = self.layers[index].weight, self.layers[index].bias
        if self.precision == "int8" and index > 0:
            weight = weight / self.get_buffer(f"factor{index - 1}")
        if self.precision == "int8" and index < len(self.layers) - 1:
            factor = self.get_buffer(f"factor{index}")
            weight, bias = weight * factor[:, None], bias * factor
        return weight, bias

    @torch.no_grad()
    def equalise(self, rows: torch.Tensor) -> None:
        """Choose the neurons' factors by their largest activations on ``rows``, in fp32.

        ``sqrt(6 / largest)``: half-way, on a log scale, to using all codes, since other documents
        than ``rows`` have larger activations, which ReLU6 then cuts. A neuron that is next to
        silent on ``rows`` is taken for a tenth as loud as the loudest of its layer.
        """
        hidden = self.standardised(rows)
        for index, layer in enumerate(self.layers[:-1]):
            hidden = nn.functional.relu6(layer(hidden))
            largest = hidden.amax(dim=0)
            largest = largest.clamp(min=max(0.1 * float(largest.max()), 1e-3))
            self.get_buffer(f"factor{index}").copy_((LARGEST_ACTIVATION / largest).sqrt())

    def set_masks(self, masks: Sequence[np.ndarray | None]) -> None:
        """Let ``masks`` hold from now on, in the layers that have one."""
        for index in self.masked:
            mask = torch.from_numpy(np.asarray(masks[index], dtype=np.float32))
            self.get_buffer(f"mask{index}").copy_(mask)
        self.hold_masks()

    def hold_masks(self) -> None:
        """Set the pruned weights back to 0: Adam's momentum would otherwise move them."""
        with torch.no_grad():
            for index in self.masked:
                self.layers[index].weight.mul_(self.get_buffer(f"mask{index}"))

    def student(self) -> Student:
        """The network as it is now, in NumPy."""
        return self._in_numpy([self._scaled(index) for index in range(len(self.layers))])

    def trained(self) -> Student:
        """The same function in fp32 without the neurons' factors: the weights that are trained."""
        return self._in_numpy([(layer.weight, layer.bias) for layer in self.layers])

    def _in_numpy(self, layers: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Student:
        arrays = [
            tuple(tensor.detach().cpu().numpy().copy() for tensor in layer) for layer in layers
        ]
        weights, biases = zip(*arrays, strict=True)
        meta = dict(self.origin.meta)
        return replace(self.origin, weights=weights, biases=biases, meta=meta)


def fake_quantised_weights(weight: torch.Tensor) -> torch.Tensor:
    """`quantise.fake_quantised_weights` in float32, its gradient that of ``weight`` itself.

    The step follows the row's largest weight of the moment.
    """
    with torch.no_grad():
        steps = weight.abs().amax(dim=1, keepdim=True) / WEIGHT_CODES
        rounded = torch.round(weight / torch.where(steps > 0, steps, 1.0)) * steps
    return weight + (rounded - weight).detach()


def fake_quantised_activations(values: torch.Tensor) -> torch.Tensor:
    """`quantise.fake_quantised_activations` of values in [0, 6], with their own gradient."""
    with torch.no_grad():
        codes = torch.round(values * (ACTIVATION_CODES / LARGEST_ACTIVATION))
        rounded = codes * (LARGEST_ACTIVATION / ACTIVATION_CODES)
    return values + (rounded - values).detach()
