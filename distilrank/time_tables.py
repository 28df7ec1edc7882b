"""The report's tables of predicted times: each prediction, how far off they are, the costs."""

import os
from collections.abc import Mapping
from typing import Any

import pandas as pd

from distilrank.files import read_json
from distilrank.results import Key, recipes_differ, sparsity_name

NAN = float("nan")
LAYERS, STUDENTS = "layers kept out of the fit", "whole students"
NETWORKS = "random networks kept out of the fit"
# Steps below this share of a call say nothing of its time, and the clock's own cost blurs them.
_TRIFLE = 0.03


def predictor_table(path: str | os.PathLike) -> pd.DataFrame:
    """Predicted and measured times of what was never fitted, all in microseconds a document.

    Args:
        path: ``predictor/validation.json``; its layers' times are microseconds a call.

    Raises:
        ValueError: if the file has neither layers nor students.
    """
    content = read_json(path)
    layers, students = content.get("layers", []), content.get("students", [])
    native = content.get("native", {})
    if not layers and not students and not native:
        raise ValueError(f"{path} holds no predictions; delete it and run the predictor again")
    with_recipe = recipes_differ(Key.of(line["model"]) for line in students)
    lines = [
        _prediction(
            LAYERS,
            line["kernel"],
            f"{line['inputs']} to {line['outputs']}, {sparsity_name(line['sparsity'])}",
            line,
        )
        for line in layers
    ]
    lines += [
        _prediction(
            LAYERS,
            line["engine"],
            f"{line['inputs']} words to {line['outputs']}, {line['nonzeros']} weights",
            line,
        )
        for line in native.get("layers", [])
        if _is_seen(line)
    ]
    lines += [
        _prediction(NETWORKS, line["engine"], line["name"], line)
        for line in native.get("networks", [])
    ]
    for line in students:
        key = Key.of(line["model"])
        lines.append(
            {
                "set": STUDENTS,
                # An engine named after two kernels runs the first layer sparse.
                "kind": line.get("kind", "sparse" if "+" in line["engine"] else "dense"),
                "engine": line["engine"],
                "dataset": key.dataset,
                "name": key.name(with_recipe),
                **{name: line[name] for name in ("batch", "predicted", "measured")},
            }
        )
    table = pd.DataFrame(lines)
    table["error"] = table["predicted"] / table["measured"] - 1.0
    return table


def _is_seen(line: Mapping[str, Any]) -> bool:
    """Whether a step is a dense or sparse layer, and more than a trifle of its network's time."""
    return line["kind"] in ("dense", "sparse") and line["share"] >= _TRIFLE


def _prediction(of: str, engine: str, name: str, line: Mapping[str, Any]) -> dict[str, Any]:
    """What was never fitted, as the table has it; ``line`` is in microseconds a call."""
    return {
        "set": of,
        "kind": line["kind"],
        "engine": engine,
        "dataset": "",
        "name": name,
        "batch": line["batch"],
        **{time: line[time] / line["batch"] for time in ("predicted", "measured")},
    }


def accuracy_table(predictor: pd.DataFrame) -> pd.DataFrame:
    """For each set and kernel or engine: how far off, and whether the order is right."""
    lines = []
    for (of, kind, engine), part in predictor.groupby(["set", "kind", "engine"], sort=True):
        error = part["error"].abs()
        ranks = part[["predicted", "measured"]].rank()
        lines.append(
            {
                "set": of,
                "kind": kind,
                "engine": engine,
                "count": len(part),
                "median_error": error.median(),
                "p95_error": error.quantile(0.95),
                "max_error": error.max(),
                "bias": part["error"].median(),
                # Spearman's rho is Pearson's correlation of the ranks.
                "rank_correlation": ranks.corr().iloc[0, 1] if len(part) > 2 else NAN,
            }
        )
    return pd.DataFrame(lines)


def times_table(path: str | os.PathLike) -> pd.DataFrame:
    """How far the native scorer's predicted times are off, by what, engine and batch.

    Args:
        path: ``predictor/validation.json``.

    Returns:
        One line for each; batches that some networks alone have are taken together as NaN.
    """
    content = read_json(path)
    native = content.get("native", {})
    groups: dict[tuple[str, str, float], list[Mapping[str, Any]]] = {}
    listed = set(native.get("batches", []))
    for line in native.get("layers", []):
        if line["share"] >= _TRIFLE:
            what = {"rows": "reading rows", "last": "output layers"}.get(
                line["kind"], f"{line['kind']} layers"
            )
            groups.setdefault((what, line["engine"], _batch(line, listed)), []).append(line)
    for line in native.get("networks", []):
        groups.setdefault(("random networks", line["engine"], _batch(line, listed)), []).append(
            line
        )
    for line in native.get("forests", []):
        groups.setdefault(("forests", line["engine"], _batch(line, listed)), []).append(line)
    for line in content.get("students", []):
        if line["engine"].startswith("native-"):
            groups.setdefault(("students", line["engine"], line["batch"]), []).append(line)
    lines = [
        {"what": what, "engine": engine, "batch": batch} | _errors(pd.DataFrame(own))
        for (what, engine, batch), own in groups.items()
    ]
    table = pd.DataFrame(lines, columns=["what", "engine", "batch", *_ERRORS])
    return table.sort_values(["what", "engine", "batch"], ignore_index=True)


def _batch(line: Mapping[str, Any], listed: set[int]) -> float:
    return line["batch"] if line["batch"] in listed else NAN


_ERRORS = ("count", "median_error", "p95_error", "max_error", "bias", "rank_correlation", "worst")


def _errors(part: pd.DataFrame) -> dict[str, Any]:
    error = part["predicted"] / part["measured"] - 1.0
    ranks = pd.DataFrame({name: part[name] / part["batch"] for name in ("predicted", "measured")})
    worst = part.loc[error.abs().idxmax()]
    name = worst.get("name")
    if not isinstance(name, str):
        name = _shape(worst)
    return {
        "count": len(part),
        "median_error": error.abs().median(),
        "p95_error": error.abs().quantile(0.95),
        "max_error": error.abs().max(),
        "bias": error.median(),
        "rank_correlation": ranks.rank().corr().iloc[0, 1] if len(part) > 2 else NAN,
        "worst": name,
    }


def _shape(line: Mapping[str, Any]) -> str:
    if isinstance(line.get("model"), dict):
        model = line["model"]
        return f"{model.get('student', model['teacher'])} at {model.get('sparsity', 0):.1%} zeros"
    shape = f"{line['inputs']:.0f} words to {line['outputs']:.0f}"
    return f"{shape}, {line['nonzeros']:.0f} weights" if line["kind"] == "sparse" else shape


def costs_table(path: str | os.PathLike) -> pd.DataFrame:
    """The fitted costs of the native scorer, in nanoseconds, with what they mean.

    Args:
        path: ``predictor/validation.json``. Costs of 0 are left out: others stand for them.
    """
    native = read_json(path).get("native", {})
    lines = [
        {
            "engine": engine,
            "step": step,
            "cost": 1000 * entry["value"],
            "unit": entry["unit"].replace("us", "ns"),
            "meaning": entry["meaning"],
        }
        for engine, steps in native.get("costs", {}).items()
        for step, costs in steps.items()
        for entry in costs.values()
        if entry["value"] > 0
    ]
    return pd.DataFrame(lines, columns=["engine", "step", "cost", "unit", "meaning"])


def by_batch(engines: pd.DataFrame) -> tuple[pd.DataFrame, list[int]]:
    """The timed lines of ``tables.engines_table``, one column of medians for each batch size."""
    timed = engines[engines["status"] == "timed"]
    batches = sorted({int(batch) for batch in timed["batch"]})
    lines = []
    for (name, engine), part in timed.groupby(["name", "engine"], sort=False):
        first = part.iloc[0]
        medians = {str(int(batch)): us for batch, us in zip(part["batch"], part["us"], strict=True)}
        lines.append(
            {"name": name, "engine": engine, "kind": first["kind"]}
            | {column: first[column] for column in ("precision", "sparse")}
            | {str(batch): medians.get(str(batch), float("nan")) for batch in batches}
        )
    return pd.DataFrame(lines), batches
