"""A child process that holds engines, and the parent's handle on it.

Each timed engine lives in a child of its own: its threads are limited from before its library is
imported, libraries do not disturb each other, and a crash names the engine. The two sides
exchange lines of JSON over pipes.
"""

from distilrank.job import end_with_parent

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.engines import load_model, make_engine
from distilrank.files import write_array
from distilrank.sweep import KERNELS, Bench, Point
from distilrank.timing import DOCUMENTS_AT_MOST, Sampler

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS",
)  # fmt: skip
_TAIL = 2000  # characters of a dead child's last words


class WorkerError(RuntimeError):
    """A child failed or died; the sentence names what it was doing."""


class Worker:
    """A child process. ``send`` returns at once, ``receive`` waits: many children load at once."""

    def __init__(self, name: str, threads: int = 1) -> None:
        """Start the child.

        Args:
            name: what error sentences call it: an engine's name.
            threads: for every library in the child.
        """
        self.name = name
        self._doing = "starting"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        package = str(Path(__file__).resolve().parent.parent)
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {variable: str(threads) for variable in _THREAD_VARIABLES}
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "distilrank.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            text=True,
        )

    def send(self, do: str, **arguments: Any) -> None:
        """Ask for one piece of work; exactly one ``receive`` belongs to it."""
        self._doing = do
        try:
            self._stdin.write(json.dumps({"do": do} | arguments) + "\n")
            self._stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def receive(self) -> dict[str, Any]:
        """The answer to the last ``send``.

        Raises:
            WorkerError: if the work failed or the child died.
        """
        line = self._stdout.readline()
        if not line:
            raise self._died()
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"engine {self.name} failed in '{self._doing}': {answer['error']}")
        return answer

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """``send`` and ``receive``."""
        self.send(do, **arguments)
        return self.receive()

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """End the child and wait for it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._stdin, self._stdout, self._errors):
            try:
                stream.close()
            except BrokenPipeError:
                continue

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    @property
    def _stdout(self) -> Any:
        return self._process.stdout

    def _died(self) -> WorkerError:
        status = self._process.wait()
        how = f"exit status {status}"
        if status < 0:
            how = f"signal {signal.Signals(-status).name}"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace")[-_TAIL:].strip()
        ending = f"; it last said: {said}" if said else ""
        return WorkerError(f"engine {self.name} died in '{self._doing}' with {how}{ending}")


class _Child:
    """What the child can be asked to do; each method's arguments come from one line of JSON."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}
        self._rows: dict[tuple[str, bool], np.ndarray] = {}
        self._engines: dict[tuple[str, int], Any] = {}
        self._samplers: dict[tuple[str, int], Sampler] = {}

    def load(self, engine: str, model: str, batches: list[int], threads: int = 1) -> dict[str, Any]:
        """Load ``engine`` for each batch; answers ``describe`` by batch, or a ``reason``."""
        loaded = self._model(model)
        describe = {}
        for batch in batches:
            instance = make_engine(engine)
            reason = instance.supports(loaded)
            if reason:
                return {"reason": reason}
            try:
                instance.load(loaded, batch, threads)
            except (RuntimeError, ValueError, OSError) as error:
                return {"reason": f"it could not load the model: {error}"}
            self._engines[engine, batch] = instance
            describe[str(batch)] = instance.describe()
        return {"describe": describe}

    def score(
        self, engine: str, batch: int, features: str, documents: int, output: str
    ) -> dict[str, Any]:
        """Score the first ``documents`` rows into the ``.npy`` file ``output``, float64."""
        rows = self._features(features, whole=True)[:documents]
        instance = self._engines[engine, batch]
        scores = np.empty(len(rows), dtype=np.float64)
        for start in range(0, len(rows), batch):
            window = np.ascontiguousarray(rows[start : start + batch])
            scores[start : start + batch] = instance.score(window)
        write_array(output, scores)
        return {}

    def pin(self, cores: list[int]) -> dict[str, Any]:
        """Keep every thread on ``cores``.

        Before loading, so that a library sees as many cores as it may use: OpenVINO then scores
        in the calling thread, and saves 70 us a call.
        """
        # Each thread has an affinity of its own, inherited from its creator.
        for thread in Path("/proc/self/task").glob("*") if cores else ():
            os.sched_setaffinity(int(thread.name), cores)
        return {}

    def quiet(self) -> dict[str, Any]:
        """Collect no garbage from now on."""
        gc.collect()
        gc.freeze()
        gc.disable()
        return {}

    def sample(self, engine: str, batch: int, features: str, milliseconds: float) -> dict[str, Any]:
        """Time the loaded engine once: ``microseconds`` a document."""
        key = engine, batch
        if key not in self._samplers:
            rows = self._features(features, whole=False)
            self._samplers[key] = Sampler(self._engines[key], rows, batch)
        return {"microseconds": self._samplers[key].sample(milliseconds)}

    def prepare_kernel(
        self, kind: str, kernel: str, points: list[dict[str, Any]], batches: list[int]
    ) -> dict[str, Any]:
        """Prepare one kernel's layers for the sweep: their ``facts``, or a ``reason``."""
        reason = KERNELS[kind][kernel].unavailable()
        if reason:
            return {"reason": reason}
        self._bench = Bench(kind, kernel, [Point(**point) for point in points], batches)
        return {"facts": self._bench.facts}

    def sample_kernel(self, order: list[int], milliseconds: float) -> dict[str, Any]:
        """Time the prepared layers in the given order: ``microseconds`` a call, so ordered."""
        return {"microseconds": [self._bench.sample(index, milliseconds) for index in order]}

    def _model(self, path: str) -> Any:
        if path not in self._models:
            self._models[path] = load_model(path)
        return self._models[path]

    def _features(self, path: str, whole: bool) -> np.ndarray:
        if (path, whole) not in self._rows:
            # A plain view: slicing a memmap object is ten times slower than slicing an array.
            rows = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            if not whole:
                rows = np.array(rows[:DOCUMENTS_AT_MOST], dtype=np.float32)
            self._rows[path, whole] = rows
        return self._rows[path, whole]


_COMMANDS = ("pin", "load", "score", "quiet", "sample", "prepare_kernel", "sample_kernel")


def _serve() -> None:
    """Answer requests until the parent closes the pipe or dies."""
    end_with_parent()
    # Libraries that print must not print into the protocol.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    child = _Child()
    for line in sys.stdin:
        request = json.loads(line)
        do = request.pop("do")
        try:
            if do not in _COMMANDS:
                raise ValueError(f"there is no request {do!r}")
            answer = getattr(child, do)(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
