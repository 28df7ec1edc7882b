"""distilrank.checkpoint: a training that was cut off ends with the bytes it would have had."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distilrank.checkpoint import Checkpoint, digest
from distilrank.distil import (
    Lesson,
    Masks,
    Schedule,
    checkpoint_beside,
    new_student,
    open_lesson,
    train,
)
from distilrank.pruning import masks_for
from distilrank.scaling import fit_zscore
from distilrank.student import Student

SCHEDULE = Schedule(epochs=5, batch=60, learning_rate=0.02, decay_at=[3], dropout=0.3)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def lesson(fold, native_library: Path) -> Lesson:
    return open_lesson(fold.data, fold.teacher, native_library)


@pytest.fixture(scope="module")
def start(lesson: Lesson) -> Student:
    return new_student([12, 6], *fit_zscore(lesson.train.features), 1, {"seed": 1})


class Cut(Exception):
    """The job is killed here."""


def cut_after(lesson: Lesson, batches: int) -> Lesson:
    """The same lesson, whose teacher dies when it is asked once more."""
    asked = []

    def teacher(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        if len(asked) > batches:
            raise Cut
        return lesson.teacher(rows)

    return replace(lesson, teacher=teacher)


def checkpoint(folder: Path, start: Student, lesson: Lesson, **settings) -> Checkpoint:
    made = checkpoint_beside(folder / "sp0.safetensors", start, lesson, settings)
    made.seconds = 0
    return made


def bytes_of(student: Student, folder: Path) -> bytes:
    student.save(folder / "student.safetensors")
    return (folder / "student.safetensors").read_bytes()


# An epoch has four batches, and a job of one thread makes four ahead.
@pytest.mark.parametrize("batches", [4, 9, 13, 16])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_cut_training_ends_with_the_same_bytes(lesson, start, tmp_path, batches, precision):
    half = masks_for(start, [1], 0.5)

    def masks(epoch: int, now: Student) -> Masks:
        return half

    whole, history = train(start, lesson, SCHEDULE, 1, masks=masks, precision=precision)
    first = checkpoint(tmp_path, start, lesson)
    with pytest.raises(Cut):
        train(start, cut_after(lesson, batches), SCHEDULE, 1, masks=masks, precision=precision,
              checkpoint=first)  # fmt: skip
    assert (tmp_path / "sp0.checkpoint").exists()
    torch.manual_seed(99)  # what happened in between must not matter
    counted = cut_after(lesson, 20)
    again, resumed = train(
        start, counted, SCHEDULE, 1, masks=masks, precision=precision,
        checkpoint=checkpoint(tmp_path, start, lesson),
    )  # fmt: skip
    assert bytes_of(again, tmp_path) == bytes_of(whole, tmp_path)
    for one, other in zip(history, resumed, strict=True):
        assert {k: one[k] for k in ("epoch", "loss", "ndcg_vali", "learning_rate")} == {
            k: other[k] for k in ("epoch", "loss", "ndcg_vali", "learning_rate")
        }


def test_a_finished_epoch_is_not_done_again(lesson, start, tmp_path):
    with pytest.raises(Cut):
        train(
            start,
            cut_after(lesson, 12),
            SCHEDULE,
            1,
            checkpoint=checkpoint(tmp_path, start, lesson),
        )
    # Three epochs are done; two of four batches are left.
    train(start, cut_after(lesson, 8), SCHEDULE, 1, checkpoint=checkpoint(tmp_path, start, lesson))
    with pytest.raises(Cut):
        train(start, cut_after(lesson, 8), SCHEDULE, 1)


def cut(lesson, start, folder, **settings) -> None:
    with pytest.raises(Cut):
        train(start, cut_after(lesson, 8), SCHEDULE, 1,
              checkpoint=checkpoint(folder, start, lesson, **settings))  # fmt: skip


def warned(caplog) -> str:
    return "\n".join(r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)


def test_a_checkpoint_of_another_run_is_not_used(lesson, start, tmp_path, caplog):
    cut(lesson, start, tmp_path, learning_rate=0.1)
    other = checkpoint(tmp_path, start, lesson, learning_rate=0.2)
    whole, _ = train(start, lesson, SCHEDULE, 1)
    again, history = train(start, lesson, SCHEDULE, 1, checkpoint=other)
    assert len(history) == 5
    assert bytes_of(again, tmp_path) == bytes_of(whole, tmp_path)
    assert warned(caplog) == (
        f"{tmp_path / 'sp0.checkpoint'} is not gone on from: its settings is "
        "{'learning_rate': 0.1}, this training's is {'learning_rate': 0.2}; starting over"
    )


def test_a_checkpoint_of_another_architecture_is_not_used(lesson, start, tmp_path, caplog):
    cut(lesson, start, tmp_path)
    wider = new_student([16], *fit_zscore(lesson.train.features), 1, {"seed": 1})
    again, _ = train(wider, lesson, SCHEDULE, 1, checkpoint=checkpoint(tmp_path, wider, lesson))
    assert again.architecture == "8-16-1"
    assert "its architecture is '8-12-6-1', this training's is '8-16-1'" in warned(caplog)


def test_tensors_of_another_architecture_are_not_used(lesson, start, tmp_path, caplog):
    """The file's identity may lie; its tensors are looked at before any is used."""
    cut(lesson, start, tmp_path)
    wider = new_student([16], *fit_zscore(lesson.train.features), 1, {"seed": 1})
    lying = checkpoint(tmp_path, start, lesson)
    whole, _ = train(wider, lesson, SCHEDULE, 1)
    again, _ = train(wider, lesson, SCHEDULE, 1, checkpoint=lying)
    assert bytes_of(again, tmp_path) == bytes_of(whole, tmp_path)
    assert "it holds a network of another architecture" in warned(caplog)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x10\0\0\0\0\0\0\0" + b"{" * 16])
def test_a_damaged_checkpoint_is_not_used(lesson, start, tmp_path, caplog, content):
    made = checkpoint(tmp_path, start, lesson)
    made.path.write_bytes(content)
    _, history = train(start, lesson, SCHEDULE, 1, checkpoint=made)
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5]
    assert "starting over" in warned(caplog)


def test_a_cut_file_is_not_used(lesson, start, tmp_path, caplog):
    cut(lesson, start, tmp_path)
    path = tmp_path / "sp0.checkpoint"
    path.write_bytes(path.read_bytes()[:-40])
    train(start, lesson, SCHEDULE, 1, checkpoint=checkpoint(tmp_path, start, lesson))
    assert "starting over" in warned(caplog)


def test_it_is_written_no_more_often_than_asked(lesson, start, tmp_path):
    seldom = checkpoint(tmp_path, start, lesson)
    seldom.seconds = 3600
    train(start, lesson, SCHEDULE, 1, checkpoint=seldom)
    assert not seldom.path.exists()
    seldom.remove()  # nothing to remove is no error


def test_the_digest_tells_arrays_apart():
    one = np.arange(6, dtype=np.float32)
    others = [one.astype(np.float64), one.reshape(2, 3), one + 1]
    assert len({digest([array]) for array in (one, *others)}) == 4
    assert digest([one]) == digest([one.copy()])
