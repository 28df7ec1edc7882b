"""distilrank.feed: batches are made of seed, epoch and step alone, and hold what they should."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distilrank.distil import Lesson, Schedule, new_student, open_lesson
from distilrank.feed import Batch, Feed, ForestTeacher
from distilrank.letor import MISSING
from distilrank.scaling import fit_zscore
from distilrank.student import Student

SCHEDULE = Schedule(epochs=1, batch=70, learning_rate=0.01)


@pytest.fixture(scope="module")
def lesson(fold, native_library: Path) -> Lesson:
    return open_lesson(fold.data, fold.teacher, native_library)


@pytest.fixture(scope="module")
def student(lesson: Lesson) -> Student:
    mean, scale = fit_zscore(lesson.train.features)
    return new_student([4], mean, scale, 1, {})


def feed_of(lesson: Lesson, student: Student, seed: int = 3, **change) -> Feed:
    return lesson.feed(student, replace(SCHEDULE, **change), seed)


def same(one: Batch, other: Batch) -> bool:
    return np.array_equal(one.rows, other.rows) and np.array_equal(one.targets, other.targets)


def test_every_real_document_is_seen_once_an_epoch_with_its_own_target(lesson, student):
    feed = feed_of(lesson, student, synthetic_per_real=0.0)
    batches = list(feed.epoch(1, threads=2))
    assert [len(batch.rows) for batch in batches] == [70, 70, 70, 30]
    seen = np.concatenate([np.column_stack([batch.rows, batch.targets]) for batch in batches])
    standardised = student.standardised(lesson.train.features).astype(np.float32)
    expected = np.column_stack([standardised, lesson.targets.astype(np.float32)])
    assert sorted(seen.tolist()) == sorted(expected.tolist())


@pytest.mark.parametrize("per_real", [1.0, 0.5])
def test_synthetic_documents_lie_on_midpoints_and_have_the_teachers_scores(
    lesson, student, per_real
):
    feed = feed_of(lesson, student, synthetic_per_real=per_real)
    batch = feed.batch(2, 1)
    drawn = round(70 * per_real)
    assert batch.rows.shape == (70 + drawn, 8)
    assert len(feed.batch(2, 3).rows) == 30 + round(30 * per_real)
    raw = batch.rows[70:].astype(np.float64) * student.scale + student.mean
    midpoints = lesson.midpoints
    for feature, column in enumerate(raw.T):
        own = midpoints.values[midpoints.offsets[feature] : midpoints.offsets[feature + 1]]
        nearest = own[np.abs(own[:, None] - column).argmin(axis=0)]
        np.testing.assert_allclose(column, nearest, rtol=1e-5, atol=1e-5)
        raw[:, feature] = nearest
    expected = lesson.teacher(raw.astype(np.float32))
    np.testing.assert_allclose(batch.targets[70:], expected, rtol=0, atol=1e-6)


def test_by_query_every_query_is_whole_and_seen_once(lesson, student):
    """12 queries of 20 documents; a step takes those that begin among its 70 documents."""
    feed = feed_of(lesson, student, learn_from="labels")
    batches = list(feed.epoch(1, threads=2))
    assert [batch.sizes.tolist() for batch in batches] == [[20] * 4, [20] * 3, [20] * 4, [20]]
    standardised = student.standardised(lesson.train.features).astype(np.float32)
    queries = {rows.tobytes(): labels for rows, labels in zip(
        np.split(standardised, 12), np.split(lesson.train.labels, 12), strict=True)}  # fmt: skip
    seen = [
        (rows, labels)
        for batch in batches
        for rows, labels in zip(
            np.split(batch.rows, len(batch.sizes)), np.split(batch.targets, len(batch.sizes)),
            strict=True,
        )
    ]  # fmt: skip
    assert len({rows.tobytes() for rows, _ in seen}) == 12
    for rows, labels in seen:
        assert queries[rows.tobytes()].tolist() == labels.tolist()


def test_a_batch_is_the_same_whoever_makes_it_and_when(lesson, student):
    feed = feed_of(lesson, student)
    found = {
        (threads, background): list(feed.epoch(5, threads, background))
        for threads in (1, 3)
        for background in (False, True)
    }
    for batches in found.values():
        assert len(batches) == 4
        for step, batch in enumerate(batches):
            assert same(batch, feed.batch(5, step))
            assert batch.seed == feed.batch(5, step).seed
        assert len({batch.seed for batch in batches}) == 4


def test_epochs_steps_and_seeds_differ(lesson, student):
    feed = feed_of(lesson, student)
    first = feed.batch(1, 0)
    assert not same(first, feed.batch(2, 0))
    assert not same(first, feed.batch(1, 1))
    assert not same(first, feed_of(lesson, student, seed=4).batch(1, 0))
    assert not np.array_equal(feed.batch(1, 0).rows[70:], feed.batch(1, 1).rows[70:])


def test_what_fails_in_a_thread_is_raised(lesson, student):
    def broken(rows: np.ndarray) -> np.ndarray:
        raise ValueError("no teacher today")

    feed = feed_of(replace(lesson, teacher=broken), student)
    with pytest.raises(ValueError, match="no teacher today"):
        list(feed.epoch(1, 2))


def test_missing_values_are_filled_in(lesson, student):
    rows = np.array(lesson.train.features)
    rows[:, 2] = MISSING
    train = replace(lesson.train, features=rows)
    filling = replace(student, fill=student.mean.astype(np.float32))
    feed = feed_of(replace(lesson, train=train), filling, synthetic_per_real=0.0)
    batch = feed.batch(1, 0)
    expected = (filling.fill[2] - student.mean[2]) / student.scale[2]
    np.testing.assert_allclose(batch.rows[:, 2], expected, atol=1e-6)


def test_documents_are_drawn_as_the_midpoints_have_it(lesson, student):
    """Bit for bit, whatever their number: the library only does it faster."""
    feed = lesson.feed(student, SCHEDULE, 3)
    for count in (0, 1, 3, 70, 513):
        rows = np.empty((count, 8), np.float32)
        drawn = feed._synthetic.draw(np.random.default_rng(5), rows)
        assert np.array_equal(drawn, lesson.midpoints.draw(count, np.random.default_rng(5)))
        assert np.array_equal(rows, student.standardised(drawn).astype(np.float32))


def test_a_missing_value_that_nothing_stands_for_is_named(lesson, student):
    rows = np.array(lesson.train.features)
    rows[:, 2] = MISSING
    train = replace(lesson.train, features=rows)
    feed = feed_of(replace(lesson, train=train), student, synthetic_per_real=0.0)
    with pytest.raises(ValueError, match="feature 3 of row 0 is missing"):
        feed.batch(1, 0)


@pytest.mark.parametrize("change", [np.asfortranarray, lambda rows: rows.astype(np.float64)])
def test_features_that_are_no_rows_of_float32_are_refused(lesson, student, change):
    train = replace(lesson.train, features=change(np.array(lesson.train.features)))
    with pytest.raises(ValueError, match="expected float32, row after row"):
        feed_of(replace(lesson, train=train), student).batch(1, 0)


def test_a_forest_teacher_scores_from_many_threads(fold, native_library, teacher_booster):
    from concurrent.futures import ThreadPoolExecutor

    teacher = ForestTeacher(fold.teacher["model"], native_library)
    generator = np.random.default_rng(0)
    blocks = [generator.normal(size=(500, 8)).astype(np.float32) for _ in range(20)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(teacher, blocks))
    for block, scores in zip(blocks, found, strict=True):
        expected = teacher_booster.predict(block.astype(np.float64), raw_score=True)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
