"""How fast students are trained, and how fast the public code's loop trains them.

    python benchmarks/train.py [--data FOLDER] [--cache FOLDER] [--documents N] [--output FILE]

Run it from the repository after `snakemake native`, once the MSLR sample is there, on a machine
that does nothing else. Documents are generated after the sample's and kept in the cache, with the
teachers, which are trained on such documents too. Both train the same networks on the same
documents and teachers, with 2,500 real and 2,500 synthetic documents a step and a vali split of a
third of the real documents; see `public_loop.py` for what the other is. Rounds are interleaved, one
sample each; medians lead, with quartiles.

Rows are those that go through a training step, real and synthetic. "End to end" is the time of
whole epochs with validation, and for this project's trainer with all that `train` does before;
"steps" leaves validation out. --documents is how many real documents the measured epoch has, from
which that over MSLR-WEB30K's is extrapolated (2270296 measures it: 1.7 GB in the cache); it runs in
a process of its own, for which memory is counted without mapped files. --output keeps all samples,
as JSON.
"""

import argparse
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import torch
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import command, public_loop
from benchmarks.forests import PER_QUERY, forest, generator
from benchmarks.ndcg import measure_ndcg
from benchmarks.rehearse_data import anonymous_megabytes
from benchmarks.sections import Sections
from distilrank.distil import Lesson, Schedule, new_student, open_lesson, train
from distilrank.feed import Feed, ForestTeacher, NativeMidpoints
from distilrank.files import write_array
from distilrank.gradient import NativeGradient, TorchGradient
from distilrank.judge import Judge
from distilrank.letor import Dataset, SplitWriter
from distilrank.machine import machine_line
from distilrank.net import Net
from distilrank.scaling import fit_zscore, present_range
from distilrank.scorer import PRECISIONS
from distilrank.synthetic import Midpoints
from distilrank.timing import round_order, summarise

WEB30K = 2_270_296  # documents of MSLR-WEB30K's first train split
PUBLIC = "public loop"
# Epochs a sample: about as long for either.
EPOCHS = {PUBLIC: 1} | dict.fromkeys(PRECISIONS, 5)
BATCH, RATE, WEIGHT_DECAY, SEED = 2500, 1e-3, 1e-6, 1
# What is claimed: rows a second against the public loop; the epoch's seconds; megabytes; nDCG.
LEAST, GOAL, SECONDS, MEGABYTES, NDCG_LEAST = 10, 20, 60, 1500, 20


@dataclass(frozen=True)
class Case:
    """A network and its teacher, ``TREESxLEAVES``."""

    network: str
    hidden: tuple[int, ...]
    teacher: str


CASES = (Case("A", (400, 200, 200, 100), "600x256"), Case("C", (200, 100, 100, 50), "878x64"))


# ---- What is learned from ----


def prepare(case: Case, documents: int, options: argparse.Namespace) -> dict[str, dict[str, Path]]:
    """The arguments of `open_lesson`, generated or scored if the cache lacks them."""
    folder = options.cache / f"train-{documents}"
    counts = {"train": documents, "vali": max(PER_QUERY, documents // 3)}
    for split, count in counts.items():
        if not (folder / split / "meta.json").exists():
            print(f"generating {count} {split} documents, once", flush=True)
            _generate(folder / split, split, count, options.data)
    model = forest(case.teacher, options.cache, options.data)
    teacher = {
        "model": options.cache / f"{case.teacher}.txt",
        "targets": folder / f"{case.teacher}.npy",
        "midpoints": folder / f"{case.teacher}.safetensors",
    }
    if not teacher["targets"].exists():
        features = Dataset.open(folder / "train").features
        Midpoints.of(model, *present_range(features)).save(teacher["midpoints"])
        score = ForestTeacher(teacher["model"])
        blocks = [score(features[at : at + 65536]) for at in range(0, documents, 65536)]
        write_array(teacher["targets"], np.concatenate(blocks))
    return {"folders": {split: folder / split for split in counts}, "teacher": teacher}


def _generate(folder: Path, split: str, documents: int, data: Path) -> None:
    queries = max(1, documents // PER_QUERY)
    drawing = generator(data)
    with SplitWriter(folder, drawing.sample.n_features) as writer:
        for block in drawing.blocks(split, queries, documents, 1):
            writer.add(block.features, block.labels, block.qids)


# ---- Who trains ----


@dataclass
class Run:
    """Training of some epochs: their rows, and seconds with and without validation."""

    rows: int
    seconds: float
    steps: float
    loss: float


class Public:
    """The public code's loop, set up: what it does once, before training, is not timed."""

    def __init__(self, lesson: Lesson, case: Case, teacher: Path, threads: int) -> None:
        mean, scale = fit_zscore(lesson.train.features)
        self.booster = lightgbm.Booster(model_file=teacher)
        values, offsets = lesson.midpoints.values, lesson.midpoints.offsets
        midpoints = np.split(values, offsets[1:-1])
        collate = public_loop.Collate(midpoints, self.booster, threads, mean, scale, BATCH)
        self.vali = lesson.vali
        self.loaders = []
        for split, targets, joined in (
            (lesson.train, lesson.targets, collate),
            (lesson.vali, lesson.teacher(lesson.vali.features), None),
        ):
            rows = public_loop.standardised(np.asarray(split.features), mean, scale)
            documents = public_loop.Documents(rows, np.asarray(targets, np.float32))
            self.loaders.append(
                DataLoader(documents, BATCH, shuffle=joined is not None, collate_fn=joined)
            )
        self.labels = np.asarray(lesson.vali.labels, np.float32)
        self.network = public_loop.PublicNet(len(mean), case.hidden)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), RATE, weight_decay=WEIGHT_DECAY
        )

    def run(self, epochs: int) -> Run:
        rows, steps, start = 0, 0.0, time.perf_counter()
        for _ in range(epochs):
            before = time.perf_counter()
            loss, count = public_loop.train_epoch(self.loaders[0], self.network, self.optimiser)
            steps, rows = steps + time.perf_counter() - before, rows + count
            scores = public_loop.validate(self.loaders[1], self.network)
            np.nanmean(public_loop.ndcg(scores, self.labels, self.vali.offsets))
        return Run(rows, time.perf_counter() - start, steps, loss)


def run_ours(lesson: Lesson, case: Case, compute: str, epochs: int) -> Run:
    """This project's trainer, from `train`'s call to its return."""
    student = new_student(case.hidden, *fit_zscore(lesson.train.features), SEED, {})
    schedule = Schedule(epochs, BATCH, RATE, weight_decay=WEIGHT_DECAY, compute=compute)
    start = time.perf_counter()
    _, history = train(student, lesson, schedule, SEED)
    seconds = time.perf_counter() - start
    rows = 2 * lesson.train.n_documents
    steps = sum(rows / record["rows_per_second"] for record in history)
    return Run(rows * epochs, seconds, steps, history[-1]["loss"])


# ---- How fast ----


@dataclass
class Measured:
    """Rows a second of every sample, by trainer, and shares of an epoch's time, by section."""

    end_to_end: dict[str, list[float]] = field(default_factory=dict)
    steps: dict[str, list[float]] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    shares: dict[str, dict[str, float]] = field(default_factory=dict)

    def ratio(self, name: str, kind: str) -> float:
        rates = getattr(self, kind)
        return float(np.median(rates[name]) / np.median(rates[PUBLIC]))


def measure_rates(case: Case, options: argparse.Namespace) -> Measured:
    """Interleaved rounds of all trainers; then one epoch of each with a clock on its sections."""
    paths = prepare(case, options.round_documents, options)
    lesson = open_lesson(**paths)
    public = Public(lesson, case, paths["teacher"]["model"], options.threads)
    trainers: dict[str, Callable[[int], Run]] = {PUBLIC: public.run}
    for compute in options.compute:
        trainers[compute] = partial(run_ours, lesson, case, compute)
    found = Measured({name: [] for name in trainers}, {name: [] for name in trainers})
    for number in range(options.rounds + 1):
        for name in round_order(list(trainers), number):
            run = trainers[name](EPOCHS[name])
            found.losses[name] = run.loss
            if number:  # the first warms up
                found.end_to_end[name].append(run.rows / run.seconds)
                found.steps[name].append(run.rows / run.steps)
    for name, trainer in trainers.items():
        found.shares[name] = shares(trainer, EPOCHS[name])
    return found


NAMED: Mapping[Callable[..., Any], str] = {
    public_loop.Documents.__getitem__: "real rows",
    public_loop.Collate.stacked: "real rows",
    public_loop.Collate.__call__: "joining",
    public_loop.Collate.draw: "drawing",
    public_loop.standardised: "drawing",
    public_loop.Collate.score: "teacher",
    public_loop.PublicNet.forward: "forward",
    public_loop.validate: "validation",
    public_loop.ndcg: "validation",
    Feed.batch: "real rows",
    Feed.plan: "real rows",
    NativeMidpoints.draw: "drawing",
    ForestTeacher.__call__: "teacher",
    Net.outputs: "forward",
    NativeGradient.__call__: "forward and backward",
    TorchGradient.scores: "validation",
    NativeGradient.scores: "validation",
    Judge.mean: "validation",
    torch.Tensor.backward: "backward",
    torch.optim.Adam.step: "optimiser",
    futures.wait: "waiting",
}
SECTIONS = (
    "drawing", "teacher", "real rows", "joining", "forward", "backward", "forward and backward",
    "optimiser", "validation", "rest",
)  # fmt: skip


def shares(trainer: Callable[[int], Run], epochs: int) -> dict[str, float]:
    """The share of the time of some epochs in each section.

    The time in which a trainer waits for its batches is divided as that of the threads which make
    them is.
    """
    with Sections(NAMED) as clock:
        trainer(epochs)
    spent = dict(clock.main)
    total, waited = sum(spent.values()), spent.pop("waiting", 0.0)
    made = {section: value for section, value in clock.others.items() if section}
    for section, value in made.items():
        spent[section] = spent.get(section, 0.0) + waited * value / sum(made.values())
    spent["rest"] = spent.pop("", 0.0)
    return {section: value / total for section, value in spent.items()}


# ---- One epoch, and its memory ----


def measure_epoch(case: Case, compute: str, options: argparse.Namespace) -> dict[str, float]:
    """One epoch over ``options.documents`` in a new process; see `_epoch`."""
    paths = prepare(case, options.documents, options)
    spawning = multiprocessing.get_context("spawn")
    with futures.ProcessPoolExecutor(1, spawning) as pool:
        return pool.submit(_epoch, paths, case, compute, options.threads).result()


def _epoch(paths: Mapping[str, Any], case: Case, compute: str, threads: int) -> dict[str, float]:
    """Seconds end to end and of the steps, and megabytes before training and more at the most."""
    torch.set_num_threads(threads)
    lesson = open_lesson(**paths)
    before, peak, done = anonymous_megabytes(os.getpid()), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, anonymous_megabytes(os.getpid()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run = run_ours(lesson, case, compute, 1)
    finally:
        done.set()
        watcher.join()
    return {
        "documents": lesson.train.n_documents, "seconds": run.seconds, "steps": run.steps,
        "megabytes_before": before, "megabytes_more": peak - before,
    }  # fmt: skip


# ---- The tables ----


def _cell(samples: Sequence[float]) -> str:
    return "{median:.3g} [{q1:.3g} {q3:.3g}]".format(**summarise(samples))


def print_rates(case: Case, found: Measured) -> None:
    print(f"\n### {case.network}, teacher {case.teacher}\n")
    print("| trainer | rows/s end to end | ratio | rows/s of the steps | ratio | last loss |")
    print("|---|---|---|---|---|---|")
    for name in found.end_to_end:
        print(
            f"| {name} | {_cell(found.end_to_end[name])} | {found.ratio(name, 'end_to_end'):.3g} "
            f"| {_cell(found.steps[name])} | {found.ratio(name, 'steps'):.3g} "
            f"| {found.losses[name]:.4f} |"
        )
    heads = "".join(f" {section} |" for section in SECTIONS)
    print(f"\n| share of the time |{heads}\n|---|{'---|' * len(SECTIONS)}")
    for name, parts in found.shares.items():
        cells = "".join(f" {parts.get(section, 0):.1%} |" for section in SECTIONS)
        print(f"| {name} |{cells}", flush=True)


def print_epoch(case: Case, compute: str, found: Mapping[str, float]) -> None:
    whole = found["seconds"] * WEB30K / found["documents"]
    print(
        f"| {case.network}, {case.teacher}, {compute} | {found['documents']} "
        f"| {found['seconds']:.1f} | {whole:.0f} | {found['megabytes_before']:.0f} "
        f"| {found['megabytes_more']:.0f} |",
        flush=True,
    )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads)
    kept: dict[str, Any] = {"machine": machine_line(), "rates": {}, "epochs": {}}
    print(f"{machine_line()}, {options.threads} threads; {options.round_documents} real documents")
    print(f"medians [quartiles] of {options.rounds} rounds; at least {LEAST} times the public "
          f"loop's rows a second are wanted, {GOAL} are the goal")  # fmt: skip
    cases = [case for case in CASES if case.network in options.networks]
    if not options.compute:
        int8 = NativeGradient.instructions("int8")
        options.compute = [name for name in PRECISIONS if name != "int8" or int8]
    for case in cases:
        found = measure_rates(case, options)
        print_rates(case, found)
        kept["rates"][case.network] = vars(found)
    print(
        f"\n## One epoch: under {SECONDS} s over {WEB30K} documents and {MEGABYTES} MB are wanted"
    )
    print(f"\n| network, teacher, precision | documents | seconds | over {WEB30K} | MB before "
          "| MB more |\n|---|---|---|---|---|---|")  # fmt: skip
    for case in cases:
        for compute in options.compute:
            found_epoch = measure_epoch(case, compute, options)
            print_epoch(case, compute, found_epoch)
            kept["epochs"][f"{case.network} {compute}"] = found_epoch
    taken = kept["ndcg"] = measure_ndcg(options.rounds, SEED)
    ratio = np.median(taken["loop"]) / np.median(taken["vectorised"])
    print(
        f"\nnDCG@10 of 6000 queries: loop {_cell(taken['loop'])} ms, vectorised "
        f"{_cell(taken['vectorised'])} ms: {ratio:.1f} times faster, {NDCG_LEAST} are wanted"
    )
    return kept


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--networks", nargs="+", default=["A", "C"])
    parser.add_argument("--compute", nargs="+", help="precisions; all that there are if not given")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--round-documents", type=int, default=30_000)
    parser.add_argument("--documents", type=int, default=60_000, help="of the measured epoch")
    command.run(parser, measure)


if __name__ == "__main__":
    main()
