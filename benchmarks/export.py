"""What an exported model costs beside its arithmetic: loading, a call from Python, its weight.

    python benchmarks/export.py [--data FOLDER] [--wheel FILE] [--forest FILE] [--output FILE]

Run it from the repository after `snakemake native`, once the MSLR sample is there, on a machine
that does nothing else; it needs a C compiler. Networks are those of benchmarks/score.py, 98 % of
the first layer's weights zeros. The C example is compiled as its first lines say, and times itself;
Python times the engine native-fp32, as the workflow does, on the same documents in one call, in
interleaved rounds on one core. What a call from Python costs is its time less that of the same call
in the C example, for one document and a network of next to nothing. --wheel names what
`pip wheel . --no-deps` has built, --forest a LightGBM text whose loading is timed too, as that text
and as the file that an export holds.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import command
from benchmarks.score import NETWORKS, network
from distilrank.engines import make_engine
from distilrank.forest_file import save_forest
from distilrank.letor import Dataset
from distilrank.lightgbm_text import read_lightgbm_text
from distilrank.machine import machine_line
from distilrank.native import LIBRARY, find_library
from distilrank.scorer import Scorer
from distilrank.student import Student
from distilrank.timing import Sampler, summarise

ROOT = Path(__file__).parents[1]
SPARSITY = 0.98
DOCUMENTS = 1000
ROUNDS = 15
_MILLISECONDS = 20


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all, print a table, and give the samples."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = np.ascontiguousarray(Dataset.open(options.data / "test").features[:DOCUMENTS])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        example = compile_example(folder)
        networks = {name: network(NETWORKS[name], SPARSITY, rows) for name in NETWORKS}
        found = {
            "loading, ms": {
                f"net {name}": loading(saved(each, rows, folder)[0])
                for name, each in networks.items()
            },
            "us a document": {
                name: documents(each, rows, example) for name, each in networks.items()
            },
            "us a call": calls(network((), 0.0, rows[:, :8]), rows[:1, :8].copy(), example),
        }
    if options.forest:
        found["loading, ms"] |= loading_forest(options.forest)
    print(machine_line(), "", "| what | measured | asked for |", "|---|---|---|", sep="\n")
    for line in lines(found, options.wheel):
        print(f"| {line} |")
    return found


def lines(found: dict[str, Any], wheel: Path | None) -> list[str]:
    """The table's rows."""
    made = [
        f"loading {name}, ms | {shown(samples)} | below 5"
        for name, samples in found["loading, ms"].items()
    ]
    for name, times in found["us a document"].items():
        ratio = median(times["C"]) / median(times["Python"])
        made.append(
            f"net {name}, {DOCUMENTS} documents a call: C example, us a document | "
            f"{shown(times['C'])} | "
        )
        made.append(f"the same by the engine native-fp32 | {shown(times['Python'])} | ")
        made.append(f"C example over engine | {ratio:.3f} | 0.95 to 1.05")
    call = found["us a call"]
    in_c = median(call["C"])
    made.append(f"one document, nearly no network: C example, us a call | {shown(call['C'])} | ")
    for way in ("out given", "new array"):
        made.append(f"Python beyond it, {way} | {median(call[way]) - in_c:.2f} | below 5, goal 1")
    if wheel:
        made.append(f"the wheel, MB | {wheel.stat().st_size / 1e6:.3f} | below 1")
    return made


def shown(samples: list[float]) -> str:
    found = summarise(samples)
    return f"{found['median']:.3g} ({found['q1']:.3g} to {found['q3']:.3g})"


def compile_example(folder: Path) -> Path:
    """The C example in ``folder``, laid out as in an exported model."""
    package = folder / "distilrank"
    package.mkdir()
    shutil.copyfile(find_library(), package / LIBRARY)
    shutil.copyfile(ROOT / "distilrank" / "native" / "distilrank.h", package / "distilrank.h")
    compiler = [os.environ.get("CC", "cc"), "-std=c99", "-O2", ROOT / "examples" / "score.c"]
    linked = ["-Idistilrank", "-Ldistilrank", "-ldistilrank", "-Wl,-rpath,$ORIGIN/distilrank"]
    subprocess.run([*compiler, *linked, "-o", "score"], cwd=folder, check=True)
    return folder / "score"


def saved(model: Student, rows: np.ndarray, folder: Path) -> list[str]:
    """The C example's arguments for a model and rows."""
    model.save(folder / "model.safetensors")
    np.savetxt(folder / "rows.csv", rows, "%.9g", delimiter=",")
    return [str(folder / "model.safetensors"), str(folder / "rows.csv")]


def in_c(example: Path, arguments: list[str], calls: int) -> float:
    """Microseconds a document, as the C example prints them."""
    done = subprocess.run(
        [example, *arguments, str(calls)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def loading(path: str | Path) -> list[float]:
    """Milliseconds to a scorer that is ready, from a file in the page cache."""
    taken = []
    for _ in range(ROUNDS * 4):
        start = time.perf_counter()
        scorer = Scorer(path)
        taken.append(1e3 * (time.perf_counter() - start))
        scorer.close()
    return taken


def loading_forest(text: Path) -> dict[str, list[float]]:
    """Milliseconds of a forest, from the file that an export holds and from LightGBM text."""
    forest = read_lightgbm_text(text)
    name = f"a forest of {len(forest.trees)} trees, {forest.max_leaves} leaves"
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "model.safetensors"
        save_forest(forest, exported)
        return {f"{name}, exported": loading(exported), f"{name}, LightGBM text": loading(text)}


def documents(model: Student, rows: np.ndarray, example: Path) -> dict[str, list[float]]:
    """Microseconds a document of one large call, from C and from Python."""
    engine = make_engine("native-fp32")
    engine.load(model, len(rows))
    sampler = Sampler(engine, rows, len(rows))
    arguments = saved(model, rows, example.parent)
    once = sampler.sample(_MILLISECONDS)
    count = max(1, round(_MILLISECONDS * 1e3 / (once * len(rows))))
    taken: dict[str, list[float]] = {"C": [], "Python": []}
    for _ in range(ROUNDS):
        taken["Python"].append(sampler.sample(_MILLISECONDS))
        taken["C"].append(in_c(example, arguments, count))
    return taken


def calls(model: Student, row: np.ndarray, example: Path) -> dict[str, list[float]]:
    """Microseconds a call for one document."""
    arguments = saved(model, row, example.parent)
    scorer, out = Scorer(model), np.empty(1, np.float32)
    ways: dict[str, Callable[[], Any]] = {
        "out given": lambda: each(scorer.score, row, out),
        "new array": lambda: each(scorer.score, row),
    }
    taken: dict[str, list[float]] = {"C": [], **{way: [] for way in ways}}
    for _ in range(ROUNDS):
        taken["C"].append(in_c(example, arguments, 200_000))
        for way, timed in ways.items():
            taken[way].append(timed())
    return taken


def each(score: Callable[..., Any], *arguments: np.ndarray, count: int = 20_000) -> float:
    """Microseconds of one of ``count`` calls."""
    start = time.perf_counter()
    for _ in range(count):
        score(*arguments)
    return 1e6 * (time.perf_counter() - start) / count


if __name__ == "__main__":
    made = command.parser(__doc__)
    made.add_argument("--wheel", type=Path, help="a wheel, whose size is printed")
    made.add_argument("--forest", type=Path, help="a forest, whose loading is timed")
    command.run(made, measure)
