"""distilrank.distil on a tiny data set: it learns, repeats itself, and holds its masks."""

import csv
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny import Fold, train_booster

from distilrank.distil import (
    Lesson,
    Schedule,
    history_of,
    new_student,
    open_lesson,
    products_of,
    train,
    write_history,
)
from distilrank.gradient import NativeGradient
from distilrank.letor import Dataset
from distilrank.metrics import per_query
from distilrank.pruning import masks_for
from distilrank.scaling import fit_zscore
from distilrank.student import Student
from distilrank.synthetic import Midpoints
from distilrank.teacher import score

FLAGS = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
needs_vnni = pytest.mark.skipif("avx512_vnni" not in FLAGS, reason="no AVX512_VNNI")
SHORT = Schedule(epochs=4, batch=60, learning_rate=0.01)
SCHEMA = Path(__file__).parents[2] / "config" / "schema.yaml"


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def lesson(fold: Fold, native_library: Path) -> Lesson:
    return open_lesson(fold.data, fold.teacher, native_library)


def untrained(lesson: Lesson, seed: int = 1, widths: tuple[int, ...] = (16, 8)) -> Student:
    mean, scale = fit_zscore(lesson.train.features)
    return new_student(widths, mean, scale, seed, {"seed": seed})


def bytes_of(student: Student, folder: Path) -> bytes:
    student.save(folder / "student.safetensors")
    return (folder / "student.safetensors").read_bytes()


def test_the_loss_falls_and_the_student_ranks_as_its_teacher(lesson):
    schedule = Schedule(epochs=30, batch=40, learning_rate=0.01)
    start = untrained(lesson)
    student, history = train(start, lesson, schedule, seed=1)
    assert [record["epoch"] for record in history] == list(range(1, 31))
    assert history[-1]["loss"] < 0.2 * history[0]["loss"]
    rows = lesson.train.features
    before, after = (np.mean((s.predict(rows) - lesson.targets) ** 2) for s in (start, student))
    assert after < 0.2 * before
    assert np.corrcoef(student.predict(lesson.vali.features), lesson.teacher(lesson.vali.features))[
        0, 1
    ] > 0.9  # fmt: skip


def test_the_recorded_loss_is_the_mean_squared_error(lesson):
    """One step of one epoch: the loss before it is the start's own error, on real rows alone."""
    schedule = Schedule(epochs=1, batch=10_000, learning_rate=0.01, synthetic_per_real=0.0)
    start = untrained(lesson)
    _, history = train(start, lesson, schedule, seed=1)
    expected = np.mean((start.predict(lesson.train.features) - lesson.targets) ** 2)
    # float32 sums of 240 squares.
    assert history[0]["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_best_epoch_by_vali_is_kept(lesson):
    """A rate so high that the ranking goes up and down; dropout stays out of validation."""
    schedule = replace(SHORT, epochs=12, learning_rate=0.1, dropout=0.2)
    student, history = train(untrained(lesson), lesson, schedule, seed=6)
    curve = [record["ndcg_vali"] for record in history]
    best = int(np.argmax(curve))
    assert best < len(curve) - 1, "the last epoch would hide a student that is not the best"
    # Float32 in training, float64 here: near-ties may swap, so the same bytes are compared.
    again, _ = train(untrained(lesson), lesson, replace(schedule, epochs=best + 1), seed=6)
    assert all(np.array_equal(a, b) for a, b in zip(student.weights, again.weights, strict=True))
    vali = lesson.vali
    ndcg = per_query("ndcg@10", student.predict(vali.features), vali.labels, vali.offsets).mean()
    assert ndcg == pytest.approx(curve[best], abs=1e-3)


def test_of_equal_epochs_the_first_is_kept(lesson):
    """Without a relevant document every ranking of vali counts 1."""
    flat = replace(lesson.vali, labels=np.zeros_like(lesson.vali.labels))
    even = replace(lesson, vali=flat)
    student, history = train(untrained(even), even, SHORT, seed=1)
    assert [record["ndcg_vali"] for record in history] == [1.0] * 4
    first, _ = train(untrained(even), even, replace(SHORT, epochs=1), seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(student.weights, first.weights, strict=True))


def test_the_same_seed_gives_the_same_bytes_and_another_differs(lesson, tmp_path):
    found = [
        bytes_of(train(untrained(lesson, 1), lesson, SHORT, seed)[0], tmp_path)
        for seed in (1, 1, 2)
    ]
    assert found[0] == found[1]
    assert found[0] != found[2], "the seed decides the order and the synthetic documents"
    assert bytes_of(untrained(lesson, 1), tmp_path) == bytes_of(untrained(lesson, 1), tmp_path)
    other = new_student((16, 8), *fit_zscore(lesson.train.features), 2, {"seed": 1})
    assert bytes_of(untrained(lesson, 1), tmp_path) != bytes_of(other, tmp_path)


def test_the_learning_rate_follows_the_cosine(lesson):
    schedule = Schedule(epochs=4, batch=120, learning_rate=0.02, decay="cosine")
    for epoch, part in ((1, 0.0), (1, 0.5), (3, 0.0), (4, 0.75)):
        expected = 0.02 * (1 + np.cos(np.pi * (epoch - 1 + part) / 4)) / 2
        assert schedule.rate(epoch, part) == pytest.approx(expected, rel=1e-12)
    _, history = train(untrained(lesson), lesson, schedule, 1)
    rates = [record["learning_rate"] for record in history]
    assert rates == pytest.approx([schedule.rate(epoch) for epoch in (1, 2, 3, 4)], rel=1e-12)


def test_the_same_network_learns_from_labels_without_a_teacher(lesson, tmp_path):
    class Silent:
        def __call__(self, rows: np.ndarray) -> np.ndarray:
            raise AssertionError("the teacher was asked")

    blind = replace(lesson, teacher=Silent(), targets=np.full_like(lesson.targets, np.nan))
    schedule = Schedule(epochs=30, batch=60, learning_rate=0.01, learn_from="labels")
    student, history = train(untrained(lesson), blind, schedule, 1)
    before, after = (
        per_query("ndcg@10", model.predict(vali.features), vali.labels, vali.offsets).mean()
        for vali in (lesson.vali,)
        for model in (untrained(lesson), student)
    )
    assert after > before + 0.1
    assert history[-1]["loss"] < history[0]["loss"]
    again, _ = train(untrained(lesson), blind, schedule, 1)
    assert bytes_of(again, tmp_path) == bytes_of(student, tmp_path)


def test_what_is_quick_is_taken(monkeypatch):
    for compute in ("fp32", "bf16", "int8"):
        assert products_of(replace(SHORT, compute=compute), "cpu") == compute
    assert products_of(SHORT, "cpu") == "fp32", "if nothing else is said"
    auto, no_vnni = replace(SHORT, compute="auto"), {"avx512_bf16": True}
    xeon = {"cpu_name": "Intel Xeon", "avx512_bf16": True}
    for known, int8, expected in (
        (no_vnni, "", "bf16"), (no_vnni, "avx512", "int8"),
        ({"amx_bf16": True, "avx512_bf16": False}, "avx512", "bf16"), ({"avx2": True}, "", "fp32"),
        (xeon, "", "bf16"), (xeon | {"avx512_fp16": True}, "", "fp32"),
        (xeon | {"avx512_fp16": True}, "avx512", "int8"),
        (xeon | {"avx512_fp16": True, "amx_bf16": True}, "avx512", "bf16"),
        (xeon | {"avx512_fp16": True, "cpu_name": "AMD EPYC"}, "", "bf16"),
    ):  # fmt: skip
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda known=known: known)
        monkeypatch.setattr(
            NativeGradient, "instructions", lambda precision, library, int8=int8: int8
        )
        assert products_of(auto, "cpu", plain=True) == expected
        without = products_of(auto, "cpu", plain=False)
        assert without == expected or (expected == "int8" and without in ("fp32", "bf16"))
        assert products_of(replace(auto, learn_from="labels"), "cpu") == "fp32", "many sizes"


@pytest.mark.parametrize("compute", ["bf16", pytest.param("int8", marks=needs_vnni)])
def test_coarser_products_learn_as_well_and_repeat_themselves(lesson, tmp_path, compute):
    schedule = Schedule(epochs=20, batch=40, learning_rate=0.01)
    losses, found = {}, []
    for way in ("fp32", compute, compute):
        student, history = train(untrained(lesson), lesson, replace(schedule, compute=way), seed=1)
        losses[way] = history[-1]["loss"]
        found.append(bytes_of(student, tmp_path))
    assert found[0] != found[1] == found[2]
    # Products have 8 bits of mantissa, or less: the loss falls as far, give or take.
    assert losses[compute] < 1.3 * losses["fp32"]


def test_masks_may_change_before_each_epoch(lesson):
    start, asked = untrained(lesson), []

    def masks(epoch: int, now: Student) -> list[np.ndarray | None]:
        asked.append((epoch, now.sparsity(0)))
        return masks_for(now, [1], 0.2 * epoch)

    student, history = train(start, lesson, SHORT, 1, masks=masks, select_from=3)
    assert [epoch for epoch, _ in asked] == [1, 1, 2, 3, 4]
    np.testing.assert_allclose([share for _, share in asked], [0, 0.2, 0.2, 0.4, 0.6], atol=0.01)
    chosen = max(history[2:], key=lambda record: record["ndcg_vali"])["epoch"]
    assert student.sparsity(0) == pytest.approx(0.2 * chosen, abs=0.01)


def test_dropout_follows_the_seed_too(lesson, tmp_path):
    schedule = replace(SHORT, dropout=0.5)
    found = []
    for noise in (0, 1):
        torch.manual_seed(noise)  # what ran before must not matter
        found.append(bytes_of(train(untrained(lesson), lesson, schedule, 1)[0], tmp_path))
    assert found[0] == found[1]
    assert found[0] != bytes_of(train(untrained(lesson), lesson, SHORT, 1)[0], tmp_path)


def test_no_label_of_train_is_used(lesson, tmp_path):
    generator = np.random.default_rng(0)
    shuffled = generator.permutation(np.array(lesson.train.labels))
    assert not np.array_equal(shuffled, lesson.train.labels)
    blind = replace(lesson, train=replace(lesson.train, labels=shuffled))
    found = [bytes_of(train(untrained(x), x, SHORT, 1)[0], tmp_path) for x in (lesson, blind)]
    assert found[0] == found[1]


def test_the_start_is_not_changed(lesson, tmp_path):
    start = untrained(lesson)
    before = bytes_of(start, tmp_path)
    train(start, lesson, SHORT, 1)
    assert bytes_of(start, tmp_path) == before


def test_pruned_weights_stay_zero_and_the_others_move(lesson):
    start = untrained(lesson)
    masks = masks_for(start, [1, 2], 0.7)
    student, _ = train(
        start, lesson, replace(SHORT, weight_decay=0.01), 1, masks=lambda epoch, now: masks
    )
    for layer in (0, 1):
        assert (student.weights[layer][~masks[layer]] == 0).all()
        assert student.sparsity(layer) == 1 - np.count_nonzero(masks[layer]) / masks[layer].size
        moved = student.weights[layer][masks[layer]] != start.weights[layer][masks[layer]]
        assert moved.mean() > 0.9
    assert student.sparsity(2) == 0.0


def test_the_learning_rate_decays_after_the_named_epochs(lesson):
    schedule = Schedule(
        epochs=6, batch=500, learning_rate=0.02, decay_at=[2, 4], decay_by=0.5,
        synthetic_per_real=0.0,
    )  # fmt: skip
    _, history = train(untrained(lesson), lesson, schedule, 1)
    rates = [record["learning_rate"] for record in history]
    assert rates == pytest.approx([0.02] * 2 + [0.01] * 2 + [0.005] * 2, rel=1e-12)


def test_a_decay_to_nothing_stops_the_learning(lesson):
    """The rate that is written down is the rate that is used."""
    schedule = replace(SHORT, decay_at=[1], decay_by=1e-30, synthetic_per_real=0.0)
    _, history = train(untrained(lesson), lesson, schedule, 1)
    assert len({record["ndcg_vali"] for record in history}) == 1
    losses = [record["loss"] for record in history[1:]]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5), "batches differ, weights do not"


class CountingTeacher:
    """Scores nothing but counts, and checks that rows are synthetic."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.rows: list[np.ndarray] = []

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        self.sizes.append(len(rows))
        self.rows.append(rows)
        return np.zeros(len(rows))


@pytest.mark.parametrize(
    ("per_real", "expected"), [(0.0, []), (1.0, [100, 100, 40]), (0.5, [50, 50, 20])]
)
def test_each_batch_gets_its_share_of_new_synthetic_documents(lesson, per_real, expected):
    teacher = CountingTeacher()
    schedule = Schedule(2, 100, 0.01, synthetic_per_real=per_real)
    train(untrained(lesson), replace(lesson, teacher=teacher), schedule, 1)
    assert teacher.sizes == expected * 2, "240 documents in batches of 100, two epochs"
    if teacher.rows:
        first, second = teacher.rows[0], teacher.rows[len(expected)]
        assert not np.array_equal(first, second), "drawn anew"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_no_number_names_the_step_and_its_batch(lesson):
    class Broken(CountingTeacher):
        def __call__(self, rows: np.ndarray) -> np.ndarray:
            super().__call__(rows)
            return np.full(len(rows), np.nan if len(self.sizes) == 6 else 0.0)

    schedule = Schedule(3, 60, 0.01)  # four steps an epoch
    with pytest.raises(ValueError) as raised:
        train(untrained(lesson), replace(lesson, teacher=Broken()), schedule, 1)
    said = str(raised.value)
    assert said.startswith("the loss became nan in step 2 of epoch 2, whose 120 documents have")
    assert "z-scores from -" in said
    assert said.endswith("lower the recipe's learning_rate (0.01)")


def test_a_target_that_is_no_number_is_counted(lesson):
    targets = lesson.targets.copy()
    targets[17] = np.nan
    schedule = Schedule(1, 240, 0.01, synthetic_per_real=0.0)
    with pytest.raises(ValueError, match=r"step 1 of epoch 1.* targets from nan .*1 not finite"):
        train(untrained(lesson), replace(lesson, targets=targets), schedule, 1)


@pytest.mark.parametrize("no_relevant", [1.0, 0.0, None])
def test_validation_takes_the_convention_of_the_config(lesson, no_relevant):
    """One of 12 vali queries has no relevant document."""
    curves = {}
    for value in (no_relevant, 1.0):
        _, history = train(untrained(lesson), lesson, SHORT, 1, no_relevant=value)
        curves[value] = np.array([record["ndcg_vali"] for record in history])
    with_one = curves[1.0]
    without = (12 * with_one - 1) / 11
    expected = {1.0: with_one, 0.0: without * 11 / 12, None: without}[no_relevant]
    np.testing.assert_allclose(curves[no_relevant], expected, rtol=1e-9)


def test_new_students_have_the_asked_shape_and_bounds():
    student = new_student([30, 20], np.zeros(8), np.ones(8), 3, {"kind": "network"})
    assert student.architecture == "8-30-20-1"
    assert student.meta == {"kind": "network"}
    for weight, bias, inputs in zip(student.weights, student.biases, (8, 30, 20), strict=True):
        for array in (weight, bias):
            assert np.abs(array).max() <= np.float32(inputs**-0.5)
        assert np.abs(weight).max() > 0.8 * inputs**-0.5
        assert weight.dtype == bias.dtype == np.float32


def test_the_history_is_one_line_an_epoch(tmp_path):
    records = [dict(zip(history_of(), (n, n / 2, 0.5, 0.1, 1.5, 9.0), strict=True)) for n in (1, 2)]
    write_history(tmp_path / "history.csv", records)
    with (tmp_path / "history.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [{key: float(value) for key, value in line.items()} for line in read] == records
    assert tuple(read[0]) == history_of()


def test_the_schedules_keys_are_those_of_the_configs_schema():
    schema = yaml.safe_load(SCHEMA.read_text())["$defs"]["schedule"]
    assert set(schema["properties"]) == {field.name for field in fields(Schedule)}, (
        "name the same keys in distilrank.distil.Schedule and in config/schema.yaml"
    )


def test_the_lesson_is_what_lies_on_disk(lesson, fold, teacher_booster, splits):
    rows = splits["train"].features
    assert np.array_equal(lesson.train.features, rows)
    assert np.array_equal(lesson.vali.labels, splits["vali"].labels)
    assert lesson.targets.tolist() == teacher_booster.predict(rows, raw_score=True).tolist()
    np.testing.assert_allclose(lesson.teacher(rows[:5]), lesson.targets[:5], rtol=0, atol=1e-5)


def narrow(midpoints: Midpoints) -> Midpoints:
    return Midpoints(midpoints.values[: midpoints.offsets[-2]], midpoints.offsets[:-1])


def test_a_teacher_of_other_features_is_refused(fold, native_library, tmp_path):
    path = tmp_path / "midpoints.safetensors"
    narrow(Midpoints.load(fold.teacher["midpoints"])).save(path)
    with pytest.raises(ValueError) as raised:
        open_lesson(fold.data, fold.teacher | {"midpoints": path}, native_library)
    assert str(raised.value) == (
        "the teacher knows 240 documents of 7 features, the train split has 240 of 8"
    )


def test_a_teacher_of_other_documents_is_refused(fold, native_library, tmp_path):
    np.save(tmp_path / "targets.npy", np.zeros(239))
    with pytest.raises(ValueError, match="knows 239 documents of 8 features"):
        open_lesson(fold.data, fold.teacher | {"targets": tmp_path / "targets.npy"}, native_library)


def test_a_forest_of_other_features_is_refused(fold, native_library, splits, tmp_path):
    """Its midpoints and scores fit, its model file does not."""
    wider = {
        name: replace(split, features=np.column_stack([split.features, split.features[:, :1]]))
        for name, split in splits.items()
    }
    train_booster(wider, trees=2).save_model(tmp_path / "model.txt")
    with pytest.raises(ValueError) as raised:
        open_lesson(fold.data, fold.teacher | {"model": tmp_path / "model.txt"}, native_library)
    assert str(raised.value) == ("the teacher's model reads 9 features, the train split has 8")


def test_the_teachers_score_takes_mapped_rows(fold, teacher_booster):
    mapped = Dataset.open(fold.data["vali"]).features
    expected = teacher_booster.predict(np.array(mapped), raw_score=True)
    assert score(teacher_booster, mapped, 1).tolist() == expected.tolist()
