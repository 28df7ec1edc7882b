"""Networks in ONNX Runtime, the graph made in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from distilrank.engines.base import Engine, Model, check_rows, missing, scaler_described
from distilrank.letor import MISSING
from distilrank.student import Student

_OPSET = 17
_IR_VERSION = 9  # readable by every ONNX Runtime of the last years


class OnnxRuntimeEngine(Engine):
    """A chain of ``Gemm`` and ``Clip`` nodes on the CPU provider; pruned layers run as dense."""

    name = "onnxruntime"
    kind = "network"
    precision = "fp32"

    def supports(self, model: Model) -> str | None:
        if not isinstance(model, Student):
            return "it scores networks only"
        return missing("onnx", "onnxruntime")

    def load(self, model: Model, batch: int, threads: int = 1) -> None:
        import onnxruntime

        if not isinstance(model, Student):
            raise ValueError("onnxruntime scores networks only")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            onnx_bytes(model), options, providers=["CPUExecutionProvider"]
        )
        self._features, self._batch = model.n_features, batch
        self._version, self._scaler = onnxruntime.__version__, scaler_described(model)

    def score(self, rows: np.ndarray) -> np.ndarray:
        if len(rows) != self._batch:
            check_rows(rows, self._features, self._batch)
        return self._session.run(None, {"rows": rows})[0][:, 0]

    def describe(self) -> dict[str, Any]:
        return {
            "onnxruntime": self._version,
            "providers": self._session.get_providers(),
        } | self._scaler


def onnx_bytes(student: Student) -> bytes:
    """The student as an ONNX model: ``rows`` (n, features) float32 to ``scores`` (n, 1)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folded = student.folded()
    constants = [
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(np.float32(6), "six"),
    ]
    nodes = []
    last = len(folded.weights) - 1
    current = "rows"
    if folded.fill is not None:
        constants.append(numpy_helper.from_array(np.array(MISSING), "missing"))
        constants.append(numpy_helper.from_array(folded.fill, "fill"))
        nodes.append(helper.make_node("Equal", ["rows", "missing"], ["absent"]))
        current = "filled"
        nodes.append(helper.make_node("Where", ["absent", "fill", "rows"], [current]))
    for layer, (weight, bias) in enumerate(zip(folded.weights, folded.biases, strict=True)):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(weight), f"weight{layer}"))
        constants.append(numpy_helper.from_array(bias, f"bias{layer}"))
        product = "scores" if layer == last else f"product{layer}"
        inputs = [current, f"weight{layer}", f"bias{layer}"]
        nodes.append(helper.make_node("Gemm", inputs, [product], transB=1))
        if layer < last:
            current = f"hidden{layer}"
            nodes.append(helper.make_node("Clip", [product, "zero", "six"], [current]))
    graph = helper.make_graph(
        nodes,
        "student",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", student.n_features])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR_VERSION
    onnx.checker.check_model(model)
    return model.SerializeToString()
