"""Train a student on its teacher's scores: distillation, and fine-tuning under a mask.

The method is that of Cohen et al. (SIGIR 2018) as Nardini et al. (TKDE 2022) use it: mean squared
error on the teacher's scores, over real documents and as many synthetic ones, drawn anew.
"""

import csv
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import lightgbm
import numpy as np
import torch
from torch import nn

from distilrank.files import replacing
from distilrank.letor import Dataset
from distilrank.logs import progress
from distilrank.metrics import per_query
from distilrank.net import Net
from distilrank.student import Student
from distilrank.synthetic import Midpoints
from distilrank.teacher import score

Score = Callable[[np.ndarray], np.ndarray]
MasksAt = Callable[[int, Student], Sequence[np.ndarray | None]]
HISTORY = ("epoch", "loss", "ndcg_vali", "learning_rate", "seconds")
SELECTION = "ndcg@10"
# What the ranges of int8's activations are taken from: largest values settle slowly.
_KNOWN_DOCUMENTS = 20_000


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; the keys of a recipe's `distil` and `prune` in the config.

    Attributes:
        epochs: passes over the real documents.
        batch: real documents a step; ``synthetic_per_real`` times as many synthetic ones join.
        learning_rate: of Adam, multiplied by ``decay_by`` after each epoch in ``decay_at``.
        weight_decay: Adam's L2 penalty.
        dropout: share of the first hidden layer's outputs dropped while training.
    """

    epochs: int
    batch: int
    learning_rate: float
    decay_at: Sequence[int] = ()
    decay_by: float = 0.1
    weight_decay: float = 0.0
    dropout: float = 0.0
    synthetic_per_real: float = 1.0


@dataclass(frozen=True)
class Lesson:
    """What a student learns from.

    Attributes:
        train, vali: the splits; ``train``'s labels are never used.
        targets: (train documents,) the teacher's scores of the train split.
        midpoints: where synthetic documents come from.
        teacher: scores raw rows, (documents, features) float32 to (documents,) floats.
    """

    train: Dataset
    vali: Dataset
    targets: np.ndarray
    midpoints: Midpoints
    teacher: Score


def open_lesson(
    folders: Mapping[str, str | os.PathLike], teacher: Mapping[str, str | os.PathLike], threads: int
) -> Lesson:
    """The lesson that lies on disk.

    Args:
        folders: where the ``train`` and ``vali`` splits lie.
        teacher: the teacher's ``model``, its ``targets`` (scores of train) and ``midpoints``.
        threads: how many score the synthetic documents.

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
    booster = lightgbm.Booster(model_file=teacher["model"])
    if booster.num_feature() != train_split.n_features:
        raise ValueError(
            f"the teacher's model reads {booster.num_feature()} features, the train split has "
            f"{train_split.n_features}"
        )
    return Lesson(train_split, vali, targets, midpoints, lambda rows: score(booster, rows, threads))


def write_history(path: str | os.PathLike, records: Sequence[Mapping[str, float]]) -> None:
    """Write one line an epoch with the columns of `HISTORY`."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HISTORY)
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
    masks: Sequence[np.ndarray | None] | None = None,
    precision: str = "fp32",
    masks_at: MasksAt | None = None,
    select_from: int = 1,
) -> tuple[Student, list[dict[str, float]]]:
    """Train ``student`` on ``lesson`` and keep its best epoch by vali nDCG@10.

    Args:
        student: where to start from; not changed.
        seed: decides the order of documents, the synthetic ones and the dropout. The same seed,
            machine, device and thread count give the same bytes.
        device: a torch device, see `pick_device`.
        no_relevant: nDCG of a vali query without a relevant document.
        masks: for each layer a boolean array of the weights that may differ from 0, or None.
        precision: ``fp32``, or ``int8``: train, and choose the epoch, as int8 scores (see `Net`).
        masks_at: asked before each epoch, counted from 1, with the network as it is: the masks
            that hold from then on, in place of ``masks``.
        select_from: the first epoch that may be the best one.

    Returns:
        The best student, and one record with the keys of `HISTORY` for each epoch.

    Raises:
        ValueError: where the loss stops being a number: names the epoch.
    """
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    generator = np.random.default_rng(seed)
    masks = masks or [None] * len(student.weights)
    net = Net(student, schedule.dropout, masks, precision).to(device)
    optimiser = torch.optim.Adam(
        net.parameters(),
        lr=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        fused=True,
    )
    decay = torch.optim.lr_scheduler.MultiStepLR(
        optimiser, list(schedule.decay_at), schedule.decay_by
    )
    best, best_ndcg, history = student, -1.0, []
    for epoch in progress(range(1, schedule.epochs + 1), "training", schedule.epochs):
        start = time.perf_counter()
        rate = optimiser.param_groups[0]["lr"]
        if masks_at is not None:
            net.set_masks(masks_at(epoch, net.student()))
        if precision == "int8":
            net.equalise(torch.from_numpy(_some_of(lesson.train, seed)).to(device))
        loss = _epoch(net, optimiser, lesson, schedule, generator, epoch)
        decay.step()
        ndcg = _validate(net, lesson.vali, no_relevant)
        seconds = time.perf_counter() - start
        history.append(dict(zip(HISTORY, (epoch, loss, ndcg, rate, seconds), strict=True)))
        if epoch >= select_from and ndcg > best_ndcg:
            best, best_ndcg = net.student(), ndcg
        logging.info("epoch %d loss %.6f vali %s %.4f (%.2f s)", *_logged(history[-1]))
    return best, history


def pick_device() -> str:
    """``cuda`` where PyTorch can use it, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _some_of(train_split: Dataset, seed: int) -> np.ndarray:
    """(documents, features) float32: some real documents, the same whenever asked."""
    count = min(train_split.n_documents, _KNOWN_DOCUMENTS)
    places = np.random.default_rng(seed).choice(train_split.n_documents, count, replace=False)
    return train_split.features[np.sort(places)]


def _logged(record: dict[str, float]) -> tuple[Any, ...]:
    return record["epoch"], record["loss"], SELECTION, record["ndcg_vali"], record["seconds"]


def _epoch(
    net: Net,
    optimiser: torch.optim.Optimizer,
    lesson: Lesson,
    schedule: Schedule,
    generator: np.random.Generator,
    epoch: int,
) -> float:
    """One pass over the real documents; the mean loss of its steps."""
    net.train()
    # Summed on the device: reading every step's loss would make a GPU wait for each.
    total, steps = torch.zeros((), device=net.mean.device), 0
    for rows, targets in _batches(lesson, schedule, generator):
        scores = net(torch.from_numpy(rows).to(net.mean.device))
        wanted = torch.from_numpy(targets).to(net.mean.device)
        loss = nn.functional.mse_loss(scores, wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        net.hold_masks()
        total += loss.detach()
        steps += 1
    mean = float(total) / steps
    if not np.isfinite(mean):
        raise ValueError(
            f"the loss became {mean} in epoch {epoch}: lower the recipe's learning_rate "
            f"({schedule.learning_rate})"
        )
    return mean


def _batches(
    lesson: Lesson, schedule: Schedule, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled real documents, each batch joined by new synthetic ones that the teacher scores."""
    order = generator.permutation(lesson.train.n_documents)
    for start in range(0, len(order), schedule.batch):
        real = np.sort(order[start : start + schedule.batch])
        drawn = round(len(real) * schedule.synthetic_per_real)
        synthetic = lesson.midpoints.draw(drawn, generator)
        rows = np.concatenate([lesson.train.features[real], synthetic])
        scored = lesson.teacher(synthetic) if drawn else np.empty(0)
        yield rows, np.concatenate([lesson.targets[real], scored]).astype(np.float32)


def _validate(net: Net, vali: Dataset, no_relevant: float | None) -> float:
    net.eval()
    with torch.inference_mode():
        scores = np.concatenate(
            [
                net(torch.tensor(vali.features[start : start + 16384]).to(net.mean.device)).cpu()
                for start in range(0, vali.n_documents, 16384)
            ]
        )
    values = per_query(SELECTION, scores, vali.labels, vali.offsets, no_relevant)
    return float(np.nanmean(values))
