"""The native network scorer against the float64 reference, `Student.predict`."""

import ctypes
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilrank import scorer as binding
from distilrank.engines import make_engine
from distilrank.native import LIBRARY
from distilrank.quantise import predict_int8
from distilrank.scorer import LEVELS, Scorer, _of_student, _Options
from distilrank.student import Student

MISSING = np.finfo(np.float32).max
EDGES = [1, 2, 3, 4, 5, 8, 9, 10, 11, 15, 16, 17, 20, 27, 32, 33, 48, 63, 64, 65, 74, 75, 130]
# Of the largest score there can be: a few roundings of 2^-24, or of 2^-9.
MOST = {"fp32": 2e-6, "bf16": 3e-2, "int8": 5e-2}
PRECISIONS = list(MOST)


@pytest.fixture(scope="module")
def library(native_library):
    return native_library


@pytest.fixture(scope="module")
def ways(library, request):
    """Libraries and levels: what this processor has, and AMX's tiles as plain code compute them.

    The latter takes a processor with everything of AMX but the tiles, as AMD's are from Zen 4 on;
    for others it is not built.
    """
    network = random_network(np.random.default_rng(0), [3, 2, 1])

    def levels_of(build):
        found = (Scorer(network, level, "bf16", build).describe()["level"] for level in LEVELS)
        return dict.fromkeys(found)

    real = levels_of(library)
    if "avx512_bf16" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        return [(library, level) for level in real]
    tile_library = request.getfixturevalue("tile_library")
    modelled = [level for level in levels_of(tile_library) if level not in real]
    return [*((library, level) for level in real), *((tile_library, level) for level in modelled)]


def random_network(generator, widths, zeros=0.0, holes=False, fills=False) -> Student:
    """Random weights, that share of them zero; with holes, whole rows and columns of zeros."""
    weights = []
    for inputs, outputs in pairwise(widths):
        weight = generator.normal(size=(outputs, inputs)) / np.sqrt(inputs)
        weight[generator.random(weight.shape) < zeros] = 0
        if holes:
            weight[generator.random(outputs) < 0.3] = 0
            weight[:, generator.random(inputs) < 0.3] = 0
        weights.append(weight.astype(np.float32))
    biases = [generator.normal(size=outputs).astype(np.float32) for outputs in widths[1:]]
    # Means up to 1e9, some of them thousands of times the scale.
    mean = generator.normal(size=widths[0]) * 10.0 ** generator.integers(-2, 10, size=widths[0])
    scale = 10.0 ** generator.uniform(-2, 2, size=widths[0]) + np.abs(mean) * 1e-4
    fill = mean.astype(np.float32) if fills else None
    return Student(tuple(weights), tuple(biases), mean, scale, fill=fill)


def random_rows(generator, network, count) -> np.ndarray:
    z = generator.normal(size=(count, network.n_features)) * generator.choice([1, 5])
    return (network.mean + network.scale * z).astype(np.float32)


def largest_score(network) -> float:
    return float(6 * np.abs(network.weights[-1]).sum() + np.abs(network.biases[-1][0]))


def check(network, rows, library, level="best", precision="fp32"):
    with Scorer(network, level, precision, library) as scorer:
        found = scorer.score(rows)
    error = np.abs(found - network.predict(rows)).max() / largest_score(network)
    assert error <= MOST[precision], (level, precision, error)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(1, 70), min_size=1, max_size=5),
    zeros=st.sampled_from([0.0, 0.5, 0.75, 0.9, 0.98, 1.0]),
    holes=st.booleans(),
    count=st.sampled_from(EDGES),
    apart=st.integers(0, 5),
    fills=st.booleans(),
    precision=st.sampled_from(PRECISIONS),
)
def test_random_networks(ways, seed, widths, zeros, holes, count, apart, fills, precision):
    generator = np.random.default_rng(seed)
    network = random_network(generator, [*widths, 1], zeros, holes, fills)
    # Between the rows stands NaN: whatever reads it is found out.
    wide = np.full((count, widths[0] + apart), np.nan, np.float32)
    rows = wide[:, : widths[0]]
    rows[:] = random_rows(generator, network, count)
    if fills:
        rows[generator.random(rows.shape) < 0.2] = MISSING
    for library, level in ways:
        check(network, rows, library, level, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("count", EDGES)
def test_every_document_of_every_batch(ways, count, precision):
    """A paper's network: no document depends on its neighbours, nor is one left out."""
    generator = np.random.default_rng(count)
    network = random_network(generator, [136, 200, 100, 100, 50, 1])
    sparse = network.weights[0] * (generator.random(network.weights[0].shape) < 0.03)
    network = replace(network, weights=(sparse.astype(np.float32), *network.weights[1:]))
    rows = random_rows(generator, network, count)
    for library, level in ways:
        check(network, rows, library, level, precision)


@pytest.mark.parametrize("count", [1, 7, 64])
def test_extreme_features(ways, count):
    """No value of a feature does more harm than its weight's share of the sum."""
    extremes = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 1e9, -1e9, 1e20, -1e20]
    generator = np.random.default_rng(1)
    network = random_network(generator, [9, 30, 20, 1])
    rows = generator.choice(np.float32(extremes), size=(count, 9))
    expected = network.predict(rows)
    z = np.abs((rows - network.mean) / network.scale).max()
    for library, level in ways:
        error = np.abs(Scorer(network, level, library=library).score(rows) - expected).max()
        assert error <= 1e-6 * z * largest_score(network)


def test_a_constant_feature_of_large_value_does_not_cancel(ways):
    """Its scale is 1: folding the mean into the bias would lose 1e9 * 2^-24 = 60."""
    generator = np.random.default_rng(2)
    network = random_network(generator, [4, 20, 1])
    network = replace(network, mean=np.array([1e9 + 7, 5, 5, 5]), scale=np.ones(4))
    rows = generator.normal(5, 1, size=(70, 4)).astype(np.float32)
    rows[:, 0] = 1e9
    for library, level in ways:
        check(network, rows, library, level)


def test_the_largest_float_is_a_value_without_imputation(library):
    network = random_network(np.random.default_rng(3), [5, 8, 1])
    rows = random_rows(np.random.default_rng(3), network, 20)
    full = rows.copy()
    full[:, 2] = MISSING
    imputing = replace(network, fill=network.mean.astype(np.float32))
    check(imputing, full, library)
    assert not np.allclose(
        Scorer(network, library=library).score(full), Scorer(imputing, library=library).score(full)
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_nan_stays_nan(ways, count, precision):
    """And harms no other document."""
    network = random_network(np.random.default_rng(4), [20, 40, 30, 1])
    rows = random_rows(np.random.default_rng(4), network, count)
    rows[0, 3] = np.nan
    for library, level in ways:
        found = Scorer(network, level, precision, library).score(rows)
        assert np.isnan(found[0])
        assert np.isfinite(found[1:]).all()


@pytest.mark.parametrize("count", [1, 5, 40])
def test_nan_among_whole_numbers_is_no_crash(ways, count):
    """There is no NaN of 8 bits: the neurons that read it give 0. No other document suffers."""
    network = random_network(np.random.default_rng(4), [20, 40, 30, 1])
    rows = random_rows(np.random.default_rng(4), network, count)
    rows[0, 3] = np.nan
    for library, level in ways:
        found = Scorer(network, level, "int8", library).score(rows)
        assert np.isfinite(found).all()
        rest = Scorer(network, level, "int8", library).score(np.nan_to_num(rows))[1:]
        np.testing.assert_allclose(found[1:], rest, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(1, 70), min_size=1, max_size=4),
    zeros=st.sampled_from([0.0, 0.5, 0.9, 0.98]),
    holes=st.booleans(),
    count=st.sampled_from([1, 2, 5, 16, 40, 64]),
)
def test_int8_is_the_scheme(ways, seed, widths, zeros, holes, count):
    """Whole numbers leave nothing to rounding but a code at an edge, which few documents meet."""
    generator = np.random.default_rng(seed)
    network = random_network(generator, [*widths, 1], zeros, holes)
    rows = random_rows(generator, network, count)
    expected = predict_int8(network, rows)
    for library, level in ways:
        found = Scorer(network, level, "int8", library).score(rows)
        errors = np.abs(found - expected) / largest_score(network)
        assert np.median(errors) < 1e-6
        assert errors.max() < 6 / 255  # one code of one neuron that all of the score hangs on


def test_bf16_levels_agree(ways):
    """The emulation rounds as the processor's own instruction does, but for sums' order."""
    network = random_network(np.random.default_rng(5), [136, 100, 50, 1])
    rows = random_rows(np.random.default_rng(5), network, 100)
    found = [Scorer(network, level, "bf16", library).score(rows) for library, level in ways]
    for other in found[1:]:
        assert np.abs(other - found[0]).max() < 3e-3 * found[0].std()


def test_neurons_that_do_not_count_are_left_out(library):
    first = np.array([[1, 0], [0, 0], [2, 1], [0, 3]], np.float32)
    second = np.array([[1, 5, 0, 1], [1, 1, 0, 2], [3, 0, 0, 1]], np.float32)
    network = Student(
        (first, second, np.array([[1, 2, 3]], np.float32)),
        (np.array([0, 9, 0, 0], np.float32), np.zeros(3, np.float32), np.zeros(1, np.float32)),
        np.zeros(2), np.ones(2),
    )  # fmt: skip
    check(network, np.array([[1, 1], [2, 0.5], [0, 0]], np.float32), library)
    shapes = [
        (layer["inputs"], layer["outputs"])
        for layer in Scorer(network, library=library).describe()["layers"]
    ]
    assert shapes == [(2, 2), (2, 3), (3, 1)]


def test_description(library):
    network = random_network(np.random.default_rng(6), [40, 30, 20, 1])
    sparse = np.full((30, 40), -0.0, np.float32)  # what a mask leaves of a negative weight
    sparse[np.arange(30), np.arange(30)] = 1
    network = replace(network, weights=(sparse, *network.weights[1:]))
    found = Scorer(network, "portable", library=library).describe()
    assert {key: found[key] for key in ("kind", "level", "precision")} == {
        "kind": "network", "level": "portable", "precision": "fp32",
    }  # fmt: skip
    assert found["layers"] == [
        {"inputs": 40, "outputs": 30, "sparse": True, "non_zeros": 30},
        {"inputs": 30, "outputs": 20, "sparse": False},
        {"inputs": 20, "outputs": 1, "sparse": False},
    ]
    assert found["block"] > 0


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("count", [1, 9, 200])
def test_steps_are_told_apart(library, precision, count):
    """Every step takes some time, and scores stay what they are."""
    network = random_network(np.random.default_rng(6), [136, 300, 30, 1])
    rows = random_rows(np.random.default_rng(6), network, count)
    with Scorer(network, precision=precision, library=library) as scorer:
        expected = scorer.score(rows).copy()
        seconds = sum(scorer.profile(rows) for _ in range(20))
        assert seconds.shape == (4,)
        assert (seconds > 0).all()
        assert seconds[1] > seconds[3]  # 136 x 300 weights against 30
        assert scorer.score(rows).tobytes() == expected.tobytes()
        with pytest.raises(ValueError, match="136"):
            scorer.profile(rows[:, :9])


def test_clones_score_at_once(library):
    network = random_network(np.random.default_rng(7), [50, 60, 30, 1])
    rows = random_rows(np.random.default_rng(7), network, 500)
    scorer = Scorer(network, library=library)
    expected = scorer.score(rows)
    twins = [scorer.clone() for _ in range(4)]
    scorer.close()  # The model lives on with its clones.
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda twin: [twin.score(rows) for _ in range(20)], twins))
    for scores in (each for part in found for each in part):
        assert scores.tobytes() == expected.tobytes()


def test_no_document(library):
    scorer = Scorer(random_network(np.random.default_rng(8), [5, 3, 1]), library=library)
    assert scorer.score(np.empty((1, 5), np.float32)[:0]).shape == (0,)


# ---- What the C side refuses ----


def created(library, change) -> str:
    """What creating says of a network whose C structure ``change`` has spoiled; "" where it is
    taken."""
    network = random_network(np.random.default_rng(9), [4, 3, 1])
    structure, kept = _of_student(network)
    change(structure, kept)
    native, error = binding._native(library), ctypes.create_string_buffer(500)
    handle = native.distilrank_scorer_network(
        ctypes.byref(structure), ctypes.byref(_Options(0, 0)), error, len(error)
    )
    if handle:
        native.distilrank_scorer_destroy(handle)
        return ""
    return error.value.decode()


def nothing(name):
    return lambda structure, kept: setattr(structure, name, None)


def entry(array, index, value):
    """Set one number of the arrays (widths, weights, biases, mean, scale) that C is given."""

    def change(structure, kept):
        arrays, weights, biases = kept
        parts = {"weight": weights, "bias": biases}
        target = parts[array[0]][array[1]] if array[0] in parts else arrays[array[1]]
        target.flat[index] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        *((nothing(name), "the pointer is NULL")
          for name in ("widths", "weights", "biases", "mean", "scale")),
        (entry(("array", 1), 0, 0), "layer 1 has no weights or no biases: the pointer is NULL"),
        (entry(("array", 2), 1, 0), "layer 2 has no weights or no biases: the pointer is NULL"),
        (lambda s, kept: setattr(s, "n_layers", 0), "1 to 1024 layers, not 0"),
        (lambda s, kept: setattr(s, "n_layers", -1), "1 to 1024 layers, not -1"),
        (lambda s, kept: setattr(s, "n_layers", 2**62), "layers, not 4611686018427387904"),
        (entry(("array", 0), 0, 0), "the network has 0 features"),
        (entry(("array", 0), 1, -5), "layer 1 has -5 outputs"),
        (entry(("array", 0), 0, 2**62), "has 4611686018427387904 features"),
        (entry(("array", 0), slice(0, 2), 2**20), "layer 1 has more than"),
        (entry(("array", 0), 2, 2), "the last layer has 2 outputs; a score is one"),
        (entry(("weight", 0), 5, np.nan), "layer 1 has a weight that is NaN or infinite"),
        (entry(("weight", 1), 0, -np.inf), "layer 2 has a weight that is NaN or infinite"),
        (entry(("bias", 1), 0, np.nan), "layer 2 has a bias that is NaN or infinite"),
        (entry(("array", 3), 1, np.inf), "the mean of feature 2 is NaN, infinite"),
        (entry(("array", 3), 1, 1e300), "the mean of feature 2 is NaN, infinite or beyond"),
        (entry(("array", 4), 2, 0), "the scale of feature 3 is not a positive number"),
        (entry(("array", 4), 3, -1), "the scale of feature 4 is not a positive number"),
        (entry(("array", 4), 3, np.nan), "the scale of feature 4 is not a positive number"),
        (entry(("array", 4), 0, 1e-300), "by the scale of feature 1 is beyond the largest float"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(library, change, sentence):
    assert created(library, lambda *_: None) == ""
    assert sentence in created(library, change)


# ---- The engines ----


@pytest.mark.parametrize("name", ["native-fp32", "native-bf16"])
def test_engines(name, library, tmp_path, monkeypatch):
    network = random_network(np.random.default_rng(10), [136, 50, 20, 1])
    engine = make_engine(name)
    monkeypatch.chdir(tmp_path)
    assert "snakemake native" in engine.supports(network)
    place = Path("results", "native", LIBRARY)
    place.parent.mkdir(parents=True)
    place.symlink_to(library)
    assert engine.supports(network) is None
    engine.load(network, 40)
    rows = random_rows(np.random.default_rng(10), network, 40)
    most = MOST[engine.precision] * largest_score(network)
    np.testing.assert_allclose(engine.score(rows), network.predict(rows), atol=most, rtol=0)
    np.testing.assert_allclose(
        engine.score(rows[5:8]), network.predict(rows[5:8]), atol=most, rtol=0
    )
    assert engine.describe()["precision"] == engine.precision
    assert json.dumps(engine.describe())
    with pytest.raises(ValueError, match="136"):
        engine.score(rows[:3, :100])
    with pytest.raises(ValueError, match="on one thread, 2 asked for"):
        engine.load(network, 40, threads=2)
