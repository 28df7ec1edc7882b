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
from distilrank.quantise import fake_quantised_activations, fake_quantised_weights
from distilrank.student import Student

FLAGS = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
pytestmark = pytest.mark.skipif("avx512vl" not in FLAGS, reason="this processor has no AVX-512")
needs_bf16 = pytest.mark.skipif("avx512_bf16" not in FLAGS, reason="nor AVX512_BF16")
needs_vnni = pytest.mark.skipif("avx512_vnni" not in FLAGS, reason="nor AVX512_VNNI")
# Of enum distilrank_level.
PORTABLE, AVX512, AMX = 1, 3, 4
# Of the terms' sizes: sums are float32, and for that here and there a value is rounded the other
# way. One wrong weight of the largest layer below, 200 x 400, would be 3.5e-3 of all.
# In int8 a code that differs makes others differ, layer by layer.
MOST = {"fp32": 1e-5, "bf16": 1e-3, "int8": 3e-3}
# int8 has its first layer in bf16 where that is quick, and in the library that models AMX.
WAYS = [
    "fp32", *(pytest.param(way, marks=needs_bf16) for way in ("bf16", "amx")),
    pytest.param("int8", marks=needs_vnni),
    pytest.param("int8 bf16", marks=[needs_vnni, needs_bf16]),
]  # fmt: skip


@pytest.fixture(scope="module")
def make(native_library, request):
    """Makes gradients in fp32, in bf16 by AVX512_BF16, or by AMX, if need be by plain code; in int8
    with the first layer in fp32, or as the library says, or in bf16."""

    def made(way: str, net: Net, threads: int = 1) -> NativeGradient:
        if way == "int8 bf16":
            library = request.getfixturevalue("tile_library")
            return NativeGradient(net, "int8", threads, library, AVX512)
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


def blocks_of(rows: int, threads: int, block: int) -> list[slice]:
    """Documents whose gradients share a unit's step."""
    bounds = np.linspace(0, rows, threads + 1).astype(int).tolist()
    found = []
    for start, stop in pairwise(bounds):
        count = -(-(stop - start) // block)
        parts = [start + (stop - start) * b // count for b in range(count)] if count else []
        found += [slice(*ends) for ends in pairwise([*parts, stop])]
    return found


def rounded_down(values: np.ndarray, axis: int) -> np.ndarray:
    """As 127 steps of the largest size along ``axis``, each rounded down by 1 / 256 of a step."""
    step = np.abs(values).max(axis=axis, keepdims=True) / 127
    codes = np.floor(np.rint(values / np.where(step > 0, step, 1) * 256) / 256)
    return codes * step


def reference_int8(student: Student, batch: Batch, gradient: NativeGradient, exact: bool = False):
    """As `reference`, in int8: gradients of outputs rounded down, or not if ``exact``."""
    pairs = "bf16" in gradient.name
    down = (lambda values, axis: values) if exact else rounded_down
    first = bf16 if pairs else np.asarray
    units, insides, values = [first(batch.rows.astype(np.float64))], [], None
    hidden = list(zip(student.weights, student.biases, strict=True))[:-1]
    weights = [first(hidden[0][0])] + [fake_quantised_weights(weight) for weight, _ in hidden[1:]]
    for weight, (_, bias) in zip(weights, hidden, strict=True):
        values = units[-1] @ weight.T + bias
        insides.append((values > 0) & (values < 6))
        units.append(fake_quantised_activations(values))
    last = student.weights[-1].astype(np.float64)
    error = (units[-1] @ last.T)[:, 0] + student.biases[-1][0] - batch.targets
    slope = (2 / len(error) * error)[:, None]
    sums, biases = [slope.T @ units[-1]], [slope.sum(axis=0)]
    sizes = [(np.abs(slope.T) @ units[-1], np.abs(slope).sum(axis=0))]
    back = slope @ last
    for layer in range(len(hidden) - 1, -1, -1):
        whole = np.where(insides[layer], back, 0)
        if layer:
            parts = blocks_of(len(error), len(gradient._parts), 192 if pairs else 96)
            own = np.concatenate([down(whole[part], 0) for part in parts])
            steps = np.abs(student.weights[layer].astype(np.float64)).max(axis=1) / 127
            codes = weights[layer] / np.where(steps > 0, steps, 1)[:, None]
            back = down(whole * steps, 1) @ codes
        else:
            own = first(whole)
        sums.append(own.T @ units[layer])
        biases.append(whole.sum(axis=0))
        sizes.append((np.abs(own.T) @ np.abs(units[layer]), np.abs(whole).sum(axis=0)))
    return float(np.mean(error**2)), sums[::-1], biases[::-1], sizes[::-1]


def check(way: str, gradient: NativeGradient, net: Net, batch: Batch) -> None:
    if way.startswith("int8"):
        loss, weights, biases, sizes = reference_int8(net.student(), batch, gradient)
    else:
        loss, weights, biases, sizes = reference(net.student(), batch, way)
    most = MOST[gradient.name.split()[0]]
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
    assert gradient.name.startswith("bf16" if way == "amx" else way.split()[0])
    assert ("amx" in gradient.name) == (way == "amx")
    assert "and bf16" in gradient.name or way != "int8 bf16"
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
    batch = replace(batch_of(777, 20), seed=2**32 - 5)
    found = []
    for threads in (2, 2, 1):
        net = net_of((20, 30, 20, 1))
        make(way, net, threads)(batch)
        found.append(np.concatenate([p.grad.flatten() for p in net.parameters()]))
    assert found[0].tobytes() == found[1].tobytes()
    most = 5e-3 if way.startswith("int8") else 1e-5
    assert np.linalg.norm(found[0] - found[2]) < most * np.linalg.norm(found[2])


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_number_reaches_the_loss(make, way):
    net, batch = net_of((20, 30, 20, 1)), batch_of(100, 20)
    batch.rows[17, 3] = np.nan
    gradient = make(way, net, 2)
    assert np.isnan(float(gradient(batch)))
    check(way, gradient, net, batch_of(100, 20))
    for layer in net.layers:
        with torch.no_grad():
            kept = layer.weight[0, 1].item()
            layer.weight[0, 1] = np.nan
            assert np.isnan(float(gradient(batch_of(100, 20))))
            layer.weight[0, 1] = kept


@pytest.mark.parametrize("way", [way for way in WAYS if "int8" in str(way)])
def test_int8_is_right_on_average(make, way):
    """Rounded by many seeds, gradients' mean is that of no rounding; rounded down it is not."""
    net, batch, runs = net_of((20, 60, 50, 30, 1)), batch_of(400, 20), 100
    gradient = make(way, net, 2)
    _, weights, _, _ = reference_int8(net.student(), batch, gradient, exact=True)

    def errors(seed: int) -> list[np.ndarray]:
        gradient(replace(batch, seed=seed))
        return [
            layer.weight.grad.double().numpy() - weight
            for layer, weight in zip(net.layers, weights, strict=True)
        ]

    down, rounded = errors(0), [errors(77 * run + 1) for run in range(runs)]
    for layer in range(len(weights) - 1):  # the last one has no codes
        single = float(np.mean([np.linalg.norm(found[layer]) for found in rounded]))
        mean = np.linalg.norm(np.mean([found[layer] for found in rounded], axis=0))
        assert mean < 2 * single / np.sqrt(runs)
        assert single < 0.02 * np.linalg.norm(weights[layer])
        assert np.linalg.norm(down[layer]) > 1.5 * single


@pytest.mark.parametrize("way", [way for way in WAYS if "int8" in str(way)])
@pytest.mark.parametrize("documents", [1, 95, 500])
def test_int8s_own_scores_are_those_of_its_codes(make, way, documents):
    net, batch = net_of((33, 70, 41, 1)), batch_of(documents, 33)
    gradient = make(way, net)
    scores = np.empty(documents, np.float32)
    gradient._parts[0].score(net, batch.rows, scores)
    wanted, _, _, _ = reference_int8(net.student(), batch, gradient)
    assert np.mean((scores - batch.targets) ** 2) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("precision", "dropout", "products", "plain", "expected"),
    [
        ("fp32", 0.0, "fp32", True, NativeGradient), ("int8", 0.0, "fp32", True, TorchGradient),
        ("fp32", 0.5, "fp32", False, TorchGradient), ("fp32", 0.0, "bf16", False, TorchGradient),
        pytest.param("fp32", 0.0, "bf16", True, NativeGradient, marks=needs_bf16),
        pytest.param("fp32", 0.0, "int8", True, NativeGradient, marks=needs_vnni),
    ],
)  # fmt: skip
def test_it_is_taken_where_it_computes_what_is_asked_for(
    native_library, precision, dropout, products, plain, expected
):
    student = student_of((8, 6, 1))
    net = Net(student, dropout, masks_for(student, [1], 0.5), precision)
    with gradient_of(net, products, plain, native_library) as gradient:
        assert type(gradient) is expected
        assert ("native" in gradient.name) == (expected is NativeGradient)
        assert gradient.name.startswith(products)
        assert np.isfinite(float(gradient(batch_of(30, 8))))


def test_pytorch_has_no_gradients_in_int8(native_library):
    with (
        pytest.raises(ValueError, match="without dropout on a processor with AVX512_VNNI"),
        gradient_of(net_of((8, 6, 1)), "int8", False, native_library),
    ):
        pass


def test_pytorchs_threads_are_given_back(native_library):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with (
            pytest.raises(ValueError, match="out of luck"),
            gradient_of(net_of((8, 6, 1)), "fp32", True, native_library),
        ):
            assert torch.get_num_threads() == 1
            raise ValueError("out of luck")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_processor_that_cannot_is_named(native_library, precision):
    assert NativeGradient.instructions(precision, native_library, PORTABLE) == ""
    with pytest.raises(ValueError, match=f"no instructions for gradients in {precision}"):
        NativeGradient(net_of((3, 2, 1)), precision, 1, native_library, PORTABLE)


FP32, INT8 = 0, 2  # of enum distilrank_precision


@pytest.mark.parametrize(
    ("widths", "precision"),
    [
        ((3, 1), FP32), ((3, 2, 2), FP32), ((3, 0, 1), FP32), ((1 << 25, 2, 1), FP32),
        ((3, 66_001, 1), INT8), ((3, 2, 1), 3), ((3, 2, 1), -1),
    ],
)  # fmt: skip
def test_the_library_refuses_what_it_cannot_do(native_library, widths, precision):
    from distilrank.gradient import _library

    sizes = np.array(widths, np.int64)
    assert not _library(native_library).distilrank_gradient_create(
        sizes.ctypes.data, len(sizes) - 1, precision, AVX512
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
