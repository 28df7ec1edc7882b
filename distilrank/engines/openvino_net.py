"""Networks in OpenVINO's CPU plugin, the graph made in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from distilrank.engines.base import Engine, Model, check_rows, missing, scaler_described
from distilrank.letor import MISSING
from distilrank.student import Student


class OpenVinoEngine(Engine):
    """MatMul, Add and Clamp for a fixed batch, in float32; pruned layers run as dense."""

    name = "openvino"
    kind = "network"
    precision = "fp32"

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, Student):
            return "it scores networks only"
        return missing("openvino")

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        import openvino

        if not isinstance(model, Student):
            raise ValueError("openvino scores networks only")
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            # Which core is the caller's choice.
            "ENABLE_CPU_PINNING": False,
            # On a processor with AMX the plugin would otherwise compute in bfloat16.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = openvino.Core().compile_model(_graph(model, batch), "CPU", settings)
        self._features, self._batch = model.n_features, batch
        self._version, self._scaler = openvino.__version__, scaler_described(model)
        self._precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        self._request = compiled.create_infer_request()
        self._tensor = openvino.Tensor
        self._result = self._request.get_output_tensor().data

    def score(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) != self._batch:
            check_rows(rows, self._features, self._batch)
            padded = np.zeros((self._batch, self._features), dtype=np.float32)
            padded[: len(rows)] = rows
            return self.score(padded)[: len(rows)]
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
        } | self._scaler


def _graph(student: Student, batch: int) -> Any:
    """The student as an OpenVINO model for exactly ``batch`` rows."""
    import openvino
    from openvino import opset13 as ops

    folded = student.folded()
    rows = ops.parameter([batch, student.n_features], np.float32, name="rows")
    current = rows
    if folded.fill is not None:
        absent = ops.equal(rows, ops.constant(np.array(MISSING)))
        current = ops.select(absent, ops.constant(folded.fill[None, :]), rows)
    last = len(folded.weights) - 1
    for layer, (weight, bias) in enumerate(zip(folded.weights, folded.biases, strict=True)):
        product = ops.matmul(current, ops.constant(np.ascontiguousarray(weight)), False, True)
        current = ops.add(product, ops.constant(bias[None, :]))
        if layer < last:
            current = ops.clamp(current, 0.0, 6.0)
    return openvino.Model([current], [rows], "student")
