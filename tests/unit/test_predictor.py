"""Time models of layers and networks, on times made from known costs."""

from itertools import product

import numpy as np
import pytest
from tiny import random_student

from distilrank.predictor import (
    FETCH,
    MATRIX,
    TERMS,
    TRANSPOSE,
    VECTOR,
    Layer,
    Predictor,
    Sample,
    fit,
    network_time,
    read_samples,
    relative_errors,
)
from distilrank.student import Student
from distilrank.sweep import FIT, VALIDATE, Point, design, layer_facts, make_weight

SETTINGS = {
    "dense_points": 40, "sparse_points": 40, "validate_share": 0.25, "outputs": [25, 600],
    "inputs": [30, 500], "sparsities": [0.8, 0.995], "rounds": 2, "sample_ms": 1, "seed": 3,
}  # fmt: skip


def dense_time(layer, batch):
    """Two costs that anyone can check: 2 us a call and 0.5 ns a multiplication."""
    return 2.0 + 0.0005 * batch * layer.outputs * layer.inputs


def sparse_time(layer, batch):
    return 1.5 + 0.01 * layer.outputs + 0.0003 * batch * layer.nonzeros


def samples(kind, time, part="fit", kernel="toy"):
    generator = np.random.default_rng(0)
    made = []
    for outputs, inputs, batch in product((1, 20, 70, 300), (30, 90, 200), (1, 20, 256)):
        nonzeros = outputs * inputs
        if kind == "sparse":
            nonzeros = int(generator.integers(1, nonzeros + 1))
        rows, columns = min(outputs, nonzeros), min(inputs, nonzeros)
        layer = Layer(outputs, inputs, nonzeros, rows, columns)
        made.append(Sample(kernel, kind, part, layer, batch, time(layer, batch)))
    return made


@pytest.mark.parametrize(("kind", "time"), [("dense", dense_time), ("sparse", sparse_time)])
def test_known_costs_are_found_again(kind, time):
    predictor = fit(samples(kind, time), kind)
    for outputs, inputs, batch in [(33, 77, 1), (500, 136, 100), (250, 250, 1000)]:
        layer = Layer(outputs, inputs, outputs * inputs // 3, outputs, inputs)
        assert predictor.layer("toy", layer, batch) == pytest.approx(time(layer, batch), rel=1e-3)


def test_coefficients_are_never_negative():
    noise = np.random.default_rng(1)
    noisy = [
        Sample(s.kernel, s.kind, s.part, s.layer, s.batch, s.microseconds * noise.uniform(0.5, 2))
        for s in samples("dense", dense_time)
    ]
    costs = fit(noisy, "dense").coefficients["toy"]
    assert min(value for regime in costs.values() for value in regime.values()) >= 0


def test_held_out_samples_have_no_influence():
    wrong = samples("dense", lambda layer, batch: 1e6, part="validate")
    known = samples("dense", dense_time)
    assert fit(known + wrong, "dense") == fit(known, "dense")


def test_fewer_samples_than_coefficients_is_an_error():
    few = [sample for sample in samples("dense", dense_time) if sample.batch == 256]
    needed = len(TERMS["dense"][MATRIX])
    with pytest.raises(ValueError, match=f"5 matrix samples to fit {needed}.*dense_points"):
        fit(few[:5], "dense")
    with pytest.raises(ValueError, match="no dense samples"):
        fit([], "dense")


def test_a_kernel_that_was_not_fitted_is_an_error():
    predictor = fit(samples("dense", dense_time), "dense")
    with pytest.raises(ValueError, match=r"no dense predictor of numpy.*toy"):
        predictor.layer("numpy", Layer.dense(2, 3), 1)


def test_predictors_survive_json_with_units():
    predictor = fit(samples("sparse", sparse_time), "sparse")
    content = predictor.as_json()
    assert Predictor.from_json(content) == predictor
    cost = content["kernels"]["toy"][VECTOR]["nonzero"]
    assert cost["unit"] == "us/weight" and "non-zero" in cost["meaning"]


def constant(kind, **kernels):
    """A predictor whose kernels take a fixed time a call, whatever the layer."""
    coefficients = {}
    for name, value in kernels.items():
        regimes = TERMS.get(name, TERMS[kind])
        coefficients[name.replace("_", "-")] = {
            regime: {term: value if term == "call" else 0.0 for term in terms}
            for regime, terms in regimes.items()
        }
    return Predictor(kind, coefficients)


@pytest.mark.parametrize("batch", [1, 256])
def test_a_networks_time_is_the_sum_of_its_parts(batch):
    student = random_student(np.random.default_rng(0), (8, 6, 5, 1))
    dense = constant("dense", numpy=10.0, **{FETCH: 1.0, TRANSPOSE: 2.0})
    sparse = constant("sparse", mkl_csr=100.0)
    assert network_time(student, "numpy", batch, dense, sparse) == 1.0 + 3 * 10.0
    assert network_time(student, "mkl-csr+numpy", batch, dense, sparse) == 2.0 + 100.0 + 2 * 10.0
    assert network_time(student, "openvino", batch, dense, sparse) is None
    assert network_time(student, "libxsmm-csr+numpy", batch, dense, sparse) is None


def test_a_layers_facts_are_counted_from_its_weights():
    weight = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [0, 3, 0, 0]], dtype=np.float32)
    assert Layer.of(weight) == Layer(3, 4, nonzeros=3, active_rows=2, active_columns=2)
    facts = layer_facts(weight)
    assert facts["sparsity"] == 1 - 3 / 12
    assert Layer.dense(3, 4) == Layer(3, 4, 12, 3, 4)


def test_relative_errors():
    errors = relative_errors([1.1, 2.0, 2.7], [1.0, 2.0, 3.0])
    assert errors["n"] == 3
    assert errors["median_abs_error"] == pytest.approx(0.1)
    assert errors["p95_abs_error"] == pytest.approx(0.1)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_the_sweeps_design_is_seeded_within_range_and_holds_a_share_out(kind):
    points = design(kind, SETTINGS)
    assert points == design(kind, SETTINGS) != design(kind, SETTINGS | {"seed": 4})
    assert [point.part for point in points].count(VALIDATE) == round(0.25 * 40)
    assert {point.part for point in points} == {FIT, VALIDATE}
    assert all(30 <= point.inputs <= 500 for point in points)
    assert all(25 <= point.outputs <= 600 or point.outputs == 1 for point in points)
    if kind == "sparse":
        assert all(0.8 <= point.sparsity <= 0.995 for point in points)
    else:
        assert any(point.outputs == 1 for point in points)
        assert {point.sparsity for point in points} == {0}


@pytest.mark.parametrize(("sparsity", "skew"), [(0.9, 0.0), (0.995, 1.5), (0.99999, 0.0)])
def test_sweep_weights_have_the_wanted_zeros(sparsity, skew):
    point = Point(40, 50, sparsity, skew, FIT, 11)
    weight = make_weight(point)
    assert np.count_nonzero(weight) == max(1, round((1 - sparsity) * 40 * 50))
    np.testing.assert_array_equal(weight, make_weight(point))
    assert np.count_nonzero(make_weight(Point(40, 50, 0.0, 0.0, FIT, 11))) == 40 * 50


def test_skewed_weights_leave_more_columns_empty():
    even, skewed = (
        layer_facts(make_weight(Point(60, 60, 0.97, skew, FIT, 2))) for skew in (0.0, 1.5)
    )
    assert skewed["active_columns"] < even["active_columns"]


def test_an_empty_sweep_is_an_error(tmp_path):
    (tmp_path / "dense.csv").write_text("kernel,kind\n")
    with pytest.raises(ValueError, match="no samples"):
        read_samples(tmp_path / "dense.csv")


def test_students_keep_their_zeros_when_the_scaler_is_folded_in():
    """The predictor counts a student's zeros; the engines run the folded one."""
    student = random_student(np.random.default_rng(0))
    first = student.weights[0].copy()
    first[::2] = 0
    pruned = Student((first, *student.weights[1:]), student.biases, student.mean, student.scale)
    assert Layer.of(pruned.folded().weights[0]) == Layer.of(first)
