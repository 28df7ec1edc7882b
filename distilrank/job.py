"""What a script runs in: a log with everything, one sentence on failure, an end with its parent.

Scripts import this first: before a job has loaded its libraries, which takes seconds on a machine
with other work, nobody would end it.
"""

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# The variable that tells jobs the scheduler's process id.
SCHEDULER = "DISTILRANK_SCHEDULER"


@contextmanager
def job(log: str | os.PathLike) -> Iterator[None]:
    """Run a script's work: log to the file ``log``, end with the parent, fail with one sentence.

    An uncaught exception leaves its traceback in the log; the console gets the exception's own
    sentence and the log's path, and the process exits with status 1.
    """
    end_with_parent()
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written must not hide the error
    try:
        yield
    except Exception as error:
        logging.exception("the job failed")
        print(f"error: {str(error) or type(error).__name__} (traceback in {log})", file=sys.stderr)
        sys.exit(1)
    finally:
        root.removeHandler(handler)
        # On a full disk the log cannot be finished; the job's own error is what matters then.
        with suppress(OSError):
            handler.close()


def end_with_parent() -> None:
    """Have Linux end this process when its parent dies, so that no orphan writes results.

    A job whose scheduler, process `SCHEDULER` of the environment, has died before Linux could be
    asked ends here.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        os.kill(int(os.environ.get(SCHEDULER, os.getpid())), 0)
    except ProcessLookupError:
        sys.exit("the scheduler that started this job is gone; so the job ends")


# Snakemake gives its scripts this name, before their first line.
if hasattr(sys.modules["__main__"], "snakemake"):
    end_with_parent()
