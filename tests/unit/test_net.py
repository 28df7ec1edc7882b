"""The network in training: the same function as the student's, in fp32 and in int8."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import Fold, random_student

from distilrank import quantise
from distilrank.distil import Lesson, Schedule, new_student, open_lesson, train
from distilrank.metrics import per_query
from distilrank.net import Net, fake_quantised_activations, fake_quantised_weights
from distilrank.pruning import masks_for
from distilrank.quantise import predict_int8
from distilrank.scaling import fit_zscore
from distilrank.student import Student


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def net_of(student: Student, precision: str) -> Net:
    return Net(student, 0.5, [None] * len(student.weights), precision).eval()


@pytest.fixture(scope="module")
def student() -> Student:
    return random_student(np.random.default_rng(1), (8, 24, 12, 1))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return (30 * np.random.default_rng(2).normal(size=(500, 8))).astype(np.float32)


@pytest.mark.parametrize(
    ("precision", "reference"), [("fp32", Student.predict), ("int8", predict_int8)]
)
def test_it_scores_as_its_student(precision, reference, student, rows):
    expected = reference(student, rows)
    scores = net_of(student, precision)(torch.tensor(rows)).detach().numpy()
    off = np.abs(scores - expected) / expected.std()
    # float32 sums; in int8 a value beside a half may take the other code, which moves few scores.
    assert np.quantile(off, 0.95) < 1e-5
    assert off.max() < (1e-5 if precision == "fp32" else 0.05)


def test_the_two_precisions_are_told_apart(student, rows):
    given = torch.tensor(rows)
    assert not torch.equal(net_of(student, "fp32")(given), net_of(student, "int8")(given))
    with pytest.raises(ValueError, match="precision 'int4', expected one of fp32, int8"):
        net_of(student, "int4")


def test_rounded_numbers_are_those_of_the_scheme():
    generator = np.random.default_rng(3)
    weight = generator.normal(size=(6, 40)).astype(np.float32)
    weight[2] = 0
    values = generator.uniform(0, 6, 200).astype(np.float32)
    for found, expected in (
        (fake_quantised_weights(torch.tensor(weight)), quantise.fake_quantised_weights(weight)),
        (
            fake_quantised_activations(torch.tensor(values)),
            quantise.fake_quantised_activations(values),
        ),
    ):
        # float32 holds the rounded numbers to 6e-8 of 6.
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rounding", [fake_quantised_weights, fake_quantised_activations])
def test_gradients_pass_the_rounding_unchanged(rounding):
    values = torch.rand(3, 5, requires_grad=True)
    factors = torch.rand(3, 5)
    (rounding(values) * factors).sum().backward()
    assert torch.equal(values.grad, factors)


def test_the_student_keeps_its_own_weights(student):
    again = net_of(student, "int8").student()
    assert all(np.array_equal(a, b) for a, b in zip(again.weights, student.weights, strict=True))


def test_equalised_neurons_use_more_of_the_codes_and_score_the_same(student, rows):
    """fp32 is the same network; int8 is nearer to it, and is what the student file gives."""
    quiet = replace(
        student,
        weights=(student.weights[0] / 20, student.weights[1], student.weights[2]),
        biases=(student.biases[0] / 20, *student.biases[1:]),
    )
    net = net_of(quiet, "int8")
    net.equalise(torch.tensor(rows))
    again = net.student()
    first, largest = (
        np.clip(
            each.standardised(rows) @ each.weights[0].astype(float).T + each.biases[0], 0, 6
        ).max(axis=0)
        for each in (quiet, again)
    )
    loud = first > 0.1 * first.max()
    assert loud.sum() > 5
    np.testing.assert_allclose(largest[loud], np.sqrt(6 * first[loud]), rtol=1e-5)
    exact = quiet.predict(rows)
    spread = exact.std()
    np.testing.assert_allclose(again.predict(rows), exact, rtol=0, atol=1e-5 * spread)
    before, after = (
        np.abs(predict_int8(each, rows) - exact).mean() / spread for each in (quiet, again)
    )
    assert after < 0.5 * before
    scores = net(torch.tensor(rows)).detach().numpy()
    assert np.quantile(np.abs(scores - predict_int8(again, rows)), 0.95) < 1e-5 * spread


def test_a_silent_layer_can_be_equalised(student, rows):
    silent = replace(student, biases=(np.full_like(student.biases[0], -1e9), *student.biases[1:]))
    net = net_of(silent, "int8")
    net.equalise(torch.tensor(rows))
    again = net.student()
    np.testing.assert_allclose(again.predict(rows), silent.predict(rows), rtol=1e-5)


@pytest.fixture(scope="module")
def lesson(fold: Fold, native_library: Path) -> Lesson:
    return open_lesson(fold.data, fold.teacher, native_library)


SCHEDULE = Schedule(epochs=25, batch=40, learning_rate=0.005)


@pytest.fixture(scope="module")
def hard(lesson) -> Student:
    """A trained student whose second layer int8 destroys.

    Every row gets one weight so large that a step is about as long as the other weights. It is on a
    neuron that is 0 for every document, so fp32 scores, and all gradients, stay as they were.
    """
    mean, scale = fit_zscore(lesson.train.features)
    start, _ = train(new_student((16, 8), mean, scale, 1, {"seed": 1}), lesson, SCHEDULE, 1)
    first, bias, second = start.weights[0].copy(), start.biases[0].copy(), start.weights[1].copy()
    first[0], bias[0] = 0, -1
    second[:, 0] = 100 * np.abs(second[:, 1:]).max()
    return replace(
        start, weights=(first, second, start.weights[2]), biases=(bias, *start.biases[1:])
    )


def tuned(hard: Student, lesson: Lesson, precision: str) -> tuple[Student, list[dict[str, float]]]:
    masks = masks_for(hard, [1], 0.5)
    return train(hard, lesson, SCHEDULE, 1, masks=lambda epoch, now: masks, precision=precision)


def test_tuning_in_int8_makes_int8_better(hard, lesson):
    """Mean squared error on the teacher's scores of test-like documents, scored in int8."""
    rows = lesson.vali.features
    wanted = lesson.teacher(rows)
    errors = {
        precision: np.mean((predict_int8(tuned(hard, lesson, precision)[0], rows) - wanted) ** 2)
        for precision in ("fp32", "int8")
    }
    assert errors["int8"] < 0.5 * errors["fp32"], errors


def test_tuning_in_int8_repeats_itself_and_holds_its_masks(hard, lesson):
    (one, history), (other, _) = (tuned(hard, lesson, "int8") for _ in range(2))
    for first, second in zip(one.weights + one.biases, other.weights + other.biases, strict=True):
        assert first.tobytes() == second.tobytes()
    masks = masks_for(hard, [1], 0.5)
    assert not one.weights[0][~masks[0]].any()
    assert one.weights[0].dtype == np.float32
    vali = lesson.vali
    scores = predict_int8(one, vali.features)
    ndcg = per_query("ndcg@10", scores, vali.labels, vali.offsets).mean()
    best = max(record["ndcg_vali"] for record in history)
    # Chosen by int8's own nDCG; a code beside a half may swap two near-ties.
    assert ndcg == pytest.approx(best, abs=1e-3)


def test_masks_are_chosen_by_the_weights_that_are_trained(student, rows):
    """The neurons' factors make some weights look small that are not."""
    net = net_of(student, "int8")
    net.equalise(torch.tensor(rows))
    assert not np.array_equal(net.student().weights[1], student.weights[1])
    for one, other in zip(net.trained().weights, student.weights, strict=True):
        assert np.array_equal(one, other)
