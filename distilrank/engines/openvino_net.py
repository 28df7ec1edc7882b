"""Networks in OpenVINO's CPU plugin, the graph made in memory."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from distilrank.engines.base import Engine, Model, missing, padded_rows, scaler_described
from distilrank.engines.bf16 import MEAN_TAKEN_OFF, folded_for_bf16
from distilrank.letor import MISSING
from distilrank.student import Student


class OpenVinoEngine(Engine):
    """MatMul, Add and Clamp for a fixed batch, in float32; pruned layers run as dense."""

    name = "openvino"
    kind = "network"
    precision = "fp32"
    # Asked for in every case: left to itself the plugin computes in bf16 where there is AMX.
    hint: ClassVar[str] = "f32"

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, Student):
            return "it scores networks only"
        return missing("openvino")

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        import openvino

        if not isinstance(model, Student):
            raise ValueError(f"{self.name} scores networks only")
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            # Which core is the caller's choice.
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": self.hint,
        }
        self._scaler = scaler_described(model)
        graph = _graph(*self._prepared(model), batch)
        compiled = openvino.Core().compile_model(graph, "CPU", settings)
        self._features, self._batch = model.n_features, batch
        self._version = openvino.__version__
        self._precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        self._kernels = _kernels(compiled)
        self._request = compiled.create_infer_request()
        self._tensor = openvino.Tensor
        self._result = self._request.get_output_tensor().data

    def _prepared(self, student: Student) -> tuple[Student, np.ndarray | None]:
        """The network to make a graph of, and the mean that the graph takes off its rows."""
        return student.folded(), None

    def score(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) != self._batch:
            return self.score(padded_rows(rows, self._features, self._batch))[: len(rows)]
        if not rows.flags.writeable:
            rows = rows.copy()  # OpenVINO shares no read-only memory
        # Sharing the caller's memory saves a copy and the wrapper's checks.
        self._request.set_input_tensor(self._tensor(rows, shared_memory=True))
        self._request.infer()
        return self._result[:, 0]

    def describe(self) -> dict[str, Any]:
        return {
            "openvino": self._version,
            "inference_precision": self._precision,
            "openvino_kernels": self._kernels,
        } | self._scaler


class OpenVinoBf16Engine(OpenVinoEngine):
    """The same graph in bf16, on processors with instructions for it; rows converted in it."""

    name = "openvino-bf16"
    precision = "bf16"
    exact = False
    hint: ClassVar[str] = "bf16"

    def supports(self, model: Model) -> str | None:
        reason = super().supports(model)
        if reason:
            return reason
        import openvino

        if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            return "OpenVINO finds no bf16 instructions on this processor (AVX512_BF16 or AMX)"
        return None

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        super().load(model, batch, threads)
        if self._precision != "bf16":
            raise RuntimeError(f"OpenVINO computes in {self._precision}, bf16 was asked for")

    def _prepared(self, student: Student) -> tuple[Student, np.ndarray | None]:
        centred, mean = folded_for_bf16(student)
        if mean is not None:
            self._scaler = self._scaler | {"scaler": MEAN_TAKEN_OFF}
        return centred, mean


def _kernels(compiled: Any) -> list[str]:
    """The names of the code that the dense layers run in, such as ``brgemm_avx512_f32``."""
    found = [each.get_rt_info() for each in compiled.get_runtime_model().get_ordered_ops()]
    dense = [info for info in found if info["layerType"].value in ("FullyConnected", "MatMul")]
    return sorted({info["primitiveType"].value for info in dense})


def _graph(folded: Student, mean: np.ndarray | None, batch: int) -> Any:
    """A folded student as an OpenVINO model for exactly ``batch`` rows, less ``mean``."""
    import openvino
    from openvino import opset13 as ops

    rows = ops.parameter([batch, folded.n_features], np.float32, name="rows")
    current = rows
    if folded.fill is not None:
        absent = ops.equal(rows, ops.constant(np.array(MISSING)))
        current = ops.select(absent, ops.constant(folded.fill[None, :]), rows)
    if mean is not None:
        current = ops.subtract(current, ops.constant(mean[None, :]))
    last = len(folded.weights) - 1
    for layer, (weight, bias) in enumerate(zip(folded.weights, folded.biases, strict=True)):
        product = ops.matmul(current, ops.constant(np.ascontiguousarray(weight)), False, True)
        current = ops.add(product, ops.constant(bias[None, :]))
        if layer < last:
            current = ops.clamp(current, 0.0, 6.0)
    return openvino.Model([current], [rows], "student")
