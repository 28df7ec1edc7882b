"""distilrank.student: the network's reference, its fold, and its file in any state."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tiny import FEATURES, random_student

from distilrank.letor import MISSING
from distilrank.student import FORMAT, FORMAT_WITH_FILL, Student

HEADER = {"format": FORMAT, "activation": "relu6", "meta": "{}"}


def rows_for(seed: int, count: int = 20) -> np.ndarray:
    """Raw features on scales from 1e-3 to 1e6."""
    generator = np.random.default_rng(seed)
    scales = 10.0 ** generator.integers(-3, 7, FEATURES)
    return (generator.normal(size=(count, FEATURES)) * scales).astype(np.float32)


def slow_score(student: Student, row: np.ndarray) -> float:
    """One row through the network with exactly rounded sums, one product at a time."""
    values = [
        (float(x) - float(m)) / float(s)
        for x, m, s in zip(row, student.mean, student.scale, strict=True)
    ]
    for layer, (weight, bias) in enumerate(zip(student.weights, student.biases, strict=True)):
        values = [
            math.fsum([*(float(w) * v for w, v in zip(line, values, strict=True)), float(b)])
            for line, b in zip(weight, bias, strict=True)
        ]
        if layer < len(student.weights) - 1:
            values = [min(max(value, 0.0), 6.0) for value in values]
    return values[0]


@given(seed=st.integers(0, 2**32), hidden=st.lists(st.integers(1, 7), max_size=3))
def test_scores_equal_one_product_at_a_time(seed, hidden):
    student = random_student(np.random.default_rng(seed), (FEATURES, *hidden, 1))
    rows = rows_for(seed, 5)
    expected = [slow_score(student, row) for row in rows]
    # float64 sums of at most 8 terms round at a few 1e-16 of the terms, which reach 1e8 here.
    np.testing.assert_allclose(student.predict(rows), expected, rtol=1e-12, atol=1e-6)
    np.testing.assert_allclose(
        student.predict(rows / np.float32(1e6)),
        [slow_score(student, row) for row in rows / np.float32(1e6)],
        rtol=1e-12,
        atol=1e-12,
    )


def test_relu6_cuts_at_both_ends_but_not_after_the_last_layer():
    """Hidden units 2x, -2x and x + 1 of x = 5: min(10, 6), max(-10, 0) and 6; times 10, 1, 1."""
    weights = (np.array([[2], [-2], [1]], np.float32), np.array([[10, 1, 1]], np.float32))
    biases = (np.array([0, 0, 1], np.float32), np.array([-0.5], np.float32))
    student = Student(weights, biases, np.zeros(1), np.ones(1))
    assert student.predict(np.array([[5.0]])).tolist() == [10 * 6 + 0 + 6 - 0.5]
    assert student.predict(np.array([[-5.0]])).tolist() == [0 + 6 + 0 - 0.5]


def layer_error(student: Student, rows: np.ndarray) -> np.ndarray:
    """A bound on what float32 storage of the folded first layer can do to each score.

    Every folded weight moves by at most eps of itself and every folded bias by eps of itself;
    ReLU6 does not enlarge a difference, and later layers enlarge it by their absolute weights.
    """
    eps = np.finfo(np.float32).eps / 2
    folded = np.abs(student.weights[0]) / student.scale
    bias = np.abs(student.biases[0] - (student.weights[0] / student.scale) @ student.mean)
    error = eps * (np.abs(rows.astype(np.float64)) @ folded.T + bias)
    for weight in student.weights[1:]:
        error = error @ np.abs(weight.astype(np.float64)).T
    return error[:, 0]


@given(seed=st.integers(0, 2**32))
def test_folding_changes_scores_by_float32_rounding_only(seed):
    student = random_student(np.random.default_rng(seed))
    rows = rows_for(seed)
    folded = student.folded()
    assert (folded.mean.tolist(), folded.scale.tolist()) == ([0.0] * FEATURES, [1.0] * FEATURES)
    difference = np.abs(folded.predict(rows) - student.predict(rows))
    # The rest is float64 rounding of two different orders of operations.
    scale = np.abs(student.predict(rows)).max() + 1e6 * FEATURES
    assert (difference <= layer_error(student, rows) * 1.01 + 1e-12 * scale).all()


def test_folding_keeps_zeros_and_leaves_the_original_alone():
    student = random_student(np.random.default_rng(0))
    student.weights[0][::2, 1:4] = 0
    before = [array.copy() for array in student.weights]
    folded = student.folded()
    assert (folded.weights[0] == 0).tolist() == (student.weights[0] == 0).tolist()
    assert folded.weights[0].dtype == folded.biases[0].dtype == np.float32
    assert all(
        np.array_equal(one, other) for one, other in zip(before, student.weights, strict=True)
    )


def test_architecture_and_sparsity():
    student = random_student(np.random.default_rng(0), (8, 4, 2, 1))
    student.weights[1][0, :3] = 0
    assert student.architecture == "8-4-2-1"
    assert [student.sparsity(layer) for layer in range(3)] == [0.0, 3 / 8, 0.0]


@pytest.mark.parametrize("shape", [(8,), (2, 7), (2, 9)])
def test_rows_of_another_width_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape(f"{shape} given, (documents, 8) expected")):
        random_student(np.random.default_rng(0)).predict(np.zeros(shape))


def parts(student: Student) -> dict:
    return {
        "weights": student.weights, "biases": student.biases,
        "mean": student.mean, "scale": student.scale,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: p.update(weights=(), biases=()), "layers of shape [] do not chain from 8"),
        (lambda p: p.update(mean=np.zeros(7), scale=np.ones(7)), "do not chain from 7 features"),
        (lambda p: p.update(weights=p["weights"][:2], biases=p["biases"][:2]), "do not chain"),
        (lambda p: p.update(weights=p["weights"][::-1]), "do not chain"),
        (lambda p: p.update(weights=tuple(w.T for w in p["weights"])), "do not chain"),
        (lambda p: p.update(biases=p["biases"][:2]), "one bias for each of its outputs"),
        (lambda p: p.update(biases=p["biases"][::-1]), "one bias for each of its outputs"),
        (lambda p: p.update(fill=np.zeros(7, "f4")), "one value to fill in for each feature"),
        (lambda p: p.update(fill=np.full(8, np.inf, "f4")), "is NaN or infinite"),
        (lambda p: p.update(scale=np.ones(7)), "one positive scale for each feature"),
        (lambda p: p.update(scale=np.zeros(8)), "one positive scale for each feature"),
        (lambda p: p.update(scale=np.full(8, np.nan)), "one positive scale for each feature"),
        (lambda p: p.update(mean=np.full(8, np.inf)), "is NaN or infinite"),
        (lambda p: p["biases"][2].fill(np.nan), "is NaN or infinite"),
        (lambda p: p.update(mean=np.zeros((8, 2)), scale=np.ones((8, 2))), "one number a feature"),
        (lambda p: p.update(mean=np.float64(0), scale=np.float64(1)), "one number a feature"),
    ],
)  # fmt: skip
def test_parts_that_make_no_network_are_refused(change, sentence):
    found = parts(random_student(np.random.default_rng(0)))
    change(found)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Student(**found)


def filling(student: Student) -> Student:
    return replace(student, fill=student.mean.astype(np.float32))


@pytest.mark.parametrize("fold", [False, True])
def test_a_missing_value_scores_as_the_mean_in_its_place(fold):
    student = filling(random_student(np.random.default_rng(1)))
    rows = rows_for(2)
    absent = np.random.default_rng(3).random(rows.shape) < 0.3
    scored = student.folded() if fold else student
    whole = scored.predict(np.where(absent, student.mean.astype(np.float32), rows))
    assert scored.predict(np.where(absent, MISSING, rows)).tolist() == whole.tolist()
    # Widened rows too: what is missing is told by its value.
    wide = np.where(absent, float(MISSING), rows.astype(np.float64))
    assert scored.predict(wide).tolist() == whole.tolist()


def test_without_a_fill_missing_values_are_refused():
    rows = rows_for(0)
    rows[4, 2] = MISSING
    with pytest.raises(ValueError, match=r"feature 3 of row 4 is missing.*had no missing value"):
        random_student(np.random.default_rng(0)).predict(rows)


def test_a_fill_is_saved_under_a_format_that_older_readers_refuse(tmp_path):
    plain = random_student(np.random.default_rng(0), **META)
    student, path = filling(plain), tmp_path / "filling.safetensors"
    student.save(path)
    loaded = Student.load(path)
    assert loaded.fill.tolist() == student.fill.tolist() and loaded.fill.dtype == np.float32
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    assert header["format"] == FORMAT_WITH_FILL != FORMAT
    plain.save(path)
    assert Student.load(path).fill is None


META = {"dataset": "tiny", "fold": 1, "seed": 3, "sparsity": 0.95, "note": 'größer "than" 1\n'}


@given(seed=st.integers(0, 2**32), hidden=st.lists(st.integers(1, 5), max_size=3))
def test_a_file_holds_the_whole_network(tmp_path_factory, seed, hidden):
    student = random_student(np.random.default_rng(seed), (FEATURES, *hidden, 1), **META)
    path = tmp_path_factory.mktemp("student") / "sp950.safetensors"
    student.save(path)
    loaded = Student.load(path)
    for name in ("weights", "biases"):
        pairs = zip(getattr(student, name), getattr(loaded, name), strict=True)
        assert all(np.array_equal(one, other) and one.dtype == other.dtype for one, other in pairs)
    assert np.array_equal(student.mean, loaded.mean)
    assert np.array_equal(student.scale, loaded.scale)
    assert loaded.meta == META


def test_arrays_in_any_memory_order_are_saved_by_their_values(tmp_path):
    plain = random_student(np.random.default_rng(0))
    odd = Student(
        tuple(np.asfortranarray(weight) for weight in plain.weights),
        plain.biases,
        np.repeat(plain.mean, 2)[::2],
        plain.scale[::-1].copy()[::-1],
    )
    odd.save(tmp_path / "odd.safetensors")
    plain.save(tmp_path / "plain.safetensors")
    assert (tmp_path / "odd.safetensors").read_bytes() == (
        tmp_path / "plain.safetensors"
    ).read_bytes()


def test_the_same_student_gives_the_same_bytes(tmp_path):
    for name, meta in (("a", {"x": 1, "y": 2}), ("b", {"y": 2, "x": 1})):
        random_student(np.random.default_rng(0), **meta).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_meta_without_a_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        random_student(np.random.default_rng(0), loss=math.nan).save(tmp_path / "s.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "student.safetensors"
    random_student(np.random.default_rng(0), (3, 2, 1), **META).save(path)
    return path


def test_a_cut_file_is_refused(saved):
    whole = saved.read_bytes()
    for cut in range(len(whole)):
        saved.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=re.escape(str(saved))):
            Student.load(saved)


@given(data=st.data())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_garbled_file_is_a_network_or_refused(saved, data):
    """Nothing but ValueError may escape, and whatever is read must score without a mishap."""
    random_student(np.random.default_rng(0), (3, 2, 1), **META).save(saved)
    content = bytearray(saved.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255) | st.sampled_from(list(b'0123456789F{}",[]')))
    saved.write_bytes(content)
    try:
        student = Student.load(saved)
    except ValueError as error:
        assert str(saved) in str(error)
        return
    if student.n_features > 1000:
        return
    with np.errstate(over="ignore", invalid="ignore"):  # a scale of 1e-308 is no damage
        scores = student.predict(np.ones((2, student.n_features)))
    assert scores.shape == (2,)
    assert isinstance(student.meta, dict)


@pytest.mark.parametrize(
    ("header", "tensors", "sentence"),
    [
        ({"format": "other-1"}, {}, f"has format 'other-1', expected '{FORMAT}' with relu6"),
        ({"format": FORMAT_WITH_FILL}, {}, f"expected '{FORMAT}' with relu6"),
        ({}, {"fill": np.zeros(3, np.float32)}, f"expected '{FORMAT_WITH_FILL}' with relu6"),
        ({"activation": "relu"}, {}, f"expected '{FORMAT}' with relu6"),
        ({"meta": "{"}, {}, "is not a student: Expecting property name"),
        ({"meta": "[1]"}, {}, "is not a student: its meta is no JSON object"),
        ({"meta": "[" * 100_000}, {}, "is not a student: its meta"),
        ({}, {"weight0": None}, "is not a student: 'weight0'"),
        ({}, {"mean": None}, "is not a student: 'mean'"),
        ({}, {"bias1": None}, "is not a student: 'bias1'"),
        ({}, {"mean": np.zeros(2)}, "is not a student: layers of shape [(2, 3), (1, 2)] do not"),
        ({}, {"mean": np.array(1.0)}, "is not a student: the scaler needs one number a feature"),
        ({}, {"weight0": np.array(1, np.float32)}, "is not a student: "),
        ({}, {"weight0": np.ones((2, 3), np.int8)}, "is not a student: weight0 is int8"),
        ({}, {"weight1": np.ones((1, 2))}, "is not a student: weight1 is float64"),
        ({}, {"bias0": np.ones(2, np.float16)}, "is not a student: bias0 is float16"),
        ({}, {"mean": np.ones(3, np.int64)}, "is not a student: mean is int64"),
    ],
)
def test_a_whole_file_of_something_else_is_refused(saved, header, tensors, sentence):
    content = {
        key: value for key, value in (load_file(saved) | tensors).items() if value is not None
    }
    save_file(content, saved, metadata=HEADER | header)
    with pytest.raises(ValueError) as raised:
        Student.load(saved)
    assert str(raised.value).startswith(f"{saved} ")
    assert sentence in str(raised.value)


def test_number_types_that_numpy_lacks_are_refused(saved):
    """bfloat16 is a safetensors type; a model file of today's language models has nothing else."""
    content = saved.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    first = header["bias0"]["data_offsets"][0]
    header["bias0"] |= {"dtype": "BF16", "shape": [4]}
    assert header["bias0"]["data_offsets"] == [first, first + 8]
    text = json.dumps(header).encode()
    saved.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    with pytest.raises(ValueError, match=re.escape(str(saved))):
        Student.load(saved)


def test_a_missing_file_is_that(tmp_path):
    with pytest.raises(FileNotFoundError):
        Student.load(tmp_path / "none.safetensors")
