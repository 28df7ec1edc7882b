"""How fast forests are scored: this project's native scorer against YDF's and LightGBM's.

    python benchmarks/score_forests.py [--forests 300x64 ...] [--batches 1 ...] [--rounds N]

Run it from the repository after `snakemake native` and once the data is there: documents are the
MSLR sample's real test documents in query order, forests are trained by LightGBM on documents
generated after its train and vali splits, without early stopping, every tree with exactly its
number of leaves, and kept in the cache. Scores are checked against LightGBM's before anything is
timed. One thread on one core; every round takes one sample of each engine; medians lead, with
quartiles and the ratio to the native scorer within the run.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import lightgbm
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from distilrank.engines import TOLERANCES, load_model, make_engine
from distilrank.engines.base import Engine, SelfTimedEngine
from distilrank.forest import Forest
from distilrank.generate import Generator, Sample
from distilrank.letor import Dataset
from distilrank.machine import machine_line
from distilrank.scorer import Scorer

ENGINES = ("native-forest", "ydf-quickscorer", "lightgbm")
_SEED, _NOISE, _PER_QUERY = 7, 0.5, 120


# ---- Forests, trained once ----


def forest_path(name: str, cache: Path, data: Path, documents: int) -> Path:
    """The model text of a forest ``TREESxLEAVES``, trained if the cache lacks it.

    A smaller forest of the same leaves is the first trees of a larger one.
    """
    path = cache / f"{name}.txt"
    if not path.exists():
        trees, leaves = map(int, name.split("x"))
        larger = [
            other
            for other in cache.glob(f"*x{leaves}.txt")
            if int(other.stem.split("x")[0]) > trees
        ]
        cache.mkdir(parents=True, exist_ok=True)
        booster = lightgbm.Booster(model_file=larger[0]) if larger else train(
            trees, leaves, data, documents
        )  # fmt: skip
        booster.save_model(path.with_suffix(".part"), num_iteration=trees)
        path.with_suffix(".part").rename(path)
    return path


def train(trees: int, leaves: int, data: Path, documents: int) -> lightgbm.Booster:
    print(f"training {trees} trees of {leaves} leaves: minutes, once", flush=True)
    sample = Sample([Dataset.open(data / "train"), Dataset.open(data / "vali")])
    blocks = list(
        Generator(sample, _SEED, _NOISE).blocks("train", documents // _PER_QUERY, documents, 1)
    )
    _, sizes = np.unique(np.concatenate([block.qids for block in blocks]), return_counts=True)
    learned = lightgbm.Dataset(
        np.concatenate([block.features for block in blocks]),
        np.concatenate([block.labels for block in blocks]), group=sizes,
    )  # fmt: skip
    parameters = {
        "objective": "lambdarank", "num_leaves": leaves, "learning_rate": 0.05, "seed": 0,
        "use_missing": False, "deterministic": True, "force_row_wise": True, "verbose": -1,
        "num_threads": len(os.sched_getaffinity(0)),
    }  # fmt: skip
    return lightgbm.train(parameters, learned, trees)


# ---- Sampling ----


def batches_of(rows: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    """Whole batches in query order."""
    for start in range(0, len(rows) - batch + 1, batch):
        yield rows[start : start + batch]


def sample(engine: Engine, rows: np.ndarray, batch: int, seconds: float) -> float:
    """Microseconds a document over passes of at least ``seconds``, one batch after the other."""
    if isinstance(engine, SelfTimedEngine):
        return engine.self_timed(rows[: max(batch, len(rows) // batch * batch)]) / batch * 1e6
    documents, start = 0, time.perf_counter()
    while True:
        for part in batches_of(rows, batch):
            engine.score(part)
            documents += batch
            taken = time.perf_counter() - start
            if taken > seconds:
                return taken / documents * 1e6


def check(engine: Engine, rows: np.ndarray, batch: int, expected: np.ndarray) -> float:
    """The largest error in standard deviations of the reference's scores."""
    scores = np.concatenate([engine.score(part).copy() for part in batches_of(rows, batch)])
    expected = expected[: len(scores)]
    error = float(np.abs(scores - expected).max() / expected.std())
    if not error < TOLERANCES[engine.precision]:
        raise ValueError(f"{engine.name} is wrong by {error:.1e} standard deviations: not timed")
    return error


def ready(model: Forest, batch: int) -> dict[str, Engine]:
    engines = {}
    for name in ENGINES:
        engine = make_engine(name)
        reason = engine.supports(model)
        if reason:
            print(f"{name} is left out: {reason}")
            continue
        engine.load(model, batch)
        engines[name] = engine
    return engines


def compare(name: str, model: Forest, rows: np.ndarray, batch: int, options) -> None:
    """One line a batch and engine: microseconds a document and the ratio to the native scorer."""
    engines = ready(model, batch)
    expected = make_engine("lightgbm")
    expected.load(model, len(rows))
    golden = expected.score(rows).copy()
    errors = {key: check(engine, rows, batch, golden) for key, engine in engines.items()}
    taken: dict[str, list[float]] = {key: [] for key in engines}
    for turn in range(options.rounds + 1):  # the first warms up
        for key, engine in engines.items():
            found = sample(engine, rows, batch, options.sample_ms / 1000)
            if turn:
                taken[key].append(found)
    ours = np.array(taken["native-forest"])
    for key, samples in taken.items():
        low, middle, high = np.percentile(samples, [25, 50, 75])
        ratio = np.median(np.array(samples) / ours)
        print(
            f"| {name} | {batch} | {key} | {middle:.2f} | {low:.2f} to {high:.2f} | {ratio:.1f} | "
            f"{errors[key]:.0e} |", flush=True,
        )  # fmt: skip


# ---- What a search engine asks ----


def query_times(scorer: Scorer, data: Dataset, rounds: int) -> np.ndarray:
    """Microseconds for all documents of each query, every query ``rounds`` times."""
    rows = np.ascontiguousarray(data.features)
    out, taken = np.empty(len(rows), np.float32), []
    for _ in range(rounds):
        for start, end in zip(data.offsets[:-1], data.offsets[1:], strict=True):
            before = time.perf_counter()
            scorer.score(rows[start:end], out[start:end])
            taken.append(time.perf_counter() - before)
    return np.array(taken) * 1e6


def all_cores(scorer: Scorer, rows: np.ndarray, seconds: float) -> float:
    """Documents a second with a clone on every core."""
    cores = sorted(os.sched_getaffinity(0))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("results/data/mslr-sample/fold1"))
    parser.add_argument("--cache", type=Path, default=Path("results/benchmarks-cache"))
    parser.add_argument("--documents", type=int, default=60_000, help="to train on")
    parser.add_argument("--forests", nargs="+", default=["878x64", "500x64", "300x64", "600x256"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 20, 100, 256, 1000])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sample-ms", type=float, default=4)
    options = parser.parse_args()
    test = Dataset.open(options.data / "test")
    rows = np.ascontiguousarray(test.features)
    cores = os.sched_getaffinity(0)
    for name in options.forests:
        model = load_model(forest_path(name, options.cache, options.data, options.documents))
        leaves = {tree.leaves for tree in model.trees}
        print(f"\n{name}: {len(model.trees)} trees of {leaves} leaves; us a document\n")
        print("| forest | batch | engine | median | quartiles | times native | error |")
        print("|---|---|---|---|---|---|---|")
        os.sched_setaffinity(0, {min(cores)})
        for batch in options.batches:
            compare(name, model, rows, batch, options)
        with Scorer(model) as scorer:
            half, most = np.percentile(query_times(scorer, test, options.rounds), [50, 99])
            os.sched_setaffinity(0, cores)
            speed = all_cores(scorer, rows[:512], 1.0)
            print(f"\none query's documents: {half:.0f} us, 99th percentile {most:.0f} us; "
                  f"{len(cores)} cores: {speed / 1e6:.2f} million documents a second")  # fmt: skip
            print(scorer.describe())
    print(f"\n{machine_line()}")


if __name__ == "__main__":
    main()
