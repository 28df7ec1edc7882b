"""The student: a multi-layer perceptron with ReLU6, its scaler and its file.

The class is plain NumPy, so that whoever only scores or inspects a network need not import torch.
"""

import json
import os
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from distilrank.forest import check_width
from distilrank.letor import MISSING
from distilrank.tensor_file import write_tensors

FORMAT = "distilrank-student-1"
# With a `fill`: a reader that knows nothing of missing values must refuse the file.
FORMAT_WITH_FILL = "distilrank-student-2"


@dataclass(frozen=True)
class Student:
    """``score = W_n relu6(... relu6(W_1 z + b_1) ...) + b_n`` with ``z = (row - mean) / scale``.

    Attributes:
        weights: one (outputs, inputs) float32 matrix a layer; the last has one output.
        biases: one (outputs,) float32 vector a layer.
        mean, scale: (features,) float64, the z-score fitted on the train split; scale > 0.
        meta: what made it (dataset, fold, teacher, student, recipe, seed, sparsity, ...): what
            JSON can hold, kept in the file.
        fill: (features,) float32, what takes the place of a missing value (`letor.MISSING`) in a
            raw row: the feature's mean. None where the data it learnt from had no missing value;
            such a student scores no row that has one.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    mean: np.ndarray
    scale: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict, compare=False)
    fill: np.ndarray | None = None

    def __post_init__(self) -> None:
        if np.ndim(self.mean) != 1:
            raise ValueError(
                f"the scaler needs one number a feature, found shape {self.mean.shape}"
            )
        widths = [len(self.mean), *(weight.shape[0] for weight in self.weights)]
        expected = [(outputs, inputs) for inputs, outputs in pairwise(widths)]
        found = [weight.shape for weight in self.weights]
        if not found or found != expected or widths[-1] != 1:
            raise ValueError(f"layers of shape {found} do not chain from {widths[0]} features to 1")
        if [bias.shape for bias in self.biases] != [(outputs,) for outputs, _ in expected]:
            raise ValueError("every layer needs one bias for each of its outputs")
        if self.scale.shape != self.mean.shape or not (self.scale > 0).all():
            raise ValueError("the scaler needs one positive scale for each feature")
        if self.fill is not None and self.fill.shape != self.mean.shape:
            raise ValueError("the scaler needs one value to fill in for each feature")
        filled = () if self.fill is None else (self.fill,)
        arrays = (*self.weights, *self.biases, self.mean, self.scale, *filled)
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("a weight, bias or scaler value is NaN or infinite")

    @property
    def n_features(self) -> int:
        return len(self.mean)

    @property
    def architecture(self) -> str:
        """Widths from features to output, such as ``136-200-100-1``."""
        return "-".join(map(str, [self.n_features, *(len(bias) for bias in self.biases)]))

    def sparsity(self, layer: int) -> float:
        """The share of zeros among the weights of ``layer``, counted from 0."""
        weight = self.weights[layer]
        return 1.0 - np.count_nonzero(weight) / weight.size

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Reference scores: a float64 pass in plain NumPy.

        Args:
            rows: (documents, features) raw features, any float type.

        Returns:
            (documents,) float64.

        Raises:
            ValueError: if the rows have another width, or missing values and there is no `fill`.
        """
        hidden = self.standardised(rows)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = np.clip(hidden @ weight.astype(np.float64).T + bias, 0.0, 6.0)
        return hidden @ self.weights[-1][0].astype(np.float64) + float(self.biases[-1][0])

    def standardised(self, rows: np.ndarray) -> np.ndarray:
        """(documents, features) float64: raw ``rows``, missing values filled in, as z-scores.

        Raises:
            ValueError: as `predict`.
        """
        check_width(rows, self.n_features)
        return (self._filled(rows).astype(np.float64) - self.mean) / self.scale

    def _filled(self, rows: np.ndarray) -> np.ndarray:
        absent = rows == MISSING
        if self.fill is not None:
            return np.where(absent, self.fill, rows)
        if absent.any():
            row, column = np.argwhere(absent)[0]
            raise ValueError(
                f"feature {column + 1} of row {row} is missing, and this network has nothing to "
                "put in its place: its train and vali splits had no missing value; train on "
                "documents that have some, or leave out the documents that do"
            )
        return rows

    def folded(self) -> "Student":
        """The same function of raw rows with the z-score folded into the first layer.

        ``W (x - m) / s + b = (W / s) x + (b - W (m / s))``; zeros of ``W`` stay zeros. Computed
        in float64, stored in float32. The folded scaler is mean 0 and scale 1;
        ``fill`` stays, for it takes its place in raw rows.
        """
        first = self.weights[0].astype(np.float64) / self.scale
        bias = self.biases[0] - first @ self.mean
        return replace(
            self,
            weights=(first.astype(np.float32), *self.weights[1:]),
            biases=(bias.astype(np.float32), *self.biases[1:]),
            mean=np.zeros_like(self.mean),
            scale=np.ones_like(self.scale),
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write one self-contained safetensors file; the metadata is JSON in its header."""
        tensors = {
            name: np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            for name in ("mean", "scale")
        }
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            tensors[f"weight{layer}"] = np.ascontiguousarray(weight, dtype=np.float32)
            tensors[f"bias{layer}"] = np.ascontiguousarray(bias, dtype=np.float32)
        if self.fill is not None:
            tensors["fill"] = np.ascontiguousarray(self.fill, dtype=np.float32)
        header = {
            "format": FORMAT if self.fill is None else FORMAT_WITH_FILL,
            "architecture": self.architecture,
            "activation": "relu6",
            "meta": json.dumps(self.meta, sort_keys=True, allow_nan=False),
        }
        write_tensors(path, tensors, header)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Student":
        """Read a file that ``save`` wrote; ``ValueError`` says what is wrong with any other."""
        try:
            with safe_open(path, framework="numpy") as file:
                header = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, TypeError) as error:  # a number type that NumPy lacks
            raise ValueError(f"{path} is not a whole safetensors file: {error}") from error
        expected = FORMAT_WITH_FILL if "fill" in tensors else FORMAT
        if header.get("format") != expected or header.get("activation") != "relu6":
            raise ValueError(
                f"{path} has format {header.get('format')!r}, expected {expected!r} with relu6"
            )
        wrong = [key for key in tensors if tensors[key].dtype != _dtype(key)]
        if wrong:
            raise ValueError(
                f"{path} is not a student: {wrong[0]} is {tensors[wrong[0]].dtype}, expected "
                f"{_dtype(wrong[0])}"
            )
        layers = range(sum(key.startswith("weight") for key in tensors))
        try:
            return cls(
                weights=tuple(tensors[f"weight{layer}"] for layer in layers),
                biases=tuple(tensors[f"bias{layer}"] for layer in layers),
                mean=tensors["mean"],
                scale=tensors["scale"],
                meta=_meta(header.get("meta", "{}")),
                fill=tensors.get("fill"),
            )
        except (KeyError, ValueError, IndexError) as error:
            raise ValueError(f"{path} is not a student: {error}") from error


def _dtype(tensor: str) -> str:
    return "float64" if tensor in ("mean", "scale") else "float32"


def _meta(text: str) -> dict[str, Any]:
    try:
        meta = json.loads(text)
    except RecursionError:
        raise ValueError("its meta is nested too deeply") from None
    if not isinstance(meta, dict):
        raise ValueError("its meta is no JSON object")
    return meta
