"""Engines whose libraries are not installed by default: right where they are, clear where not."""

import ctypes
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from tiny import random_forest, random_student

from distilrank.engines import compiled_forest, engine_names, load_model, make_engine, onednn
from distilrank.engines.base import TOLERANCES
from distilrank.engines.bf16 import folded_for_bf16
from distilrank.student import Student

ROOT = Path(__file__).parents[2]
COMPILED = ["lleaves", "tl2cgen"]
BF16 = ["onednn-bf16", "openvino-bf16"]
NETWORKS = ["onednn", *BF16]


def trained(widths: tuple[int, ...] = (136, 200, 100, 100, 50, 1)) -> Student:
    """A network with weights of a trained one's size: its sums neither grow nor vanish."""
    generator = np.random.default_rng(0)
    student = random_student(generator, widths)
    weights = tuple(weight * np.float32((2 / weight.shape[1]) ** 0.5) for weight in student.weights)
    return replace(student, weights=weights, scale=np.abs(student.mean) + 1)


def rows_of(student: Student, count: int) -> np.ndarray:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(count, student.n_features)) * student.scale + student.mean
    return rows.astype(np.float32)


def ready(name, model, batch, threads=1):
    engine = make_engine(name)
    reason = engine.supports(model)
    if reason:
        pytest.skip(reason)
    engine.load(model, batch, threads)
    return engine


def largest_error(engine, model, rows):
    """Against the model's own float64 pass, in standard deviations of its scores."""
    expected = model.predict(rows)
    return np.abs(engine.score(rows) - expected).max() / expected.std()


def tolerance(engine):
    # bf16's bound is for trained networks; random weights lose up to 4e-2 here.
    return TOLERANCES[engine.precision] * (1 if engine.precision == "fp32" else 2)


@pytest.mark.parametrize("name", [*COMPILED, *NETWORKS])
def test_an_optional_engine_has_a_name(name):
    assert name in engine_names()


@pytest.mark.parametrize("batch", [1, 20, 256])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_real_size(name, batch):
    student = trained()
    engine = ready(name, student, batch)
    rows = rows_of(student, 256)
    expected = student.predict(rows)
    parts = [engine.score(rows[at : at + batch]).copy() for at in range(0, 256, batch)]
    error = np.abs(np.concatenate(parts) - expected).max() / expected.std()
    assert error < tolerance(engine)


@pytest.mark.parametrize("name", BF16)
def test_bf16_bears_means_that_are_large_beside_their_scale(name):
    student = trained()
    student = replace(student, mean=student.mean + 1000 * student.scale)
    engine = ready(name, student, 64)
    assert largest_error(engine, student, rows_of(student, 64)) < tolerance(engine)
    assert "mean taken off" in engine.describe()["scaler"]
    filling = replace(student, fill=student.mean.astype(np.float32))
    engine = ready(name, filling, 64)
    rows = rows_of(student, 64)
    rows[np.random.default_rng(2).random(rows.shape) < 0.3] = np.finfo(np.float32).max
    assert largest_error(engine, filling, rows) < tolerance(engine)


@pytest.mark.parametrize("name", BF16)
def test_bf16_folds_means_that_are_not(name):
    student = trained()
    assert "folded into" in ready(name, student, 4).describe()["scaler"]


def test_only_features_that_are_read_decide_what_is_taken_off():
    student = trained((3, 4, 1))
    student = replace(student, mean=np.array([0.0, 1e6, 0.0]), scale=np.ones(3))
    _, mean = folded_for_bf16(student)
    assert mean.tolist() == [0, 1e6, 0]
    first = student.weights[0] * np.array([1, 0, 1], np.float32)
    assert folded_for_bf16(replace(student, weights=(first, *student.weights[1:])))[1] is None
    first = np.zeros_like(first)
    assert folded_for_bf16(replace(student, weights=(first, *student.weights[1:])))[1] is None


def test_what_float32_cannot_hold_of_a_mean_is_kept():
    student = trained((3, 4, 1))
    student = replace(student, mean=np.full(3, 2.0**24 + 1), scale=np.ones(3))
    folded, mean = folded_for_bf16(student)
    rows = (mean + np.arange(6).reshape(2, 3)).astype(np.float32)
    np.testing.assert_allclose(folded.predict(rows - mean), student.predict(rows), rtol=1e-5)


@pytest.mark.parametrize(("name", "kernel"), [("onednn", "avx"), ("onednn-bf16", "bf16")])
def test_onednn_says_what_code_runs(name, kernel):
    described = ready(name, trained(), 16).describe()
    assert described["onednn"].startswith("3.")
    assert described["onednn_runtime"] in ("OpenMP", "sequential")
    assert described["onednn_kernels"]
    if "x86" in os.uname().machine:
        assert any(kernel in each or "jit" in each for each in described["onednn_kernels"])


def test_openvino_says_what_code_runs():
    described = ready("openvino-bf16", trained(), 16).describe()
    assert described["inference_precision"] == "bf16"
    assert all("bf16" in each for each in described["openvino_kernels"])


@pytest.mark.parametrize("name", NETWORKS)
def test_engines_of_one_process_do_not_disturb_each_other(name):
    """Each has memory of its own in the library, freed with it."""
    student, rows = trained((8, 16, 1)), rows_of(trained((8, 16, 1)), 8)
    kept = ready(name, student, 8)
    for _ in range(50):
        other = ready(name, replace(student, mean=student.mean + 1), 8)
        other.score(rows)
        del other
    assert largest_error(kept, student, rows) < tolerance(kept)


def asked(name: str, **environment: str) -> str:
    """What ``supports`` says in a process with these variables."""
    code = (
        "import numpy as np; from tiny import random_student; "
        "from distilrank.engines import make_engine; "
        f"print(make_engine({name!r}).supports(random_student(np.random.default_rng(0))))"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "variable"),
    [("onednn-bf16", "ONEDNN_MAX_CPU_ISA"), ("openvino-bf16", "OV_CPU_MAX_ISA")],
)
def test_bf16_is_refused_without_instructions_for_it(name, variable):
    other = "onednn" if name == "onednn-bf16" else "openvino"
    reason = make_engine(other).supports(trained((8, 4, 1)))
    if reason:
        pytest.skip(reason)
    assert "no bf16 instructions" in asked(name, **{variable: "AVX2"})


def test_onednn_absent_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(onednn, "_in_wheel", list)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    onednn.library.cache_clear()
    reason = make_engine("onednn").supports(trained((8, 4, 1)))
    onednn.library.cache_clear()
    assert reason.startswith("oneDNN is not installed here (pip install onednn-devel-cpu-gomp==")


class _Version:
    """A library whose `dnnl_version` is this."""

    def __init__(self, major: int, runtime: int) -> None:
        version = onednn._Version(major, 6, 0, b"", runtime, 0)

        def dnnl_version():
            return ctypes.pointer(version)

        self.dnnl_version = dnnl_version


@pytest.mark.parametrize(
    ("major", "runtime", "sentence"),
    [(2, 2, "oneDNN 2.6 has another C interface, version 3"), (3, 512, "neither OpenMP")],
)
def test_another_onednn_is_refused_with_a_reason(major, runtime, sentence, monkeypatch):
    monkeypatch.setattr(onednn, "_in_wheel", lambda: ["libdnnl.so"])
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(onednn.ctypes, "CDLL", lambda name: _Version(major, runtime))
    onednn.library.cache_clear()
    reason = make_engine("onednn-bf16").supports(trained((8, 4, 1)))
    onednn.library.cache_clear()
    assert sentence in reason


@pytest.mark.parametrize(("name", "module"), [("lleaves", "lleaves"), ("tl2cgen", "tl2cgen")])
def test_compilers_of_forests_absent_say_so(name, module, fold, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "treelite", sys)
    assert f"{module} is not installed here" in make_engine(name).supports(load_model(fold.model))


@pytest.mark.parametrize("name", COMPILED)
def test_compilers_want_a_model_text(name):
    forest = random_forest(np.random.default_rng(0), 2, 3, 4)
    assert "model text" in make_engine(name).supports(forest)


def test_lleaves_says_which_llvmlite_it_takes(fold, monkeypatch):
    monkeypatch.setattr(compiled_forest, "missing", lambda *modules: None)
    monkeypatch.setattr(compiled_forest, "version", lambda name: "0.45.1")
    reason = make_engine("lleaves").supports(load_model(fold.model))
    assert reason == "lleaves needs llvmlite below 0.45, found 0.45.1"


def test_lleaves_says_what_is_too_large_for_it(fold, monkeypatch):
    monkeypatch.setattr(compiled_forest, "missing", lambda *modules: None)
    monkeypatch.setattr(compiled_forest, "version", lambda name: "0.44.0")
    monkeypatch.setattr(compiled_forest, "_LEAVES_AT_MOST", 10)
    assert "leaves in all; beyond 10" in make_engine("lleaves").supports(load_model(fold.model))


def test_tl2cgen_says_that_a_compiler_is_missing(fold, monkeypatch):
    monkeypatch.setattr(compiled_forest, "missing", lambda *modules: None)
    monkeypatch.setattr(compiled_forest.shutil, "which", lambda name: None)
    assert "no C compiler" in make_engine("tl2cgen").supports(load_model(fold.model))


def test_a_failing_compiler_is_an_error_that_quotes_it(tmp_path):
    (tmp_path / "wrong.c").write_text("int f(void) { return missing_name; }\n")
    with pytest.raises(RuntimeError, match=r"C compiler failed on tl2cgen's code: .*wrong\.c"):
        compiled_forest._linked(str(tmp_path))


def with_holes(path: Path, **parameters) -> tuple[Path, np.ndarray, lightgbm.Booster]:
    """A forest of 60 trees trained with missing values, and rows that have some and zeros."""
    generator = np.random.default_rng(3)
    rows = np.round(generator.normal(size=(2000, 6)), 1)
    labels = rows @ generator.normal(size=6) + 3 * (rows[:, 1] == 0)
    rows[generator.random(rows.shape) < 0.2] = 0 if "zero_as_missing" in parameters else np.nan
    settings = {"num_leaves": 15, "verbose": -1, "num_threads": 1} | parameters
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, labels), 60)
    booster.save_model(path)
    return path, rows[:100].astype(np.float32), booster


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_forests_route_nan_as_lightgbm(name, tmp_path):
    path, rows, booster = with_holes(tmp_path / "model.txt")
    forest = load_model(path)
    assert forest.routes_missing
    engine = ready(name, forest, len(rows))
    expected = booster.predict(rows, raw_score=True)
    np.testing.assert_allclose(engine.score(rows), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_forests_refuse_zero_as_missing(name, tmp_path):
    path, _, _ = with_holes(tmp_path / "model.txt", zero_as_missing=True)
    assert "takes 0 for missing" in make_engine(name).supports(load_model(path))


@pytest.mark.parametrize("name", COMPILED)
def test_one_forest_is_compiled_once_for_all_batches(name, fold, splits, monkeypatch):
    forest = load_model(fold.model)
    small = ready(name, forest, 1)
    monkeypatch.setattr(type(small), "_compiled", None)
    large = ready(name, forest, 50)
    rows = splits["test"].features[:50]
    np.testing.assert_array_equal(large.score(rows)[:1], small.score(rows[:1]))
    np.testing.assert_allclose(large.score(rows), forest.predict(rows), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_forests_score_on_one_thread(name, fold):
    with pytest.raises(ValueError, match="one thread, 2 asked for"):
        make_engine(name).load(load_model(fold.model), 4, threads=2)
