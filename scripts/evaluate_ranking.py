"""Measure how a forest or a student ranks."""

from distilrank.job import job

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.files import read_json, write_json
from distilrank.forest import Forest
from distilrank.identity import feature_use, forest_facts, model_identity
from distilrank.judge import NDCG, Judge
from distilrank.kendall import taus_to_reference
from distilrank.letor import Dataset
from distilrank.lightgbm_text import read_lightgbm_text
from distilrank.metrics import conventions
from distilrank.significance import compare
from distilrank.student import Student

COMPARED = NDCG.key
_BLOCK = 16384


def evaluate_ranking(
    model: str | Path,
    splits: Mapping[str, str | Path],
    output: str | Path,
    no_relevant: float | None = 1.0,
    permutations: int = 10_000,
    scores: Mapping[str, str | Path] | None = None,
    teacher: str | Path | None = None,
    reference: Mapping[str, str | Path] | None = None,
) -> None:
    """Write every metric of ``model`` on every split, per query, and its test against a teacher.

    Args:
        model: a student, or a forest's ``model.txt``.
        splits: each split's folder.
        scores: each split's stored scores; without them ``model`` is a student and scores now,
            in float64.
        teacher: the quality file of the forest to compare with, on data with labels.
        reference: each split's stored scores of the teacher, which a student is held to where
            there are no labels; a forest is held to its own.
    """
    student, known = None if scores else Student.load(model), scores or reference or {}
    opened = student or read_lightgbm_text(model)
    result: dict[str, Any] = {
        "model": model_identity(model, opened),
        "feature_use": feature_use(opened),
        "conventions": conventions(no_relevant),
        "splits": {},
    }
    if isinstance(opened, Forest):
        result["forest"] = forest_facts(opened)
    for name, folder in splits.items():
        dataset = Dataset.open(folder)
        values = _predict(student, dataset.features) if student else np.load(scores[name])
        judge = Judge(dataset, partial(np.load, known.get(name)), no_relevant)
        result["splits"][name] = _metrics(dataset, values, judge)
    if teacher is not None:
        result["against_teacher"] = _against(result, teacher, permutations)
    write_json(output, result)


def _predict(student: Student, features: np.ndarray) -> np.ndarray:
    """Block by block: float64 copies of a large split would not fit in memory."""
    starts = range(0, len(features), _BLOCK)
    return np.concatenate([student.predict(features[start : start + _BLOCK]) for start in starts])


def _metrics(dataset: Dataset, scores: np.ndarray, judge: Judge) -> dict[str, Any]:
    metrics = {}
    for metric in judge.measure.metrics:
        if metric == "kendall_tau":
            values = taus_to_reference(scores, judge.reference, dataset.offsets)
        else:
            values = judge.per_query(metric, scores)
        kept = values[~np.isnan(values)]
        if not len(kept):
            missing = "a relevant document" if dataset.labelled else f"a value of {metric}"
            raise ValueError(f"no query of {dataset.meta.get('file')} has {missing}")
        metrics[metric] = {
            "mean": kept.mean(),
            "per_query": [None if np.isnan(value) else value for value in values.tolist()],
        }
    return {"qids": dataset.qids.tolist(), "metrics": metrics}


def _against(
    result: dict[str, Any], teacher: str | Path, permutations: int
) -> dict[str, dict[str, Any]]:
    """Compared on every split; the same signs for every model, so that only models differ."""
    against = {}
    others = read_json(teacher)["splits"]
    for name, split in result["splits"].items():
        if split["qids"] != others[name]["qids"]:
            raise ValueError(
                f"{teacher} has other queries in its {name} split; evaluate the teacher again"
            )
        ours, theirs = (
            quality["metrics"][COMPARED]["per_query"] for quality in (split, others[name])
        )
        compared = compare(ours, theirs, np.random.default_rng(0), permutations)
        against[name] = {"metric": COMPARED} | compared.as_dict()
    return against


if __name__ == "__main__":
    with job(snakemake.log[0]):
        given = snakemake.input
        evaluate_ranking(
            given.model,
            {name: Path(given[name][0]).parent for name in ("vali", "test")},
            snakemake.output[0],
            no_relevant=snakemake.params.no_relevant,
            permutations=snakemake.params.permutations,
            scores=dict(zip(("vali", "test"), given.get("scores", []), strict=False)),
            teacher=next(iter(given.get("teacher", [])), None),
            reference=dict(zip(("vali", "test"), given.get("reference", []), strict=False)),
        )
