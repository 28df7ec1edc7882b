"""Train a student on its teacher's scores: distillation, and fine-tuning under a mask.

The method is that of Cohen et al. (SIGIR 2018) as Nardini et al. (TKDE 2022) use it: mean squared
error on the teacher's scores, over real documents and as many synthetic ones, drawn anew.
"""

import csv
import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilrank.checkpoint import Checkpoint, Progress, digest
from distilrank.feed import Feed, ForestTeacher, Score
from distilrank.files import replacing
from distilrank.gradient import NativeGradient, TorchGradient, gradient_of
from distilrank.judge import NDCG, Judge, Measure
from distilrank.letor import Dataset
from distilrank.net import Net
from distilrank.progress import progress
from distilrank.student import Student
from distilrank.synthetic import Midpoints

# What the ranges of int8's activations are taken from: largest values settle slowly.
_KNOWN_DOCUMENTS = 20_000
# Steps between two looks at the losses.
_LOOKED_AT = 100
Masks = Sequence[np.ndarray | None]


def history_of(measure: Measure = NDCG) -> tuple[str, ...]:
    """The columns of a training's history, where epochs are judged by ``measure``."""
    return ("epoch", "loss", measure.in_history, "learning_rate", "seconds", "rows_per_second")


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; the keys of a recipe's `distil` and `prune` in the config.

    Attributes:
        epochs: passes over the real documents.
        batch: real documents a step; ``synthetic_per_real`` times as many synthetic ones join.
        learning_rate: of Adam, at the start.
        decay: ``steps``: multiplied by ``decay_by`` after each epoch in ``decay_at``; or
            ``cosine``: along half a cosine from ``learning_rate`` to 0 at the end (Loshchilov and
            Hutter, ICLR 2017, without restarts).
        weight_decay: Adam's L2 penalty.
        dropout: share of the first hidden layer's outputs dropped while training.
        synthetic_per_real: synthetic documents for each real one.
        learn_from: ``teacher``: mean squared error on its scores; or ``labels``: the same network
            without a teacher, on train's labels by `losses.listwise_softmax`, whole queries a
            step, and no synthetic documents, which have no labels.
        compute: what forward and backward pass multiply in: ``fp32``; ``bf16``; ``int8``, the
            hidden layers alone, for a teacher's scores without dropout on a processor with
            AVX512_VNNI; or ``auto``: the quickest of what the device has instructions for.
            Weights, their gradients and Adam are float32 either way.
    """

    epochs: int
    batch: int
    learning_rate: float
    decay: str = "steps"
    decay_at: Sequence[int] = ()
    decay_by: float = 0.1
    weight_decay: float = 0.0
    dropout: float = 0.0
    synthetic_per_real: float = 1.0
    learn_from: str = "teacher"
    compute: str = "fp32"

    def rate(self, epoch: int, part: float = 0.0) -> float:
        """The learning rate in ``epoch``, which counts from 1, when ``part`` of it is done."""
        if self.decay == "cosine":
            done = (epoch - 1 + part) / self.epochs
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        decays = sum(at < epoch for at in self.decay_at)
        return self.learning_rate * self.decay_by**decays


@dataclass(frozen=True)
class Lesson:
    """What a student learns from.

    Attributes:
        train, vali: the splits; ``train``'s labels are used where a schedule says so, and else not.
        targets: (train documents,) the teacher's scores of the train split.
        midpoints: where synthetic documents come from.
        teacher: scores raw rows, (documents, features) float32 to (documents,) floats.
        library: the native library, where `native.find_library` finds it if not given.
    """

    train: Dataset
    vali: Dataset
    targets: np.ndarray
    midpoints: Midpoints
    teacher: Score
    library: str | os.PathLike | None = None

    def feed(self, student: Student, schedule: Schedule, seed: int) -> Feed:
        """The batches that ``student`` is trained on."""
        blind = schedule.learn_from == "teacher"
        return Feed(
            self.train, self.targets if blind else self.train.labels, student, seed,
            schedule.batch, schedule.synthetic_per_real if blind else 0.0,
            self.midpoints, self.teacher, by_query=not blind, library=self.library,
        )  # fmt: skip


def open_lesson(
    folders: Mapping[str, str | os.PathLike],
    teacher: Mapping[str, str | os.PathLike],
    library: str | os.PathLike | None = None,
) -> Lesson:
    """The lesson that lies on disk.

    Args:
        folders: where the ``train`` and ``vali`` splits lie.
        teacher: the teacher's ``model``, its ``targets`` (scores of train) and ``midpoints``.
        library: the native library, which scores the synthetic documents; where
            `native.find_library` finds it if not given.

    Raises:
        ValueError: if the teacher was trained on another number of features or documents.
    """
    train_split, vali = Dataset.open(folders["train"]), Dataset.open(folders["vali"])
    targets = np.load(teacher["targets"], allow_pickle=False)
    midpoints = Midpoints.load(teacher["midpoints"])
    found = (len(targets), len(midpoints.offsets) - 1)
    if found != (train_split.n_documents, train_split.n_features):
        raise ValueError(
            f"the teacher knows {found[0]} documents of {found[1]} features, the train split has "
            f"{train_split.n_documents} of {train_split.n_features}"
        )
    forest = ForestTeacher(teacher["model"], library)
    if forest.n_features != train_split.n_features:
        raise ValueError(
            f"the teacher's model reads {forest.n_features} features, the train split has "
            f"{train_split.n_features}"
        )
    return Lesson(train_split, vali, targets, midpoints, forest, library)


def checkpoint_beside(
    model: str | os.PathLike, start: Student, lesson: Lesson, settings: Mapping[str, Any]
) -> Checkpoint:
    """The checkpoint of the training of ``start`` whose result will be the file ``model``.

    Args:
        settings: the recipe's section, and whatever else decides the training; plain JSON.
    """
    arrays = [*start.weights, *start.biases, start.mean, start.scale, lesson.targets]
    known = [lesson.midpoints.values, lesson.midpoints.offsets, lesson.vali.labels]
    identity = {
        "architecture": start.architecture,
        "settings": dict(settings),
        "splits": {"train": dict(lesson.train.meta), "vali": dict(lesson.vali.meta)},
        "digest": digest([*arrays, *known]),
    }
    return Checkpoint(Path(model).with_suffix(".checkpoint"), identity)


def write_history(path: str | os.PathLike, records: Sequence[Mapping[str, float]]) -> None:
    """Write one line an epoch; the columns are the first record's keys."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def new_student(
    widths: Sequence[int], mean: np.ndarray, scale: np.ndarray, seed: int, meta: dict[str, Any],
    fills: bool = False,
) -> Student:  # fmt: skip
    """An untrained student with hidden ``widths``; uniform in +-1/sqrt(inputs), as PyTorch does.

    Args:
        widths: hidden layers' outputs, from first to last.
        mean, scale: (features,) float64, the fitted z-score.
        seed: decides the weights.
        meta: kept with the student.
        fills: it takes the mean for a missing value.
    """
    generator = np.random.default_rng(seed)
    sizes = [len(mean), *widths, 1]
    weights, biases = [], []
    for inputs, outputs in pairwise(sizes):
        bound = inputs**-0.5
        weights.append(generator.uniform(-bound, bound, (outputs, inputs)).astype(np.float32))
        biases.append(generator.uniform(-bound, bound, outputs).astype(np.float32))
    fill = mean.astype(np.float32) if fills else None
    return Student(tuple(weights), tuple(biases), mean, scale, meta, fill)


def train(
    student: Student,
    lesson: Lesson,
    schedule: Schedule,
    seed: int,
    device: str = "cpu",
    no_relevant: float | None = 1.0,
    masks: Callable[[int, Student], Masks] | None = None,
    precision: str = "fp32",
    select_from: int = 1,
    checkpoint: Checkpoint | None = None,
) -> tuple[Student, list[dict[str, float]]]:
    """Train ``student`` on ``lesson`` and keep its best epoch by the measure of vali.

    Args:
        student: where to start from; not changed.
        seed: decides the order of documents, the synthetic ones and the dropout. The same seed,
            machine, device and thread count give the same bytes, cut off in between or not.
        device: a torch device, see `pick_device`.
        no_relevant: nDCG of a vali query without a relevant document.
        masks: asked at the start, and before each epoch, which counts from 1, with the network as
            it is: for each layer a boolean array of the weights that may differ from 0 from then
            on, or None, of the same layers in every epoch.
        precision: ``fp32``, or ``int8``: train, and choose the epoch, as int8 scores (see `Net`).
        select_from: the first epoch that may be the best.
        checkpoint: where to go on from, and to write to.

    Returns:
        The student that is kept, and one record with the keys of `history_of` for each epoch.

    Raises:
        ValueError: where the loss stops being a number: names the step and what was in its batch.
    """
    # cuBLAS repeats itself only so (its documentation, "Results Reproducibility").
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # It would have every new array filled with NaN first, though all is written before it is read.
    torch.utils.deterministic.fill_uninitialized_memory = False
    first = masks(1, student) if masks else [None] * len(student.weights)
    net = Net(student, schedule.dropout, first, precision).to(device)
    optimiser = torch.optim.Adam(net.parameters(), weight_decay=schedule.weight_decay, fused=True)
    feed = lesson.feed(student, schedule, seed)
    vali = lesson.vali
    judge = Judge(vali, lambda: lesson.teacher(vali.features), no_relevant)
    done = checkpoint.load(net, optimiser, student) if checkpoint else Progress(student)
    threads = torch.get_num_threads()
    plain = schedule.learn_from == "teacher" and not schedule.dropout
    products = products_of(schedule, device, plain and NativeGradient.takes(net), lesson.library)
    with gradient_of(net, products, plain, lesson.library) as gradient:
        logging.info("training on %s, products in %s", device, gradient.name)
        epochs = range(done.epoch + 1, schedule.epochs + 1)
        for epoch in progress(epochs, "training", schedule.epochs):
            start = time.perf_counter()
            if masks:
                net.set_masks(masks(epoch, net.trained()))
            if precision == "int8":
                net.equalise(torch.from_numpy(_some_of(lesson.train, seed)).to(device))
            loss, rows = _epoch(net, gradient, optimiser, feed, schedule, epoch, threads)
            trained = time.perf_counter() - start
            quality = judge.mean(gradient.scores(vali.features))
            seconds = time.perf_counter() - start
            values = (epoch, loss, quality, schedule.rate(epoch), seconds, rows / trained)
            done.history.append(dict(zip(history_of(judge.measure), values, strict=True)))
            if epoch >= select_from and quality > done.best_quality:
                done.best, done.best_quality = net.student(), quality
            _log(done.history, schedule.epochs, quality, judge.measure)
            if checkpoint:
                checkpoint.save(net, optimiser, done)
    return done.best, done.history


def pick_device() -> str:
    """``cuda`` where PyTorch can use it, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def products_of(
    schedule: Schedule, device: str, plain: bool = False, library: str | os.PathLike | None = None
) -> str:
    """The precision that a schedule's ``compute`` means on ``device``: fp32, bf16 or int8.

    Args:
        plain: whether the gradient is one that the native library may compute.
        library: the native library, where `native.find_library` finds it if not given.
    """
    if schedule.compute != "auto":
        return schedule.compute
    # Whole queries: no two steps have the same size, and oneDNN compiles bf16 for each size.
    if schedule.learn_from == "labels":
        return "fp32"
    if torch.device(device).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    known = torch.cpu.get_capabilities()
    if known.get("amx_bf16", False):
        return "bf16"
    if plain and NativeGradient.instructions("int8", library):
        return "int8"
    # Intel's cores since Sapphire Rapids, told by their float16, do one product of pairs in the
    # time of four multiply-adds in fp32: they count on AMX, which a virtual machine may lack.
    slow = known.get("avx512_fp16", False) and known.get("cpu_name", "").startswith("Intel")
    return "bf16" if known.get("avx512_bf16", False) and not slow else "fp32"


def _some_of(train_split: Dataset, seed: int) -> np.ndarray:
    """(documents, features) float32: some real documents, the same whenever asked."""
    count = min(train_split.n_documents, _KNOWN_DOCUMENTS)
    places = np.random.default_rng(seed).choice(train_split.n_documents, count, replace=False)
    return train_split.features[np.sort(places)]


def _log(
    history: Sequence[Mapping[str, float]], epochs: int, quality: float, measure: Measure
) -> None:
    last = history[-1]
    left = (epochs - len(history)) * float(np.median([record["seconds"] for record in history]))
    logging.info(
        "epoch %d of %d: loss %.6f, vali %s %.4f, %.0f rows/s, %s to go",
        last["epoch"], epochs, last["loss"], measure.key, quality,
        last["rows_per_second"], timedelta(seconds=round(left)),
    )  # fmt: skip


def _epoch(
    net: Net, gradient: TorchGradient | NativeGradient, optimiser: torch.optim.Optimizer,
    feed: Feed, schedule: Schedule, epoch: int, threads: int,
) -> tuple[float, int]:  # fmt: skip
    """One pass over the real documents: the mean loss of its steps, and the rows it took."""
    net.train()
    device, plan = net.mean.device, feed.plan(epoch)
    steps = len(plan)
    # Kept on the device: reading every step's loss would make a GPU wait for each.
    losses, rows = torch.empty(steps, device=device), 0
    batches = feed.epoch(epoch, threads, background=device.type == "cuda", plan=plan)
    for step, batch in enumerate(batches):
        optimiser.param_groups[0]["lr"] = schedule.rate(epoch, step / steps)
        loss = gradient(batch)
        optimiser.step()
        net.hold_masks()
        losses[step], rows = loss, rows + len(batch.rows)
        if (step + 1) % _LOOKED_AT == 0 or step + 1 == steps:
            _check_losses(losses[: step + 1], feed, schedule, epoch)
    return float(losses.mean()), rows


def _check_losses(losses: torch.Tensor, feed: Feed, schedule: Schedule, epoch: int) -> None:
    wrong = torch.nonzero(~torch.isfinite(losses))
    if not len(wrong):
        return
    step = int(wrong[0])
    batch = feed.batch(epoch, step)
    found = ", ".join(
        f"{name} from {values.min():.4g} to {values.max():.4g} (mean {values.mean():.4g}, "
        f"{np.count_nonzero(~np.isfinite(values))} not finite)"
        for name, values in (("z-scores", batch.rows), ("targets", batch.targets))
    )
    raise ValueError(
        f"the loss became {float(losses[step])} in step {step + 1} of epoch {epoch}, whose "
        f"{len(batch.rows)} documents have {found}: if these are as they should be, lower the "
        f"recipe's learning_rate ({schedule.learning_rate})"
    )
