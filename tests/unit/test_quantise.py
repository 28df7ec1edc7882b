"""The int8 scheme against its definition, in whole numbers and to half a step."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny import random_student

from distilrank.letor import MISSING
from distilrank.quantise import (
    ACTIVATION_STEP,
    fake_quantised_activations,
    fake_quantised_weights,
    predict_int8,
    quantised_activations,
    quantised_weights,
)
from distilrank.student import Student

FLOATS = st.floats(-100, 100, width=32)
TINY = 1e-12  # float64 rounds a hundred times finer


@given(weight=arrays(np.float32, (3, 5), elements=FLOATS))
def test_a_weight_is_off_by_half_its_rows_step_at_most(weight):
    codes, steps = quantised_weights(weight)
    assert codes.dtype == np.int8 and np.abs(codes.astype(int)).max() <= 127
    assert steps.tolist() == [np.abs(row).max() / 127 for row in weight.astype(np.float64)]
    off = np.abs(fake_quantised_weights(weight) - weight)
    assert (off <= steps[:, None] / 2 + TINY).all()
    assert (np.abs(codes).max(axis=1) == 127 * (steps > 0)).all(), "the largest takes the last code"


@given(values=arrays(np.float64, 20, elements=st.floats(-3, 9)))
def test_an_activation_is_off_by_half_a_step_at_most(values):
    codes = quantised_activations(values)
    assert codes.dtype == np.uint8
    off = np.abs(fake_quantised_activations(values) - np.clip(values, 0, 6))
    assert (off <= ACTIVATION_STEP / 2 + TINY).all()


def test_the_bounds_are_exact_and_halves_go_to_the_even_neighbour():
    assert quantised_activations(np.array([-1.0, 0.0, 6.0, 7.0])).tolist() == [0, 0, 255, 255]
    assert fake_quantised_activations(np.array([6.0]))[0] == pytest.approx(6.0, rel=1e-15)
    codes, steps = quantised_weights(np.array([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]]))
    assert steps.tolist() == [1.0]
    assert codes.tolist() == [[127, 0, 2, 2, 0, -2]]


def test_a_row_of_zeros_has_no_step():
    codes, steps = quantised_weights(np.array([[0.0, 0.0], [-1.0, 0.5]], dtype=np.float32))
    assert steps.tolist() == [0.0, 1 / 127]
    assert codes.tolist() == [[0, 0], [-127, 64]]  # 63.5: half to even


def slow(student: Student, row: np.ndarray) -> float:
    """The definition for one document, code by code in Python's own numbers."""
    z = (row.astype(np.float64) - student.mean) / student.scale
    values = [float(w.astype(np.float64) @ z) + float(b)
              for w, b in zip(student.weights[0], student.biases[0], strict=True)]  # fmt: skip
    for weight, bias in zip(student.weights[1:], student.biases[1:], strict=True):
        inputs = [round(min(max(value, 0.0), 6.0) * 255 / 6) for value in values]
        values = []
        for w, b in zip(weight.astype(np.float64).tolist(), bias.tolist(), strict=True):
            step = max(map(abs, w)) / 127
            total = sum(round(x / step) * code for x, code in zip(w, inputs, strict=True))
            values.append(step * (6 / 255) * total + b)
    return values[0]


@pytest.mark.parametrize("widths", [(8, 6, 1), (8, 20, 12, 1), (8, 5, 4, 3, 1)])
def test_scores_are_those_of_the_definition(widths):
    generator = np.random.default_rng(len(widths))
    student = random_student(generator, widths)
    rows = (20 * generator.normal(size=(30, 8))).astype(np.float32)
    expected = [slow(student, row) for row in rows]
    np.testing.assert_allclose(predict_int8(student, rows), expected, rtol=1e-12, atol=1e-12)


def test_one_layer_alone_is_not_quantised():
    generator = np.random.default_rng(1)
    student = random_student(generator, (8, 1))
    rows = generator.normal(size=(9, 8)).astype(np.float32)
    np.testing.assert_allclose(predict_int8(student, rows), student.predict(rows), rtol=1e-12)


def test_one_hidden_layer_is_off_by_the_half_steps_of_its_products():
    """``|w x - w' x'| <= |w| s_x / 2 + x' s_w / 2`` for each of the last layer's inputs."""
    generator = np.random.default_rng(2)
    student = random_student(generator, (8, 30, 1))
    rows = (20 * generator.normal(size=(200, 8))).astype(np.float32)
    hidden = np.clip(
        student.standardised(rows) @ student.weights[0].astype(np.float64).T + student.biases[0],
        0, 6,
    )  # fmt: skip
    _, (step,) = quantised_weights(student.weights[1])
    bound = (
        np.abs(student.weights[1]).sum() * ACTIVATION_STEP / 2
        + fake_quantised_activations(hidden).sum(axis=1) * step / 2
    )
    off = np.abs(predict_int8(student, rows) - student.predict(rows))
    assert (off <= bound + TINY).all()
    assert off.max() > 0


def test_missing_values_are_filled_in_and_refused_as_in_float64():
    generator = np.random.default_rng(3)
    student = random_student(generator)
    rows = generator.normal(size=(4, student.n_features)).astype(np.float32)
    holey = rows.copy()
    holey[1, 2] = MISSING
    with pytest.raises(ValueError, match="feature 3 of row 1 is missing"):
        predict_int8(student, holey)
    filling = replace(student, fill=student.mean.astype(np.float32))
    filled = rows.copy()
    filled[1, 2] = filling.fill[2]
    assert predict_int8(filling, holey).tolist() == predict_int8(student, filled).tolist()
    with pytest.raises(ValueError, match="documents, 8"):
        predict_int8(student, rows[:, 1:])
