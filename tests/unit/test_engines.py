"""Every engine against its reference, on random and on extreme rows (siboehm/lleaves, tests/)."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import random_forest, random_student

from distilrank.engines import (
    DENSE_KERNELS,
    SPARSE_KERNELS,
    engine_names,
    engines_for,
    load_model,
    make_engine,
)
from distilrank.engines.base import TOLERANCES, check_rows
from distilrank.engines.csr import csr_parts
from distilrank.engines.dense import Fetch, Transpose
from distilrank.engines.libxsmm import _CODE_LIMIT, LibxsmmCsr, _row_blocks
from distilrank.engines.ydf_forest import smallest_float32_above
from distilrank.forest import Forest, Tree
from distilrank.letor import MISSING
from distilrank.parity import network_reference
from distilrank.student import Student

FORESTS = [name for name in engine_names() if make_engine(name).kind == "forest"]
NETWORKS = [name for name in engine_names() if make_engine(name).kind == "network"]
KERNELS = {**DENSE_KERNELS, **SPARSE_KERNELS}
BATCHES = [1, 7, 16, 33]
FEATURES = 8
MANY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
EXTREMES = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 6.0, -3.0, 1e9, -1e9]


def pruned(student: Student, share: float) -> Student:
    """The student with the smallest weights of its first layer set to zero."""
    first = student.weights[0].copy()
    first[np.abs(first) <= np.quantile(np.abs(first), share)] = 0
    return Student(
        (first, *student.weights[1:]), student.biases, student.mean, student.scale, student.meta
    )


def ready(name, model, batch):
    """The engine, loaded; skips the test where this machine lacks its library."""
    engine = make_engine(name)
    reason = engine.supports(model)
    if reason:
        pytest.skip(reason)
    engine.load(model, batch)
    return engine


def score(engine, rows, batch):
    """All rows' scores, the last call being a partial one."""
    parts = [engine.score(rows[at : at + batch]).copy() for at in range(0, len(rows), batch)]
    return np.concatenate(parts)


def scores_of(network, engine):
    """What the engine's reference makes of rows."""
    return network_reference(network, engine.precision)[1]


@pytest.fixture(scope="module")
def network():
    return pruned(random_student(np.random.default_rng(3), (FEATURES, 40, 17, 1)), 0.7)


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(4)
    return (generator.normal(size=(50, FEATURES)) * 50).astype(np.float32)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", NETWORKS)
def test_network_engines_agree_with_their_reference(name, batch, network, rows):
    engine = ready(name, network, batch)
    expected = scores_of(network, engine)(rows)
    error = np.abs(score(engine, rows, batch) - expected).max() / expected.std()
    # Weights of variance 1 amplify the rounding of what comes in, which a trained network does not.
    assert error < TOLERANCES[engine.precision] * (1 if engine.exact else 2)
    assert engine.describe()


@pytest.fixture(scope="module")
def loaded_networks(network):
    """Each network engine that runs here, loaded once."""
    engines = {name: make_engine(name) for name in NETWORKS}
    able = {name: one for name, one in engines.items() if one.supports(network) is None}
    for engine in able.values():
        engine.load(network, 7)
    return able


@MANY
@given(
    values=st.lists(
        st.one_of(st.sampled_from(EXTREMES), st.floats(-1e6, 1e6, width=32)),
        min_size=7 * FEATURES,
        max_size=7 * FEATURES,
    )
)
def test_network_engines_on_extreme_rows(values, loaded_networks, network):
    rows = np.array(values, dtype=np.float32).reshape(7, FEATURES)
    expected = network.predict(rows)
    # float32 resolves a hidden sum to 1e-7 of its largest summand, and ReLU6 passes at most 6 on.
    summands = np.abs(network.folded().weights[0]).max() * np.abs(rows).max() + 6
    scale = sum(np.abs(weight).sum() for weight in network.weights[1:])
    for name, engine in loaded_networks.items():
        error = np.abs(engine.score(rows) - expected).max()
        rounding = 2e-6 if engine.precision == "fp32" else 2**-8
        assert error <= rounding * FEATURES * summands * scale, name


def test_a_second_call_does_not_remember_the_first(loaded_networks, network, rows):
    for name, engine in loaded_networks.items():
        engine.score(rows[:7])
        other = engine.score(rows[7:14]).copy()
        expected = scores_of(network, engine)(rows[7:14])
        most = TOLERANCES[engine.precision] * expected.std()
        np.testing.assert_allclose(other, expected, rtol=1e-3, atol=most, err_msg=name)


@pytest.fixture(scope="module")
def filling(network):
    return replace(network, fill=network.mean.astype(np.float32))


@pytest.fixture(scope="module")
def holey_rows(rows):
    absent = np.random.default_rng(5).random(rows.shape) < 0.3
    return np.where(absent, MISSING, rows)


@pytest.mark.parametrize("batch", [1, 7, 16])
@pytest.mark.parametrize("name", NETWORKS)
def test_network_engines_fill_in_missing_values(name, batch, filling, holey_rows):
    engine = ready(name, filling, batch)
    given = holey_rows.copy()
    expected = scores_of(filling, engine)(given)
    error = np.abs(score(engine, given, batch) - expected).max() / expected.std()
    # So small a network's roundings do not average out.
    assert error < (1 if engine.precision == "fp32" else 2) * TOLERANCES[engine.precision]
    assert "mean" in engine.describe()["missing"]
    assert np.array_equal(given, holey_rows), "the caller's rows stay"


@pytest.mark.parametrize("name", NETWORKS)
def test_engines_of_a_network_without_a_fill_say_nothing_of_it(name, network):
    assert "missing" not in ready(name, network, 4).describe()


@pytest.mark.parametrize("name", FORESTS)
def test_forest_engines_take_missing_values_for_large_numbers(name, fold, holey_rows):
    forest = load_model(fold.model)
    engine = ready(name, forest, 16)
    expected = forest.predict(np.where(holey_rows == MISSING, np.finfo(np.float64).max, holey_rows))
    np.testing.assert_allclose(score(engine, holey_rows, 16), expected, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NETWORKS if make_engine(name).sparse])
def test_sparse_engines_refuse_a_dense_first_layer(name):
    student = random_student(np.random.default_rng(0))
    assert make_engine(name).supports(student) == "first layer is dense"


@pytest.mark.parametrize("name", NETWORKS + FORESTS)
def test_engines_refuse_the_other_kind_of_model(name, network):
    engine = make_engine(name)
    other = network if engine.kind == "forest" else random_forest(np.random.default_rng(0), 2, 3, 4)
    assert "only" in engine.supports(other)
    assert name not in engines_for(other, [name])


@pytest.mark.parametrize("batch", [1, 7, 32])
@pytest.mark.parametrize("name", FORESTS)
def test_forest_engines_agree_with_our_reader(name, batch, fold, splits):
    forest = load_model(fold.model)
    rows = splits["test"].features[:75]
    engine = ready(name, forest, batch)
    expected = forest.predict(rows)
    error = np.abs(score(engine, rows, batch) - expected).max() / expected.std()
    assert error < TOLERANCES[engine.precision]


@pytest.fixture(scope="module")
def loaded_forests(fold):
    """The forest, and each of its engines that runs here, loaded once: some compile for long."""
    forest = load_model(fold.model)
    able = [name for name in FORESTS if make_engine(name).supports(forest) is None]
    return forest, {name: ready(name, forest, 7) for name in able}


@MANY
@given(data=st.data())
def test_forest_engines_on_rows_at_the_thresholds(data, loaded_forests):
    forest, engines = loaded_forests
    thresholds = forest.thresholds()
    columns = []
    for column in thresholds:
        near = smallest_float32_above(column) if len(column) else np.zeros(1, np.float32)
        below = np.nextafter(near, np.float32(-np.inf))
        pool = [*near.tolist(), *below.tolist(), *EXTREMES]
        columns.append(data.draw(st.lists(st.sampled_from(pool), min_size=7, max_size=7)))
    rows = np.array(columns, dtype=np.float32).T.copy()
    expected = forest.predict(rows)
    for name, engine in engines.items():
        # Leaf values are float32 in YDF; a wrong split is far coarser than this.
        np.testing.assert_allclose(engine.score(rows), expected, atol=1e-5, err_msg=name)


def test_ydf_really_runs_quickscorer_and_times_itself(fold, splits):
    engine = ready("ydf-quickscorer", load_model(fold.model), 20)
    assert "QuickScorer" in engine.describe()["ydf_engine"]
    assert 0 < engine.self_timed(splits["test"].features[:60]) < 1


def test_ydf_scores_single_leaves_and_64_leaves():
    generator = np.random.default_rng(1)
    stump = Tree(*[np.empty(0, np.int32)] * 4, np.array([0.25]))
    grown = random_forest(generator, 3, 64, FEATURES).trees
    forest = Forest((stump, *grown), FEATURES)
    rows = (generator.integers(-8, 8, (64, FEATURES)) / 4).astype(np.float32)
    engine = ready("ydf-quickscorer", forest, 64)
    np.testing.assert_allclose(engine.score(rows), forest.predict(rows), atol=1e-5)


def test_ydf_says_why_it_takes_no_65_leaves():
    forest = random_forest(np.random.default_rng(1), 1, 65, FEATURES)
    assert "65 leaves" in make_engine("ydf-quickscorer").supports(forest)


@given(threshold=st.floats(allow_nan=False, allow_infinity=False), x=st.floats(width=32))
def test_float32_thresholds_split_as_float64_ones(threshold, x):
    higher = smallest_float32_above(np.array([threshold]))[0]
    assert higher.dtype == np.float32
    assert (np.float32(x) >= higher) == (float(np.float32(x)) > threshold) or np.isinf(x)


def reference_layer(weight, bias, x, relu6):
    product = weight.astype(np.float64) @ x + bias[:, None]
    return np.clip(product, 0, 6) if relu6 else product


MASKS = {
    "random": lambda generator, shape: generator.random(shape) < 0.2,
    "empty rows": lambda generator, shape: np.arange(shape[0])[:, None] % 3 == 0,
    "empty columns": lambda generator, shape: np.arange(shape[1])[None, :] % 4 == 1,
    "nothing": lambda generator, shape: False,
    "everything": lambda generator, shape: True,
}


@pytest.mark.parametrize("relu6", [True, False])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_compute_a_layer(name, mask, relu6):
    kernel_class = KERNELS[name]
    if kernel_class.unavailable():
        pytest.skip(kernel_class.unavailable())
    generator = np.random.default_rng(5)
    shape = (45, 30)
    weight = generator.normal(size=shape).astype(np.float32)
    weight *= np.broadcast_to(MASKS[mask](generator, shape), shape)
    bias = generator.normal(size=45).astype(np.float32)
    for batch in (1, 16, 37):
        kernel = kernel_class()
        kernel.prepare(weight, bias, batch, relu6)
        x = np.zeros((30, kernel.padded(batch)), dtype=np.float32)
        x[:, :batch] = generator.normal(size=(30, batch))
        for _ in range(2):
            y = kernel.apply(x)
            assert y.shape == (45, batch)
            expected = reference_layer(weight, bias, x[:, :batch], relu6)
            np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize(("kernel", "order"), [(Fetch, "F"), (Transpose, "C")])
def test_steps_before_the_first_layer_copy_the_rows(kernel, order):
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    step = kernel()
    step.prepare(np.zeros((2, 3), np.float32), np.zeros(2, np.float32), 4)
    copied = step.apply(rows.T)
    np.testing.assert_array_equal(copied, rows.T)
    assert copied.flags[f"{order}_CONTIGUOUS"]


def test_csr_parts_are_the_matrix():
    weight = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], dtype=np.float32)
    pointers, columns, values = csr_parts(weight)
    assert pointers.tolist() == [0, 1, 1, 3]
    assert columns.tolist() == [1, 0, 2]
    assert values.tolist() == [2, 1, 3]


def test_libxsmm_blocks_cover_all_rows_and_fit_its_code_buffer():
    weight = np.ones((200, 136), dtype=np.float32)
    blocks = _row_blocks(weight, 8)
    assert [row for first, last in blocks for row in range(first, last)] == list(range(200))
    assert max(last - first for first, last in blocks) * 8 * 136 * 14 <= _CODE_LIMIT
    with pytest.raises(ValueError, match="row 0 has too many non-zeros"):
        _row_blocks(np.ones((2, 20_000), dtype=np.float32), 8)


@pytest.mark.skipif(LibxsmmCsr.unavailable() is not None, reason="LIBXSMM is not installed")
def test_libxsmm_compiles_large_layers_in_several_kernels():
    generator = np.random.default_rng(6)
    weight = generator.normal(size=(400, 136)).astype(np.float32)
    weight[generator.random(weight.shape) < 0.6] = 0
    kernel = LibxsmmCsr()
    bias = np.zeros(400, np.float32)
    kernel.prepare(weight, bias, 1000)
    x = generator.random((136, 1008), dtype=np.float32)
    expected = reference_layer(weight, bias, x[:, :1000], True)
    np.testing.assert_allclose(kernel.apply(x), expected, atol=1e-4)


def test_unknown_engine_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no engine 'onxruntime'.*onnxruntime"):
        make_engine("onxruntime")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (np.zeros((2, 3), np.float64), "float32"),
        (np.zeros((3, 2), np.float32).T, "row-major"),
        (np.zeros((5, 3), np.float32), "5 rows given"),
        (np.zeros((2, 4), np.float32), "expected"),
    ],
)
def test_rows_of_the_wrong_form_are_refused(rows, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_rows(rows, 3, 4)


def test_models_are_told_apart_by_content(tmp_path, fold):
    student = random_student(np.random.default_rng(0))
    student.save(tmp_path / "model.txt")  # a misleading name
    assert load_model(tmp_path / "model.txt").architecture == student.architecture
    assert isinstance(load_model(fold.model), Forest)


def test_importing_the_engines_imports_no_scoring_library():
    heavy = ["torch", "openvino", "onnxruntime", "onnx", "lightgbm", "ydf", "scipy"]
    heavy += ["lleaves", "llvmlite", "treelite", "tl2cgen"]
    code = (
        "import sys, distilrank.engines, distilrank.worker; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
