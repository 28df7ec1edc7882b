"""What the jobs measured, read back and grouped by model.

A *model* here is one line of the report: a forest, or a network at one sparsity, whatever its
folds and seeds. Quality exists for every fold and seed, timing for the first ones only.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from distilrank.files import read_json
from distilrank.judge import NDCG, OVERLAP, Measure, measure_of
from distilrank.machine import check_one

Paths = Iterable[str | os.PathLike]


@dataclass(frozen=True, order=True)
class Key:
    """What names a line of the report; a forest has no student, recipe and sparsity."""

    dataset: str
    teacher: str
    student: str = ""
    recipe: str = ""
    sparsity: float = 0.0

    @classmethod
    def of(cls, model: Mapping[str, Any]) -> "Key":
        """The key of the ``model`` object that every result file carries."""
        if model["kind"] == "forest":
            return cls(model["dataset"], model["teacher"])
        names = (str(model[name]) for name in ("dataset", "teacher", "student", "recipe"))
        return cls(*names, sparsity=float(model["sparsity"]))

    @property
    def is_forest(self) -> bool:
        return not self.student

    @property
    def kind(self) -> str:
        if self.is_forest:
            return "forest"
        return "pruned" if self.sparsity > 0 else "dense"

    @property
    def forest(self) -> "Key":
        """The teacher's key; a forest's is its own."""
        return Key(self.dataset, self.teacher)

    def name(self, with_recipe: bool = False) -> str:
        """Such as ``lm-large`` or ``lm-large/A 95 %``."""
        if self.is_forest:
            return self.teacher
        parts = [self.teacher, self.student, *([self.recipe] if with_recipe else [])]
        return f"{'/'.join(parts)} {sparsity_name(self.sparsity)}"


def sparsity_name(sparsity: float) -> str:
    """Such as ``98.7 %``; to three digits, since layers' shares are not round numbers."""
    return f"{100 * sparsity:.3g} %" if sparsity > 0 else "dense"


def recipes_differ(keys: Iterable[Key]) -> bool:
    """Whether a name must tell the recipe to be unique."""
    return len({key.recipe for key in keys if not key.is_forest}) > 1


def achieved_sparsity(origin: Mapping[str, Any]) -> float:
    """The share of zeros that was reached: that of the least sparse pruned layer.

    Args:
        origin: a network's ``pruned_from``, see docs/files.md.
    """
    widths = [int(width) for width in origin["architecture"].split("-")]
    return min(
        origin["zeros"][layer - 1] / (widths[layer - 1] * widths[layer])
        for layer in origin["layers"]
    )


@dataclass
class Quality:
    """A model's metrics over its folds and seeds.

    Attributes:
        runs: one quality file's content for each (fold, seed), sorted.
    """

    key: Key
    runs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def model(self) -> dict[str, Any]:
        return self.runs[0]["model"]

    @property
    def folds(self) -> list[int]:
        return sorted({run["model"]["fold"] for run in self.runs})

    @property
    def seeds(self) -> list[int]:
        return sorted({run["model"].get("seed", 0) for run in self.runs})

    @property
    def measure(self) -> Measure:
        """What the data set's models are judged by."""
        return measure_of(self.runs[0]["splits"]["vali"]["metrics"])

    def per_query(self, split: str, metric: str = "", seed: int | None = None) -> pd.Series:
        """Each query's metric, its mean over seeds; the folds' queries one after the other.

        Args:
            metric: the measure if not given, here and below.

        Returns:
            Floats indexed by (fold, qid); NaN where the convention leaves a query out.
        """
        metric = metric or self.measure.key
        runs = [run for run in self.runs if seed in (None, run["model"].get("seed", 0))]
        series = [
            pd.Series(
                np.array(run["splits"][split]["metrics"][metric]["per_query"], dtype=np.float64),
                index=pd.MultiIndex.from_product(
                    [[run["model"]["fold"]], run["splits"][split]["qids"]], names=["fold", "qid"]
                ),
            )
            for run in runs
        ]
        return pd.concat(series).groupby(level=["fold", "qid"], sort=False).mean()

    def mean(self, split: str, metric: str = "") -> float:
        """The mean over all queries of all folds, each query's mean over seeds."""
        return float(self.per_query(split, metric).mean())

    def seed_means(self, split: str, metric: str = "") -> list[float]:
        """One mean over queries for each seed."""
        return [float(self.per_query(split, metric, seed).mean()) for seed in self.seeds]

    def seed_spread(self, split: str, metric: str = "") -> float:
        """Standard deviation over seeds; NaN for a single seed."""
        means = self.seed_means(split, metric)
        return float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")


@dataclass(frozen=True)
class Timing:
    """One timing job: a model on all of its engines, beside the data set's reference forest."""

    path: Path
    content: dict[str, Any]

    @property
    def key(self) -> Key:
        return Key.of(self.content["model"])

    @property
    def machine(self) -> dict[str, Any]:
        return self.content["machine"]

    def measured(self, batch: int) -> list[dict[str, Any]]:
        """The model's own measurements at ``batch``, fastest first."""
        found = [
            line
            for line in self.content["measurements"]
            if line["of"] == "model" and line["batch"] == batch
        ]
        return sorted(found, key=lambda line: line["median"])

    def fastest(self, batch: int, faithful: bool = False) -> dict[str, Any] | None:
        """The fastest engine's measurement; None where nothing was measured.

        Args:
            faithful: only engines that return the scores whose quality was evaluated: exact
                ones for a forest; for a network those that compute in fp32 or better.
        """
        for line in self.measured(batch):
            if not faithful or line["exact"]:
                return line
            if not self.key.is_forest and line.get("precision") in ("fp32", "fp64"):
                return line
        return None

    def reference(self, batch: int) -> dict[str, Any] | None:
        """The reference forest's measurement in this job; None where its engine cannot run."""
        wanted = self.content["reference"]["engine"]
        for line in self.content["measurements"]:
            if (line["of"], line["engine"], line["batch"]) == ("reference", wanted, batch):
                return line
        return None


def read_quality(paths: Paths) -> dict[Key, Quality]:
    """Quality by model, forests first in each data set.

    Raises:
        ValueError: if files disagree on the metrics' conventions, or two of them on one model.
    """
    grouped: dict[Key, Quality] = {}
    conventions: dict[str, Any] | None = None
    for path in sorted(map(str, paths)):
        content = read_json(path)
        conventions = conventions or content["conventions"]
        if content["conventions"] != conventions:
            raise ValueError(
                f"{path} was evaluated with other conventions than the rest "
                f"({content['conventions']} against {conventions}); delete it and run again"
            )
        key = Key.of(content["model"])
        grouped.setdefault(key, Quality(key)).runs.append(content)
    if not grouped:
        raise ValueError("no quality files given; the report needs at least one model")
    for quality in grouped.values():
        quality.runs.sort(key=_fold_and_seed)
        _check_runs(quality)
    return dict(sorted(grouped.items()))


def measure_in(
    table: pd.DataFrame, column: Callable[[Measure], str] = lambda measure: measure.key
) -> Measure:
    """The measure of the one data set whose lines of a table these are.

    Args:
        column: what the column of a measure is called.
    """
    name = column(OVERLAP)
    return OVERLAP if name in table and table[name].notna().any() else NDCG


def table_of(
    lines: Sequence[Mapping[str, Any]], columns: Sequence[str], unlabelled: Iterable[str]
) -> pd.DataFrame:
    """A table of ``lines``; the ``unlabelled`` columns are there where a line has one of them."""
    more = [name for name in unlabelled if any(name in line for line in lines)]
    return pd.DataFrame(lines, columns=[*columns, *more])


def best_forests(qualities: Mapping[Key, Quality]) -> dict[str, Key]:
    """By data set, its forest with the highest mean nDCG@10 on vali; the first of equal ones.

    Without labels none is better than another: each is what its own students are held to.
    """
    best: dict[str, Key] = {}
    for key, quality in qualities.items():
        if not key.is_forest or quality.measure is not NDCG:
            continue
        rival = best.setdefault(key.dataset, key)
        if qualities[key].mean("vali") > qualities[rival].mean("vali"):
            best[key.dataset] = key
    return best


def _fold_and_seed(content: dict[str, Any]) -> tuple[int, int]:
    return content["model"]["fold"], content["model"].get("seed", 0)


def _check_runs(quality: Quality) -> None:
    found = [_fold_and_seed(run) for run in quality.runs]
    wanted = [(fold, seed) for fold in quality.folds for seed in quality.seeds]
    if found != wanted:
        raise ValueError(
            f"{quality.key.name(True)} has quality files for (fold, seed) {found}, expected each "
            f"of {wanted} once"
        )


def read_timing(paths: Paths) -> dict[Key, Timing]:
    """Timing by model: each model's first fold and seed.

    Raises:
        ValueError: if the files come from more than one machine; names those to run again.
    """
    jobs = [Timing(Path(path), read_json(path)) for path in sorted(map(str, paths))]
    jobs.sort(key=lambda job: _fold_and_seed(job.content))
    if jobs:
        check_one({str(job.path): job.machine for job in jobs})
    chosen: dict[Key, Timing] = {}
    for job in jobs:
        chosen.setdefault(job.key, job)
    return dict(sorted(chosen.items()))


def named_by_path(path: str | os.PathLike, root: str, names: tuple[str, ...]) -> dict[str, str]:
    """The parts of ``…/{root}/{a}/{b}/…`` as ``{names[0]: a, …}``, prefixes of fold/seed cut.

    Raises:
        ValueError: if the path has no such folder or too few parts below it.
    """
    parts = Path(path).parts
    last = max((at for at, part in enumerate(parts) if part == root), default=-1)
    below = parts[last + 1 :]
    if last < 0 or len(below) < len(names):
        raise ValueError(f"{path} does not look like {root}/{'/'.join(names)}")
    return {
        name: part.removeprefix(name) if name in ("fold", "seed") else part
        for name, part in zip(names, below, strict=False)
    }
