"""distilrank.job: everything in the log, one sentence on the console, no orphans."""

import logging
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from distilrank import job
from distilrank.progress import progress

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _outlive_the_parent(monkeypatch):
    """The test process itself is not a job."""
    monkeypatch.setattr(job, "end_with_parent", lambda: None)


def test_a_job_logs_messages_and_warnings_to_its_own_file(tmp_path, capsys):
    log = tmp_path / "deep" / "job.log"
    handlers = list(logging.getLogger().handlers)
    with job.job(log):
        logging.info("seed %d", 3)
        warnings.warn("odd data", stacklevel=1)
    logging.info("after the job")
    text = log.read_text()
    assert "INFO seed 3" in text
    assert "odd data" in text
    assert "after the job" not in text
    assert logging.getLogger().handlers == handlers
    assert capsys.readouterr().out == ""


def test_a_failure_is_one_sentence_and_a_traceback_in_the_log(tmp_path, capsys):
    log = tmp_path / "job.log"
    with pytest.raises(SystemExit) as raised, job.job(log):
        raise ValueError("train.txt, line 3: label 'x'")
    assert raised.value.code == 1
    assert capsys.readouterr().err == f"error: train.txt, line 3: label 'x' (traceback in {log})\n"
    assert "Traceback (most recent call last)" in log.read_text()
    assert "ValueError: train.txt, line 3" in log.read_text()


def test_an_error_without_words_is_named_by_its_type(tmp_path, capsys):
    with pytest.raises(SystemExit), job.job(tmp_path / "job.log"):
        raise MemoryError
    assert capsys.readouterr().err.startswith("error: MemoryError (")


def test_a_second_run_starts_a_new_log(tmp_path):
    for text in ("first", "second"):
        with job.job(tmp_path / "job.log"):
            logging.info(text)
    assert "first" not in (tmp_path / "job.log").read_text()


def test_progress_passes_everything_on_and_is_silent_in_a_file(capsys):
    assert list(progress(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_job_ends_when_its_parent_is_killed(tmp_path):
    child = (
        "import time; from distilrank.job import job\n"
        f"with job({str(tmp_path / 'job.log')!r}):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(30)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        # The child holds the pipe open: it reads to its end only once the child is gone.
        rest, _ = process.communicate(timeout=10)
    assert rest == b""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize("begins", ["", "snakemake = None\n"])
def test_a_job_whose_scheduler_died_while_it_started_does_nothing(tmp_path, begins):
    """A script that Snakemake started ends at its first import: the others may take seconds."""
    with subprocess.Popen(["true"]) as gone:
        pass
    program = (
        f"{begins}from distilrank.job import job\n{'print(1)' if begins else ''}\n"
        f"with job({str(tmp_path / 'job.log')!r}): print('on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {job.SCHEDULER: str(gone.pid)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "the scheduler that started this job is gone; so the job ends\n"


def test_a_full_disk_does_not_hide_the_jobs_own_error(capsys):
    """/dev/full takes no byte, as a full disk does."""
    with pytest.raises(SystemExit) as ended, job.job("/dev/full"):
        raise OSError(28, "No space left on device")
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: [Errno 28] No space left on device")
    assert "Traceback" not in said
