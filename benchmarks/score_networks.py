"""How fast networks are scored: this project's native scorer against the libraries people use.

    python benchmarks/score_networks.py SPLIT [--forest MODEL] [--networks A C E] ...

SPLIT is a data set's folder as the workflow writes it, such as `results/data/mslr-sample/fold1/
test`: real documents in query order. Run it from the repository, after `snakemake native`, with
the environment's Python. The networks are the paper's A, C and E of random weights, the first
layer pruned by magnitude: the time of a network depends on its shape and on how many weights are
left, not on which. Every engine's scores are first held to the float64 reference. Then rounds of
all engines are interleaved, one thread each, from raw row-major float32 rows; medians lead, with
quartiles. Times are CPU times of the process, so that a shared machine disturbs them less; only
YDF, which --forest adds with its forest to the rounds of every network, times itself by the clock.

The core's peak is that of fused multiply-adds in registers, in a loop compiled for this processor.
The share of it is of all the network's time, reading and transposing the rows included, by the
multiplications that are really done.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from distilrank.engines import TOLERANCES, Engine, Model, load_model, make_engine
from distilrank.engines.base import SelfTimedEngine, limit_threads
from distilrank.letor import Dataset
from distilrank.machine import machine_line
from distilrank.pruning import magnitude_mask
from distilrank.scaling import fit_zscore
from distilrank.student import Student
from distilrank.timing import Sampler, round_order, summarise

NETWORKS = {"A": (400, 200, 200, 100), "C": (200, 100, 100, 50), "E": (100, 50, 50, 25)}
SPARSITIES = (0.0, 0.9, 0.95, 0.98, 0.99)
BATCHES = (1, 8, 20, 100, 256, 1000)
OURS = "native-fp32"
ENGINES = (
    OURS, "native-bf16", "onnxruntime", "openvino", "openvino-bf16", "onednn", "onednn-bf16",
    "torch", "torch-csr+torch", "libxsmm-csr+torch",
)  # fmt: skip
FOREST_ENGINES = ("ydf-quickscorer",)


@dataclass
class Contender:
    """One model on one engine; ``reason`` says why it is not timed."""

    name: str
    model: Model
    error: float = 0.0
    reason: str = ""


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


def contenders(models: dict[str, Model], rows: np.ndarray) -> list[Contender]:
    """Engines that can score their model and do so rightly; the others with the reason."""
    found = []
    for name, model in models.items():
        one = Contender(name, model, reason=make_engine(name).supports(model) or "")
        if not one.reason:
            engine = loaded(one, len(rows))
            expected = model.predict(rows)
            one.error = float(np.abs(engine.score(rows) - expected).max() / expected.std())
            # Random weights amplify the rounding of bf16 more than trained ones do.
            if not one.error < TOLERANCES[engine.precision] * (1 if engine.exact else 2):
                one.reason = f"wrong: error {one.error:.1e} standard deviations"
        found.append(one)
    return found


def loaded(one: Contender, batch: int) -> Engine:
    engine = make_engine(one.name)
    engine.load(one.model, batch)
    limit_threads(1)
    return engine


def rounds_of(
    able: list[Contender], rows: np.ndarray, batch: int, rounds: int, milliseconds: float
) -> dict[str, dict[str, Any]]:
    """Microseconds a document of every engine, in interleaved rounds."""
    samplers = {one.name: CpuSampler(loaded(one, batch), rows, batch) for one in able}
    taken: dict[str, list[float]] = {name: [] for name in samplers}
    for number in range(rounds):
        for name in round_order(list(samplers), number):
            taken[name].append(samplers[name].sample(milliseconds))
    return {name: summarise(samples) for name, samples in taken.items()}


class CpuSampler(Sampler):
    """Times by the process's CPU time: what waits for a core that others hold does not count."""

    def _time(self, calls: int) -> float:
        if isinstance(self._engine, SelfTimedEngine):
            return super()._time(calls)
        windows, score = self._upcoming(calls), self._engine.score
        start = time.process_time()
        for window in windows:
            score(window)
        return (time.process_time() - start) / calls


def multiplications(model: Student) -> int:
    """Weights that the native scorer really multiplies with, for one document."""
    from distilrank.scorer import Scorer

    with Scorer(model) as scorer:
        layers = scorer.describe()["layers"]
    return sum(each.get("non_zeros", each["inputs"] * each["outputs"]) for each in layers)


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


def print_table(
    label: str,
    found: list[Contender],
    times: dict[int, dict[str, dict[str, Any]]],
    share: dict[int, float],
) -> None:
    """One line an engine: microseconds a document and how often ours is faster."""
    heads = "".join(f" batch {batch} |" for batch in times)
    print(f"\n### {label}\n\n| engine | error |{heads}\n|---|---|{'---|' * len(times)}")
    for one in found:
        if one.reason:
            print(f"| {one.name} | | {one.reason} |")
            continue
        cells = []
        for engines in times.values():
            if one.name not in engines:
                cells.append(" |")
                continue
            took = engines[one.name]
            ratio = took["median"] / engines[OURS]["median"]
            cells.append(
                f" {took['median']:.3g} [{took['q1']:.3g} {took['q3']:.3g}] x{ratio:.2f} |"
            )
        print(f"| {one.name} | {one.error:.0e} |{''.join(cells)}")
    shares = "".join(f" {value:.0%} |" for value in share.values())
    print(f"| *{OURS}: share of the peak* | |{shares}", flush=True)


def measure(options: argparse.Namespace) -> None:
    rows = np.ascontiguousarray(Dataset.open(options.split).features)
    peak = peak_gflops()
    print(machine_line())
    print(f"fp32 FMA peak of a core: {peak:.1f} GFLOP/s; {len(rows)} documents")
    print("us/document: median [quartiles] xRATIO, the time as a multiple of native-fp32's")
    forest = load_model(options.forest) if options.forest else None
    for name in options.networks:
        for sparsity in options.sparsities:
            student = network(NETWORKS[name], sparsity, rows)
            models: dict[str, Model] = dict.fromkeys(ENGINES, student)
            if forest is not None:
                models |= dict.fromkeys(FOREST_ENGINES, forest)
            found = contenders(models, rows[:1000])
            times, share = {}, {}
            for batch in options.batches:
                # YDF's own benchmark needs more documents a call to be steady.
                able = [one for one in found if not one.reason and _times(one, batch)]
                times[batch] = rounds_of(able, rows, batch, options.rounds, options.milliseconds)
                work = 2 * multiplications(student) / 1e3
                share[batch] = work / times[batch][OURS]["median"] / peak
            label = f"{name} {student.architecture}, first layer {sparsity:.0%} sparse"
            print_table(label, found, times, share)


def _times(one: Contender, batch: int) -> bool:
    return batch >= 100 or not isinstance(make_engine(one.name), SelfTimedEngine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("split", type=Path)
    parser.add_argument("--forest", type=Path, help="a LightGBM model text")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--sparsities", nargs="+", type=float, default=SPARSITIES)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--milliseconds", type=float, default=5, help="a sample's length")
    started = time.perf_counter()
    measure(parser.parse_args())
    print(f"\ntook {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
