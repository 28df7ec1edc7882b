"""Sampling, order and statistics of timings, and the child processes that hold engines."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny import random_student

from distilrank.engines.base import Engine, SelfTimedEngine
from distilrank.timing import (
    CALLS_AT_LEAST,
    Sampler,
    core_sets,
    enough_rows,
    round_order,
    summarise,
)
from distilrank.worker import Worker, WorkerError


class Recorder(Engine):
    """Notes the first value of every window it is given."""

    name, kind = "recorder", "network"

    def __init__(self):
        self.seen = []

    def supports(self, model):
        return None

    def load(self, model, batch, threads=1):
        pass

    def score(self, rows):
        self.seen.append((float(rows[0, 0]), len(rows)))
        time.sleep(1e-4)
        return rows[:, 0]

    def describe(self):
        return {}


class SelfTimer(Recorder, SelfTimedEngine):
    def self_timed(self, rows):
        self.seen.append((float(rows[0, 0]), len(rows)))
        return 0.5


def numbered(count):
    return np.arange(count, dtype=np.float32)[:, None].repeat(3, axis=1)


def test_samples_walk_on_through_whole_windows():
    engine = Recorder()
    sampler = Sampler(engine, numbered(10), batch=3)
    sampler.sample(0.2)
    sampler.sample(0.2)
    starts = [start for start, _ in engine.seen]
    # Three whole windows fit ten rows; the last row starts no window.
    assert starts == [3.0 * (call % 3) for call in range(len(starts))]
    assert {count for _, count in engine.seen} == {3}
    assert len(starts) >= 2 * CALLS_AT_LEAST


def test_self_timed_engines_time_themselves_per_document():
    engine = SelfTimer()
    sampler = Sampler(engine, numbered(40), batch=4)
    assert sampler.sample(5) == pytest.approx(0.5 / 4 * 1e6)
    assert all(count % 4 == 0 for _, count in engine.seen)


@pytest.mark.parametrize(("documents", "batch"), [(1, 7), (3, 7), (7, 7), (8, 7)])
def test_few_documents_are_repeated_to_fill_a_window(documents, batch):
    rows = enough_rows(numbered(documents), batch)
    assert len(rows) >= batch
    np.testing.assert_array_equal(rows[:, 0], np.arange(len(rows)) % documents)


def test_no_documents_at_all_is_an_error():
    with pytest.raises(ValueError, match="no documents"):
        enough_rows(np.empty((0, 3), np.float32), 1)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_round_has_every_engine_once_and_followers_change(count):
    names = [f"engine{number}" for number in range(count)]
    orders = [round_order(names, number) for number in range(-1, 2 * count)]
    assert all(sorted(order) == names for order in orders)
    assert {order[0] for order in orders} == set(names)
    if count > 2:
        followers = {tuple(order[at : at + 2]) for order in orders for at in range(count - 1)}
        assert len({pair for pair in followers if pair[0] == "engine0"}) > 1


def test_no_engines_make_empty_rounds():
    assert round_order([], 3) == []


def test_statistics_keep_the_samples_and_their_quartiles():
    samples = [5.0, 1.0, 2.0, 4.0, 3.0]
    assert summarise(samples) == {"samples": samples, "median": 3.0, "q1": 2.0, "q3": 4.0}
    assert summarise([1.0, 2.0])["q1"] == 1.0 + 0.25 * (2.0 - 1.0)


@pytest.mark.parametrize("samples", [[], [0.0], [1.0, float("nan")], [-1.0]])
def test_times_that_cannot_be_are_refused(samples):
    with pytest.raises(ValueError, match="positive"):
        summarise(samples)


def test_core_sets_are_disjoint_and_allowed():
    allowed = os.sched_getaffinity(0)
    cores = [core for place in core_sets(1) for core in place]
    assert sorted(cores) == sorted(allowed)
    with pytest.raises(ValueError, match="threads asked for"):
        core_sets(len(allowed) + 1)


@pytest.fixture
def worker():
    with Worker("numpy") as child:
        yield child


@pytest.fixture
def student_file(tmp_path):
    path = tmp_path / "student.safetensors"
    random_student(np.random.default_rng(0)).save(path)
    return str(path)


def test_a_child_loads_scores_and_samples(worker, student_file, tmp_path):
    student = random_student(np.random.default_rng(0))
    rows = np.random.default_rng(1).normal(size=(10, 8)).astype(np.float32)
    np.save(tmp_path / "features.npy", rows)
    features, output = str(tmp_path / "features.npy"), str(tmp_path / "scores.npy")
    loaded = worker.ask("load", engine="numpy", model=student_file, batches=[4])
    assert "numpy" in loaded["describe"]["4"]
    worker.ask("score", engine="numpy", batch=4, features=features, documents=10, output=output)
    np.testing.assert_allclose(np.load(output), student.predict(rows), rtol=1e-4)
    worker.ask("quiet")
    answer = worker.ask("sample", engine="numpy", batch=4, features=features, milliseconds=0.1)
    assert answer["microseconds"] > 0


def test_a_child_answers_with_a_reason_where_an_engine_cannot_run(worker, student_file):
    answer = worker.ask("load", engine="scipy-csr+numpy", model=student_file, batches=[4])
    assert answer == {"reason": "first layer is dense"}


def test_a_failing_child_names_the_engine_and_lives_on(worker, student_file):
    with pytest.raises(WorkerError, match=r"engine numpy failed in 'load'.*FileNotFoundError"):
        worker.ask("load", engine="numpy", model="nowhere", batches=[1])
    assert worker.ask("load", engine="numpy", model=student_file, batches=[1])["describe"]


def test_an_unknown_request_is_an_error(worker):
    with pytest.raises(WorkerError, match="no request '_model'"):
        worker.ask("_model", path="x")


def test_a_crash_names_the_engine_and_the_signal(worker):
    worker.ask("quiet")
    os.kill(worker.pid, signal.SIGSEGV)
    with pytest.raises(WorkerError, match=r"engine numpy died in 'quiet' with signal SIGSEGV"):
        worker.ask("quiet")


def test_a_dying_childs_last_words_are_in_the_error(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.exit('no luck today')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Worker("numpy") as child, pytest.raises(WorkerError, match="no luck today"):
        child.ask("quiet")


def test_children_die_with_their_parent():
    code = (
        "import os, time; from distilrank.worker import Worker; w = Worker('x'); w.ask('quiet'); "
        "print(w.pid, flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in _state(child):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"
