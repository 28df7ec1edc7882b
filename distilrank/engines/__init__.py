"""Scoring engines by name, and the models they score.

Importing this package imports no scoring library.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from distilrank.engines.base import TOLERANCES, Engine, Kernel, Model, SelfTimedEngine
from distilrank.engines.compiled_forest import LleavesEngine, Tl2cgenEngine
from distilrank.engines.csr import MklCsr, ScipyCsr, TorchCsr
from distilrank.engines.dense import Fetch, NumpyDense, TorchDense, Transpose
from distilrank.engines.layered import LayeredEngine
from distilrank.engines.libxsmm import LibxsmmCsr
from distilrank.engines.lightgbm_forest import LightGbmEngine
from distilrank.engines.native_scorer import (
    NativeBf16Engine,
    NativeForestEngine,
    NativeInt8Engine,
    NativeNetEngine,
)
from distilrank.engines.onednn_net import OneDnnBf16Engine, OneDnnEngine
from distilrank.engines.onnxruntime_net import OnnxRuntimeEngine
from distilrank.engines.openvino_net import OpenVinoBf16Engine, OpenVinoEngine
from distilrank.engines.ydf_forest import YdfQuickScorerEngine
from distilrank.forest import Forest
from distilrank.lightgbm_text import read_lightgbm_text
from distilrank.student import Student

__all__ = [
    "DENSE_KERNELS", "SPARSE_KERNELS", "TOLERANCES", "Engine", "Fetch", "Kernel", "Model",
    "SelfTimedEngine", "Transpose", "check_reference", "engine_names", "engines_for", "load_model",
    "make_engine", "model_kind",
]  # fmt: skip

_WHOLE: dict[str, Callable[[], Engine]] = {
    engine.name: engine
    for engine in (
        LightGbmEngine,
        YdfQuickScorerEngine,
        LleavesEngine,
        Tl2cgenEngine,
        NativeForestEngine,
        NativeNetEngine,
        NativeBf16Engine,
        NativeInt8Engine,
        OnnxRuntimeEngine,
        OneDnnEngine,
        OneDnnBf16Engine,
        OpenVinoEngine,
        OpenVinoBf16Engine,
    )
}
DENSE_KERNELS: dict[str, type[Kernel]] = {
    kernel.name: kernel for kernel in (NumpyDense, TorchDense)
}
SPARSE_KERNELS: dict[str, type[Kernel]] = {
    kernel.name: kernel for kernel in (ScipyCsr, MklCsr, TorchCsr, LibxsmmCsr)
}


def engine_names() -> list[str]:
    """Every name that `make_engine` takes."""
    pairs = [f"{sparse}+{dense}" for sparse in SPARSE_KERNELS for dense in DENSE_KERNELS]
    return [*_WHOLE, *DENSE_KERNELS, *pairs]


def make_engine(name: str) -> Engine:
    """An engine that is not loaded yet; ``ValueError`` lists the names there are."""
    if name in _WHOLE:
        return _WHOLE[name]()
    first, _, rest = name.partition("+")
    if name in DENSE_KERNELS:
        return LayeredEngine(name, DENSE_KERNELS[name], DENSE_KERNELS[name])
    if first in SPARSE_KERNELS and rest in DENSE_KERNELS:
        return LayeredEngine(name, SPARSE_KERNELS[first], DENSE_KERNELS[rest])
    raise ValueError(f"there is no engine {name!r}; write one of {', '.join(engine_names())}")


def check_reference(name: str, forest: str, leaves: int, routes_missing: bool) -> None:
    """Check that the reference engine can score the forest that every timing job measures on it.

    Args:
        name: the engine.
        forest: the forest's name in the config.
        leaves, routes_missing: as `Engine.unsuited` takes them.

    Raises:
        ValueError: one sentence with the config's key, the forest and what to write instead.
    """
    reason = make_engine(name).unsuited(leaves, routes_missing)
    if reason:
        raise ValueError(
            f"config key 'timing.reference_engine' is '{name}', which cannot score the forest "
            f"'{forest}', the first of run.teachers: {reason}; set it to native-forest, which "
            "scores any forest and must be in run.engines"
        )


def engines_for(model: Model, names: list[str]) -> list[str]:
    """Those of ``names`` that are made for this kind of model, able to run here or not."""
    return [name for name in names if make_engine(name).kind == model_kind(model)]


def model_kind(model: Model) -> str:
    """``forest`` or ``network``."""
    return "forest" if isinstance(model, Forest) else "network"


def load_model(path: str | os.PathLike) -> Model:
    """Read a LightGBM model text or a student's safetensors file, told apart by content."""
    with Path(path).open("rb") as file:
        start = file.read(5)
    return read_lightgbm_text(path) if start == b"tree\n" else Student.load(path)
