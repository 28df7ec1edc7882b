"""The native gradient against back-propagation in float64 that rounds where it does."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distilrank.feed import Batch
from distilrank.gradient import NativeGradient, TorchGradient, gradient_of
from distilrank.letor import MISSING
from distilrank.net import Net
from distilrank.pruning import masks_for
from distilrank.student import Student

FLAGS = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
pytestmark = pytest.mark.skipif("avx512vl" not in FLAGS, reason="this processor has no AVX-512")
needs_bf16 = pytest.mark.skipif("avx512_bf16" not in FLAGS, reason="nor AVX512_BF16")
# Of enum distilrank_level.
PORTABLE, AVX512, AMX = 1, 3, 4
# Of the terms' sizes: sums are float32, and for that here and there a value is rounded the other
# way. One wrong weight of the largest layer below, 200 x 400, would be 3.5e-3 of all.
MOST = {"fp32": 1e-5, "bf16": 1e-3}
WAYS = ["fp32", *(pytest.param(way, marks=needs_bf16) for way in ("bf16", "amx"))]


@pytest.fixture(scope="module")
def make(native_library, request):
    """Makes gradients in fp32, in bf16 by AVX512_BF16, or by AMX, if need be by plain code."""

    def made(way: str, net: Net, threads: int = 1) -> NativeGradient:
        if way == "amx":
            real = "amx_bf16" in FLAGS
            library = native_library if real else request.getfixturevalue("tile_library")
            return NativeGradient(net, "bf16", threads, library, AMX)
        return NativeGradient(net, way, threads, native_library, AVX512)

    return made


def student_of(widths, seed=0) -> Student:
    generator = np.random.default_rng(seed)
    weights, biases = [], []
    for inputs, outputs in pairwise(widths):
        weight = generator.normal(size=(outputs, inputs)) * 1.5 / np.sqrt(inputs)
        weights.append(weight.astype(np.float32))
        biases.append(generator.normal(size=outputs).astype(np.float32))
    features = widths[0]
    return Student(tuple(weights), tuple(biases), np.zeros(features), np.ones(features), {})


def net_of(widths, seed=0) -> Net:
    return Net(student_of(widths, seed), 0.0, [None] * (len(widths) - 1))


def batch_of(documents, features, seed=1) -> Batch:
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(documents, features)).astype(np.float32)
    return Batch(rows, generator.normal(size=documents).astype(np.float32))


def bf16(values: np.ndarray) -> np.ndarray:
    return torch.tensor(values, dtype=torch.float32).bfloat16().double().numpy()


def reference(student: Student, batch: Batch, way: str):
    """Loss, weights' and biases' gradients, and for each the sum of its terms' sizes."""
    rounded = np.asarray if way == "fp32" else bf16
    units = [rounded(batch.rows.astype(np.float64))]
    hidden = list(zip(student.weights, student.biases, strict=True))[:-1]
    for weight, bias in hidden:
        units.append(rounded(np.clip(units[-1] @ rounded(weight).T + bias, 0, 6)))
    error = units[-1] @ student.weights[-1][0].astype(np.float64) + student.biases[-1][0]
    error -= batch.targets
    slope = (2 / len(error) * error)[:, None]
    weights, biases, sizes = [slope.T @ units[-1]], [slope.sum(axis=0)], []
    sizes.append((np.abs(slope.T) @ units[-1], np.abs(slope).sum(axis=0)))
    for layer in range(len(hidden) - 1, -1, -1):
        above = student.weights[layer + 1]
        back = slope @ (above if layer == len(hidden) - 1 else rounded(above))
        inside = (units[layer + 1] > 0) & (units[layer + 1] < 6)
        whole = np.where(inside, back, 0)
        slope = rounded(whole)
        weights.append(slope.T @ units[layer])
        biases.append(whole.sum(axis=0))
        sizes.append((np.abs(slope.T) @ np.abs(units[layer]), np.abs(whole).sum(axis=0)))
    return float(np.mean(error**2)), weights[::-1], biases[::-1], sizes[::-1]


def check(way: str, gradient: NativeGradient, net: Net, batch: Batch) -> None:
    loss, weights, biases, sizes = reference(net.student(), batch, way)
    most = MOST["fp32" if way == "fp32" else "bf16"]
    assert float(gradient(batch)) == pytest.approx(loss, rel=most)
    for layer, weight, bias, (weight_size, bias_size) in zip(
        net.layers, weights, biases, sizes, strict=True
    ):
        assert distance(layer.weight.grad, weight) <= most * np.linalg.norm(weight_size) + 1e-9
        assert distance(layer.bias.grad, bias) <= most * np.linalg.norm(bias_size) + 1e-9


def distance(found: torch.Tensor, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found.double().numpy() - expected))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("widths", "documents"),
    [
        ((136, 400, 200, 200, 100, 1), 500), ((5, 3, 1), 7), ((33, 17, 9, 1), 193), ((1, 1, 1), 1),
        ((32, 32, 64, 1), 384), ((700, 41, 1), 50), ((136, 50, 25, 25, 10, 1), 1000),
    ],
)  # fmt: skip
def test_gradients_are_those_of_the_definition(make, way, widths, documents):
    net = net_of(widths)
    gradient = make(way, net)
    assert gradient.name.startswith("fp32" if way == "fp32" else "bf16")
    assert ("amx" in gradient.name) == (way == "amx")
    for seed in (1, 2):  # buffers are used again
        check(way, gradient, net, batch_of(documents, widths[0], seed))
    gradient.close()


@pytest.mark.parametrize("way", WAYS)
@given(
    widths=st.lists(st.integers(1, 70), min_size=2, max_size=4),
    documents=st.integers(1, 450),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=40)
def test_any_shape_and_number_of_threads(make, way, widths, documents, threads, seed):
    net = net_of([*widths, 1], seed)
    gradient = make(way, net, threads)
    check(way, gradient, net, batch_of(documents, widths[0], seed))
    gradient.close()


@needs_bf16
def test_it_is_pytorchs_gradient_in_bf16(make):
    """As far from the exact one as PyTorch's own, whose products are in bf16 too."""
    net, batch = net_of((40, 60, 30, 1)), batch_of(600, 40)
    found = {}
    exact = TorchGradient(net.double(), bf16=False)
    for name, chosen in (
        ("exact", lambda: exact),
        ("pytorch", lambda: TorchGradient(net.float(), bf16=True)),
        ("native", lambda: make("bf16", net.float(), 2)),
    ):
        gradient = chosen()
        net.zero_grad(set_to_none=True)
        rows = batch.rows.astype(np.float64) if name == "exact" else batch.rows
        gradient(replace(batch, rows=rows))
        found[name] = np.concatenate([p.grad.double().flatten() for p in net.parameters()])
    errors = {name: np.linalg.norm(found[name] - found["exact"]) for name in found}
    assert errors["native"] < 1.5 * errors["pytorch"]
    assert errors["pytorch"] < 0.1 * np.linalg.norm(found["exact"])


@pytest.mark.parametrize("way", WAYS)
def test_the_same_threads_give_the_same_bytes(make, way):
    batch = batch_of(777, 20)
    found = []
    for threads in (2, 2, 1):
        net = net_of((20, 30, 1))
        make(way, net, threads)(batch)
        found.append(np.concatenate([p.grad.flatten() for p in net.parameters()]))
    assert found[0].tobytes() == found[1].tobytes()
    np.testing.assert_allclose(found[0], found[2], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_number_reaches_the_loss(make, way):
    net, batch = net_of((20, 30, 1)), batch_of(100, 20)
    batch.rows[17, 3] = np.nan
    gradient = make(way, net, 2)
    assert np.isnan(float(gradient(batch)))
    check(way, gradient, net, batch_of(100, 20))


@pytest.mark.parametrize(
    ("precision", "dropout", "bf16", "plain", "expected"),
    [
        ("fp32", 0.0, False, True, NativeGradient), ("int8", 0.0, False, True, TorchGradient),
        ("fp32", 0.5, False, False, TorchGradient), ("fp32", 0.0, True, False, TorchGradient),
        pytest.param("fp32", 0.0, True, True, NativeGradient, marks=needs_bf16),
    ],
)  # fmt: skip
def test_it_is_taken_where_it_computes_what_is_asked_for(
    native_library, precision, dropout, bf16, plain, expected
):
    student = student_of((8, 6, 1))
    net = Net(student, dropout, masks_for(student, [1], 0.5), precision)
    with gradient_of(net, bf16, plain, native_library) as gradient:
        assert type(gradient) is expected
        assert ("native" in gradient.name) == (expected is NativeGradient)
        assert gradient.name.startswith("bf16" if bf16 else "fp32")
        assert np.isfinite(float(gradient(batch_of(30, 8))))


def test_pytorchs_threads_are_given_back(native_library):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with (
            pytest.raises(ValueError, match="out of luck"),
            gradient_of(net_of((8, 6, 1)), False, True, native_library),
        ):
            assert torch.get_num_threads() == 1
            raise ValueError("out of luck")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_processor_that_cannot_is_named(native_library, precision):
    assert NativeGradient.instructions(precision, native_library, PORTABLE) == ""
    with pytest.raises(ValueError, match=f"no instructions for gradients in {precision}"):
        NativeGradient(net_of((3, 2, 1)), precision, 1, native_library, PORTABLE)


@pytest.mark.parametrize("widths", [(3, 1), (3, 2, 2), (3, 0, 1), (1 << 25, 2, 1)])
def test_the_library_refuses_what_is_no_network(native_library, widths):
    from distilrank.gradient import _library

    sizes = np.array(widths, np.int64)
    assert not _library(native_library).distilrank_gradient_create(
        sizes.ctypes.data, len(sizes) - 1, 0, AVX512
    )


@pytest.mark.parametrize("fills", [False, True])
@pytest.mark.parametrize("documents", [1, 5, 191, 193, 9000])
def test_scores_are_those_of_the_network_in_fp32(make, documents, fills):
    generator = np.random.default_rng(documents)
    student = replace(
        student_of((21, 33, 17, 1)),
        mean=generator.normal(size=21), scale=generator.uniform(0.5, 2, 21),
        fill=generator.normal(size=21).astype(np.float32) if fills else None,
    )  # fmt: skip
    net = Net(student, 0.0, [None] * 3)
    rows = generator.normal(size=(documents, 21)).astype(np.float32)
    if fills:
        rows[generator.random(rows.shape) < 0.1] = MISSING
    expected = student.predict(rows)
    found = [TorchGradient(net, bf16=True).scores(rows)]
    found += [make("fp32", net, threads).scores(rows) for threads in (1, 3)]
    for scores in found:
        assert (scores.dtype, scores.shape) == (np.float32, (documents,))
        np.testing.assert_allclose(scores, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rare", [0, 1, 2])
def test_silent_units_are_left_out_and_no_others(make, way, rare):
    """Half of each hidden layer is 0 for all documents; some are not for one late document."""
    student = student_of((30, 90, 75, 40, 1))
    generator = np.random.default_rng(rare)
    for bias in student.biases[:-1]:
        bias[generator.permutation(len(bias))[: len(bias) // 2]] -= 40
    net, batch = Net(student, 0.0, [None] * 4), batch_of(1500, 30)
    batch.rows[len(batch.rows) - rare :] *= 30
    first = batch.rows @ student.weights[0].T + student.biases[0]
    silent = (first <= 0).all(axis=0).mean()
    assert silent >= 0.45 if rare == 0 else 0.2 < silent < 0.45
    for threads in (1, 2):
        check(way, make(way, net, threads), net, batch)
    scores = make(way, net).scores(batch.rows)
    np.testing.assert_allclose(scores, student.predict(batch.rows), rtol=0, atol=1e-3)
