"""How fast this project's scorers are, and how fast the libraries that people use.

    python benchmarks/score.py [--data FOLDER] [--cache FOLDER] [--output FILE]

Run it from the repository after `snakemake native`, once the MSLR sample is there, on a machine
that does nothing else. Documents are its real test documents in query order, read from row-major
float32 rows by one thread on one core. Forests are trained on generated documents and kept in the
cache; networks are the paper's A, C and E of random weights, their first layer dense or pruned by
magnitude: a network's time depends on its shape and on how many weights are left.

Every engine's scores are held to the reference first. Then rounds of all that is compared with each
other are interleaved, one sample each; medians lead, with quartiles. YDF is timed by its own
benchmark, which leaves out reading the rows. The core's peak is that of fused multiply-adds in
registers. --output keeps all samples, as JSON.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import command
from benchmarks.forests import forest
from distilrank.engines import Engine, Model, make_engine
from distilrank.engines.base import SelfTimedEngine, limit_threads
from distilrank.forest import Forest
from distilrank.letor import Dataset
from distilrank.machine import machine_line
from distilrank.parity import network_reference
from distilrank.pruning import magnitude_mask
from distilrank.scaling import fit_zscore
from distilrank.scorer import Scorer
from distilrank.student import Student
from distilrank.timing import Sampler, round_order, summarise

NETWORKS = {"A": (400, 200, 200, 100), "C": (200, 100, 100, 50), "E": (100, 50, 50, 25)}
FORESTS = ("878x64", "500x64", "300x64", "600x256")
BESIDE_NETWORKS = "878x64"
BATCHES = (1, 8, 20, 100, 256, 1000)
FOREST_ENGINES = ("native-forest", "ydf-quickscorer", "lightgbm")
NETWORK_ENGINES = (
    "native-fp32", "native-bf16", "native-int8", "onnxruntime", "openvino", "openvino-bf16",
    "onednn", "onednn-bf16", "libxsmm-csr+torch", "mkl-csr+numpy",
)  # fmt: skip
# Random weights amplify the rounding of low precision more than trained ones do. int8 answers to
# its scheme, where single codes at an edge may differ.
MOST_ERROR = {"exact": 1e-5, "fp32": 1e-5, "bf16": 1e-1, "int8": 1e-1}


@dataclass
class Contender:
    """One model on one engine, within a group of those that are compared."""

    group: str
    engine: str
    model: Model
    error: float = float("nan")  # in standard deviations of the reference's scores
    reason: str = ""  # why it is not timed
    times: dict[int, dict[str, Any]] = field(default_factory=dict)  # by batch, us a document

    def loaded(self, batch: int) -> Engine:
        engine = make_engine(self.engine)
        engine.load(self.model, batch)
        limit_threads(1)
        return engine

    def check(self, rows: np.ndarray) -> None:
        """Score ``rows`` and find the error, or the reason not to time this."""
        self.reason = make_engine(self.engine).supports(self.model) or ""
        if self.reason:
            return
        engine, predict = self.loaded(len(rows)), self.model.predict
        if isinstance(self.model, Student):
            _, predict = network_reference(self.model, engine.precision)
        expected = predict(rows)
        self.error = float(np.abs(engine.score(rows) - expected).max() / expected.std())
        if not self.error < MOST_ERROR[engine.precision]:
            self.reason = f"wrong: error {self.error:.1e} standard deviations"


def network(hidden: Sequence[int], sparsity: float, features: np.ndarray) -> Student:
    """Random weights of a trained network's size, the smallest of the first layer's left out."""
    generator = np.random.default_rng(1)
    widths = [features.shape[1], *hidden, 1]
    weights = [
        (generator.normal(size=(outputs, inputs)) / np.sqrt(inputs)).astype(np.float32)
        for inputs, outputs in pairwise(widths)
    ]
    weights[0] = weights[0] * magnitude_mask(weights[0], sparsity)
    biases = [generator.normal(size=n).astype(np.float32) * np.float32(0.1) for n in widths[1:]]
    return Student(tuple(weights), tuple(biases), *fit_zscore(features))


def groups(options: argparse.Namespace, rows: np.ndarray) -> dict[str, list[Contender]]:
    """What is measured: everything in a group is compared with everything else in it."""
    found: dict[str, list[Contender]] = {}
    forests = {name: forest(name, options.cache, options.data) for name in FORESTS}
    for name, model in forests.items():
        found[name] = [Contender(name, engine, model) for engine in FOREST_ENGINES]
    for name, hidden in NETWORKS.items():
        for sparsity in options.sparsities:
            group = f"{name} {sparsity:.0%}"
            student = network(hidden, sparsity, rows)
            found[group] = [Contender(group, engine, student) for engine in NETWORK_ENGINES] + [
                Contender(group, engine, forests[BESIDE_NETWORKS]) for engine in FOREST_ENGINES[:2]
            ]
    # Reading and transposing the rows, and hardly anything else.
    found["rows"] = [Contender("rows", "native-fp32", network((), 0.0, rows))]
    return found


def time_group(group: list[Contender], rows: np.ndarray, options: argparse.Namespace) -> None:
    """Interleaved rounds of all that can be timed, batch by batch."""
    for batch in options.batches:
        # YDF's own benchmark needs more documents a call to be steady.
        able = {
            one.engine: one
            for one in group
            if not one.reason
            and (batch >= 20 or not isinstance(make_engine(one.engine), SelfTimedEngine))
        }
        samplers = {name: Sampler(one.loaded(batch), rows, batch) for name, one in able.items()}
        taken: dict[str, list[float]] = {name: [] for name in able}
        for number in range(options.rounds + 1):
            for name in round_order(list(able), number):
                sample = samplers[name].sample(options.milliseconds)
                if number:  # the first warms up
                    taken[name].append(sample)
        for name, one in able.items():
            one.times[batch] = summarise(taken[name])


# ---- What a search engine asks ----


def query_times(scorer: Scorer, data: Dataset, rounds: int) -> list[float]:
    """Microseconds for all documents of one query: the median and the 99th percentile."""
    rows = np.ascontiguousarray(data.features)
    out, taken = np.empty(len(rows), np.float32), []
    for _ in range(rounds):
        for start, end in zip(data.offsets[:-1], data.offsets[1:], strict=True):
            before = time.perf_counter()
            scorer.score(rows[start:end], out[start:end])
            taken.append(time.perf_counter() - before)
    return [float(value) for value in np.percentile(np.array(taken) * 1e6, [50, 99])]


def all_cores(scorer: Scorer, rows: np.ndarray, cores: Sequence[int], seconds: float) -> float:
    """Documents a second with a clone on every core."""
    counts = [0] * len(cores)

    def work(place: int) -> None:
        os.sched_setaffinity(0, {cores[place]})
        twin, out = scorer.clone(), np.empty(len(rows), np.float32)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            twin.score(rows, out)
            counts[place] += len(rows)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(cores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def serve(group: list[Contender], data: Dataset, cores: Sequence[int]) -> list[dict[str, Any]]:
    """Every native scorer of ``group`` on one query's documents, and on all cores."""
    rows, found = np.ascontiguousarray(data.features[:512]), []
    for one in group:
        if not one.engine.startswith("native") or one.reason:
            continue
        forest_given = isinstance(one.model, Forest)
        precision = "fp32" if forest_given else make_engine(one.engine).precision
        with Scorer(one.model, precision=precision) as scorer:
            os.sched_setaffinity(0, {cores[-1]})
            half, most = query_times(scorer, data, 9)
            speed = all_cores(scorer, rows, cores, 0.5)
        name = BESIDE_NETWORKS if forest_given else one.group
        found.append(
            {"model": name, "engine": one.engine, "median_us": half, "p99_us": most,
             "documents_per_second": speed}
        )  # fmt: skip
    os.sched_setaffinity(0, {cores[-1]})
    return found


def peak_gflops() -> float:
    """The core's fp32 FMA peak in GFLOP/s: the best of many loops; NaN where there is no loop."""
    source = Path(__file__).with_name("fma_peak.c")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "fma_peak")
        try:
            subprocess.run(["cc", "-O2", "-march=native", source, "-o", program], check=True)
            done = subprocess.run([program], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError):
            return float("nan")
    return float(done.stdout)


# ---- The table ----


class Found:
    """All medians, by group, engine and batch."""

    def __init__(self, measured: dict[str, list[Contender]], peak: float) -> None:
        self._all = {(one.group, one.engine): one for group in measured.values() for one in group}
        self.peak = peak

    def median(self, group: str, engine: str, batch: int) -> float:
        """Microseconds a document; NaN where it was not timed."""
        one = self._all[group, engine]
        return one.times[batch]["median"] if batch in one.times else float("nan")

    def times_faster(self, group: str, ours: str, other: str, batch: int = 256) -> float:
        return self.median(group, other, batch) / self.median(group, ours, batch)

    def share_of_peak(self, name: str, less_rows: bool = False, batch: int = 256) -> float:
        """Of the dense network's time; or of that without reading and transposing the rows."""
        one = self._all[f"{name} 0%", "native-fp32"]
        work = sum(weight.size for weight in one.model.weights) * 2 / 1e3
        spent = self.median(one.group, "native-fp32", batch)
        if less_rows:
            spent -= self.median("rows", "native-fp32", batch)
        return work / spent / self.peak


# What is claimed, at least and as a goal, and where it stands.
Claim = tuple[str, float, float, Callable[[Found], float]]


def claims() -> list[Claim]:
    ydf, ours = "ydf-quickscorer", "native-forest"
    found: list[Claim] = [
        (f"forest against YDF QuickScorer, {name}", least, 4,
         lambda f, name=name: f.times_faster(name, ours, ydf))
        for name, least in (("300x64", 2.7), ("500x64", 3), ("878x64", 3))
    ]  # fmt: skip
    found += [
        ("forest against LightGBM, 600x256", 15, 25,
         lambda f: f.times_faster("600x256", ours, "lightgbm")),
        ("C fp32, 98 % sparse, against YDF 878x64", 14, 18,
         lambda f: f.times_faster("C 98%", "native-fp32", ydf)),
        ("C bf16, 98 % sparse, against YDF 878x64", 50, 75,
         lambda f: f.times_faster("C 98%", "native-bf16", ydf)),
        ("C int8, 98 % sparse, against YDF 878x64", np.nan, np.nan,
         lambda f: f.times_faster("C 98%", "native-int8", ydf)),
    ]  # fmt: skip
    for name in NETWORKS:
        found += [
            (f"{name} fp32 dense, share of peak, reading rows left out", 0.8, 0.88,
             lambda f, name=name: f.share_of_peak(name, less_rows=True)),
            (f"{name} fp32 dense, share of peak, all its time", np.nan, np.nan,
             lambda f, name=name: f.share_of_peak(name)),
        ]  # fmt: skip
    found += [
        (f"C bf16, dense, against {other}", least, 2.5,
         lambda f, other=other: f.times_faster("C 0%", "native-bf16", other))
        for other, least in (("openvino-bf16", 2), ("onednn-bf16", 1.8))
    ]  # fmt: skip
    found += [
        (f"batch {batch}: C {precision}, 98 % sparse, against ONNX Runtime", least, 5,
         lambda f, batch=batch, precision=precision:
            f.times_faster("C 98%", f"native-{precision}", "onnxruntime", batch))
        for batch, least in ((1, 1.5), (20, 3)) for precision in ("fp32", "bf16", "int8")
    ]  # fmt: skip
    # The headline: both sides at their best. No threshold.
    found += [
        (f"{name} {precision}, {sparsity} sparse, against this project's forest, {BESIDE_NETWORKS}",
         np.nan, np.nan,
         lambda f, name=name, precision=precision, sparsity=sparsity:
            f.times_faster(f"{name} {sparsity}", f"native-{precision}", ours))
        for name in NETWORKS for sparsity in ("0%", "98%") for precision in ("fp32", "bf16", "int8")
    ]  # fmt: skip
    return found


def print_claims(found: Found) -> list[dict[str, Any]]:
    print("\n## Ratios\n\n| what | at least | goal | measured |\n|---|---|---|---|")
    kept = []
    for what, least, goal, measure in claims():
        value = measure(found)
        wanted = ["" if np.isnan(each) else f"{each:g}" for each in (least, goal)]
        print(f"| {what} | {wanted[0]} | {wanted[1]} | {value:.3g} |")
        kept.append({"what": what, "least": least, "goal": goal, "measured": value})
    return kept


def print_group(name: str, group: list[Contender], batches: Sequence[int]) -> None:
    """One line an engine: microseconds a document."""
    heads = "".join(f" batch {batch} |" for batch in batches)
    print(f"\n### {name}\n\n| engine | error |{heads}\n|---|---|{'---|' * len(batches)}")
    for one in group:
        if one.reason:
            print(f"| {one.engine} | | {one.reason} |")
            continue
        label = one.engine
        if isinstance(one.model, Forest) and name not in FORESTS:
            label += f" {BESIDE_NETWORKS}"
        cells = "".join(
            " {median:.3g} [{q1:.3g} {q3:.3g}] |".format(**one.times[batch])
            if batch in one.times
            else " |"
            for batch in batches
        )
        print(f"| {label} | {one.error:.0e} |{cells}", flush=True)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    test = Dataset.open(options.data / "test")
    rows = np.ascontiguousarray(test.features)
    measured = groups(options, rows)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    peak = peak_gflops()
    print(f"{machine_line()}\nfp32 FMA peak of a core: {peak:.1f} GFLOP/s; {len(rows)} documents")
    print("us/document, median [quartiles]; errors in standard deviations of the scores")
    for name, group in measured.items():
        for one in group:
            one.check(rows[:1000])
        time_group(group, rows, options)
        print_group(name, group, options.batches)
    ratios = print_claims(Found(measured, peak))
    served = serve(measured[f"C {options.sparsities[-1]:.0%}"], test, cores)
    print("\n## One query's documents, and all cores\n")
    print("| model | engine | median us | 99th percentile | documents/s |\n|---|---|---|---|---|")
    for each in served:
        print("| {model} | {engine} | {median_us:.0f} | {p99_us:.0f} | "
              "{documents_per_second:.3g} |".format(**each))  # fmt: skip
    timed = [
        {name: getattr(one, name) for name in ("group", "engine", "error", "reason", "times")}
        for group in measured.values()
        for one in group
    ]
    return {
        "machine": machine_line(), "peak_gflops": peak, "ratios": ratios, "served": served,
        "timed": timed,
    }  # fmt: skip


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--sparsities", nargs="+", type=float, default=[0.0, 0.98])
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--milliseconds", type=float, default=5, help="a sample's length")
    command.run(parser, measure)


if __name__ == "__main__":
    main()
