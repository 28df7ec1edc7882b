"""What the native scorer takes for a network, whether it exists or is only planned."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from distilrank.blueprints import planned_masks
from distilrank.files import read_json
from distilrank.forest import Forest
from distilrank.forest_times import ForestFacts, ForestModel
from distilrank.native_fit import NativeModel, batch_class
from distilrank.native_net import PER_WORD, NativeNet
from distilrank.residual import Residual
from distilrank.student import Student

FORMAT = "distilrank-native-times-1"


@dataclass(frozen=True)
class Estimate:
    """A predicted scoring time, in microseconds a document.

    Attributes:
        steps: ``("rows", time)``, ``("layer 1", time)``, ..., ``("call", time)``.
        low, high: nine in ten networks that no fit saw took a total between these.
    """

    steps: tuple[tuple[str, float], ...]
    low: float
    high: float

    @property
    def total(self) -> float:
        return sum(time for _, time in self.steps)


class NativeTimes:
    """Predicted times of networks on the machine that was calibrated.

    Attributes:
        machine: that machine's fingerprint.
        library: the native library's version there.
    """

    machine: dict[str, Any]
    library: dict[str, Any]

    def __init__(
        self,
        model: NativeModel,
        intervals: Mapping[str, Mapping[str, Sequence[float]]],
        machine: Mapping[str, Any],
        library: Mapping[str, Any],
        residual: Residual | None = None,
        forests: ForestModel | None = None,
    ) -> None:
        """Args:
        model: the fitted costs.
        intervals: by precision and class of batch, the 5th and 95th percentile of measured over
            predicted time of networks that the fit did not see.
        machine, library: where it was measured.
        residual: trees on what the costs leave over, where they help.
        forests: the time model of forests.
        """
        self._model, self._intervals, self._residual = model, intervals, residual
        self._forests = forests
        self.machine, self.library = dict(machine), dict(library)

    @classmethod
    def read(cls, path: str | os.PathLike) -> "NativeTimes":
        """What the workflow wrote to ``results/predictor/native.json``.

        Raises:
            ValueError: if the file is missing or another one.
        """
        if not Path(path).exists():
            raise ValueError(
                f"{path} is not there; to calibrate this machine run 'snakemake "
                "results/predictor/native.json'"
            )
        content = read_json(path)
        if content.get("format") != FORMAT:
            raise ValueError(
                f"{path} has format {content.get('format')!r}, expected {FORMAT!r}; delete it and "
                "run 'snakemake results/predictor/native.json'"
            )
        model = NativeModel.from_json(content["model"])
        text = content["residual"].get("text")
        residual = Residual(text) if text else None
        forests = ForestModel.from_json(content["forests"])
        where = content["machine"], content["library"]
        return cls(model, content["intervals"], *where, residual, forests)

    @property
    def model(self) -> NativeModel:
        return self._model

    @property
    def forests(self) -> ForestModel:
        """The time model of forests.

        Raises:
            ValueError: if there is none.
        """
        if self._forests is None:
            raise ValueError("no forests were calibrated")
        return self._forests

    def of_forest(self, forest: Forest, batch: int) -> float:
        """Microseconds a document of a forest."""
        return self.forests.call(ForestFacts.of(forest), batch) / batch

    @property
    def precisions(self) -> tuple[str, ...]:
        return tuple(self._model.geometries)

    def check_library(self, library: Mapping[str, Any]) -> None:
        """Refuse another version of the native library (`native.library_version`).

        Raises:
            ValueError: if it is another one than was calibrated.
        """
        if dict(library) != self.library:
            raise ValueError(
                f"the native library was calibrated as version {_version(self.library)} and is now "
                f"{_version(library)}: delete results/calibration and run 'snakemake "
                "results/predictor/native.json'"
            )

    def runs_sparse(self, student: Student, precision: str) -> bool:
        """Whether the scorer stores the student's first layer sparse."""
        geometry = self._model.geometries[precision]
        return NativeNet.of_student(student, precision, geometry).layers[0].sparse

    def estimate(
        self, widths: Sequence[int], sparsity: float, precision: str, batch: int
    ) -> Estimate:
        """The time of a network that need not exist.

        Args:
            widths: features, hidden widths, 1.
            sparsity: the first layer's share of zeros.
            precision: fp32, bf16 or int8.
            batch: documents a call.

        Raises:
            ValueError: if that is no network, no precision or no batch.
        """
        if len(widths) < 2 or min(widths) < 1 or widths[-1] != 1:
            raise ValueError(
                f"{list(widths)} are no network's widths: features, hidden widths and 1, such as "
                "136, 200, 100, 1"
            )
        if not 0 <= sparsity < 1:
            raise ValueError(f"the sparsity is {sparsity}, expected 0 <= sparsity < 1")
        self._check(precision, batch)
        geometry = self._model.geometries[precision]
        return self.of_net(_planned(tuple(widths), sparsity, precision, geometry), batch)

    def of_student(self, student: Student, precision: str, batch: int) -> Estimate:
        """The time of a network that does: its own zeros count.

        Raises:
            ValueError: as `estimate`.
        """
        self._check(precision, batch)
        geometry = self._model.geometries[precision]
        return self.of_net(NativeNet.of_student(student, precision, geometry), batch)

    def _check(self, precision: str, batch: int) -> None:
        if precision not in self._model.geometries:
            known = ", ".join(name for name in PER_WORD if name in self._model.geometries)
            raise ValueError(f"the precision is {precision!r}, expected one of {known}")
        if batch < 1:
            raise ValueError(f"the batch is {batch}, expected a whole number from 1")

    def of_net(self, net: NativeNet, batch: int) -> Estimate:
        """The time of a network of which it is known what runs."""
        made = self._model.steps(net, batch)
        factor = self._residual.factor(net, batch, made) if self._residual else 1.0
        each = tuple((name, factor * time / batch) for name, time in made)
        total = sum(time for _, time in each)
        low, high = self._intervals[net.precision][batch_class(batch)]
        return Estimate(each, total * low, total * high)


def _version(library: Mapping[str, Any]) -> str:
    return f"{library.get('abi')} ({library.get('sha256')})"


@lru_cache(maxsize=4096)
def _planned(widths: tuple[int, ...], sparsity: float, precision: str, geometry: Any) -> NativeNet:
    return NativeNet.of_masks(planned_masks(widths, sparsity), precision, geometry)
