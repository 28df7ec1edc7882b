"""The tables a reader checks the others by: parity, timing health, data, published."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from distilrank.files import read_json
from distilrank.judge import NDCG
from distilrank.metrics import METRICS
from distilrank.results import (
    Key,
    Paths,
    Quality,
    Timing,
    achieved_sparsity,
    measure_in,
    named_by_path,
    recipes_differ,
)

NAN = float("nan")
# Magnitude pruning zeroes whole weights, so a layer misses its share by less than one weight.
_SPARSITY_TOLERANCE = 0.005
_GRADES = 5


def parity_table(paths: Paths) -> pd.DataFrame:
    """One line for each model (fold and seed), engine: passed with its error, or skipped."""
    contents = [read_json(path) for path in sorted(map(str, paths))]
    with_recipe = recipes_differ(Key.of(content["model"]) for content in contents)
    lines = []
    for content in contents:
        key = Key.of(content["model"])
        for engine in content["engines"]:
            lines.append(
                {
                    "dataset": key.dataset,
                    "name": key.name(with_recipe),
                    "kind": key.kind,
                    "fold": content["model"]["fold"],
                    "seed": content["model"].get("seed", NAN),
                    "documents": content["documents"],
                    **{name: engine.get(name, "") for name in ("engine", "status", "reason")},
                    **{name: engine.get(name, NAN) for name in _PARITY_NUMBERS},
                }
            )
    return pd.DataFrame(lines, columns=_PARITY_COLUMNS)


_PARITY_NUMBERS = ("error", "tolerance", "kendall_tau")
_PARITY_COLUMNS = [
    *("dataset", "name", "kind", "fold", "seed", "documents", "engine", "status"),
    *(*_PARITY_NUMBERS, "reason"),
]


def health_table(timings: Mapping[Key, Timing], batch: int, drift: float) -> pd.DataFrame:
    """The reference forest's time in each timing job against the other jobs' median.

    A job is flagged where the two differ by more than ``drift`` (a fraction): the machine was
    not the same then, whatever its name. So is a job without a time of the reference.
    """
    with_recipe = recipes_differ(timings)
    lines = []
    for key, job in timings.items():
        line = job.reference(batch) or {"engine": "did not run", "median": NAN}
        lines.append(
            {
                "dataset": key.dataset,
                "name": key.name(with_recipe),
                "reference": job.content["reference"]["model"]["teacher"],
                "engine": line["engine"],
                "us": line["median"],
                "machine": job.machine["id"],
                "file": _below("timing", job.path),
            }
        )
    table = pd.DataFrame(lines)
    for _, part in table.groupby("dataset"):
        for index in part.index:
            others = part["us"].drop(index)
            middle = float(others.median()) if others.notna().any() else float(part["us"][index])
            table.loc[index, "others_us"] = middle
            table.loc[index, "deviation"] = part["us"][index] / middle - 1.0
    table["flagged"] = (table["deviation"].abs() > drift) | table["us"].isna()
    return table


def _below(root: str, path: Path) -> str:
    """The path from the folder ``root`` on, so that no table holds a machine's own paths."""
    parts = path.parts
    return str(Path(*parts[parts.index(root) :])) if root in parts else path.name


def checks_table(
    models: pd.DataFrame,
    qualities: Mapping[Key, Quality],
    min_share: float | None,
    overlap_min: float | None = None,
) -> pd.DataFrame:
    """Quality floor and achieved sparsity of every network: value, limit and whether it holds.

    Args:
        models: ``tables.models_table``'s, in the order of ``qualities``.
        min_share: least share of the teacher's nDCG@10 on vali; None = no floor; for networks that
            learnt from it. Not on test: a check that a run must pass would have people choose by
            what only judges.
        overlap_min: the same on data without labels: least overlap of the top 10 on vali.
    """
    lines = []
    for (_, model), quality in zip(models.iterrows(), qualities.values(), strict=True):
        if model["kind"] == "forest":
            continue
        identity = {"dataset": model["dataset"], "name": model["name"]}
        # Without a teacher there is nothing that it must not lose.
        floor = min_share if quality.measure is NDCG else overlap_min
        if floor is not None and "learn_from" not in quality.model:
            share = model["teacher_share"]
            lines.append(
                identity
                | {"check": "quality", "value": share, "limit": floor, "ok": share >= floor}
            )
        if model["kind"] == "pruned":
            achieved = min(achieved_sparsity(run["model"]["pruned_from"]) for run in quality.runs)
            wanted = model["sparsity"]
            near = abs(achieved - wanted) <= _SPARSITY_TOLERANCE
            lines.append(
                identity | {"check": "sparsity", "value": achieved, "limit": wanted, "ok": near}
            )
    return pd.DataFrame(lines, columns=["dataset", "name", "check", "value", "limit", "ok"])


def data_table(paths: Paths) -> pd.DataFrame:
    """Documents, queries, labels and share of missing values of each split.

    By the folders of its ``meta.json``; the share is NaN where no value is missing, labels are
    where there are none. ``dealt`` is
    the number of folds that a data set's queries were dealt into, 1 if they were not.
    """
    lines = []
    for path in sorted(map(str, paths)):
        meta = read_json(path)
        labels = list(meta.get("labels", []))
        labels += [0 if meta.get("labelled", True) else NAN] * (_GRADES - len(labels))
        lines.append(
            named_by_path(path, "data", ("dataset", "fold", "split"))
            | {name: meta[name] for name in ("queries", "documents", "features")}
            | {"missing": _missing_share(meta), "dealt": meta.get("dealt", 1)}
            | {"shared": "; ".join(_shared(meta))}
            | {f"label_{grade}": count for grade, count in enumerate(labels)}
        )
    table = pd.DataFrame(lines)
    grades = [column for column in table if column.startswith("label_")]
    labelled = table["label_0"].notna()
    table.loc[labelled, grades] = table.loc[labelled, grades].fillna(0)
    order = {"train": 0, "vali": 1, "test": 2}
    ranks = table["split"].map(order).fillna(len(order))
    return (
        table.assign(_rank=ranks)
        .sort_values(["dataset", "fold", "_rank"])
        .drop(columns="_rank")
        .reset_index(drop=True)
    )


def _shared(meta: Mapping[str, Any]) -> list[str]:
    return [f"{pair}: {count}" for pair, count in sorted(meta.get("shared_queries", {}).items())]


def forests_table(qualities: Mapping[Key, Quality]) -> pd.DataFrame:
    """What each forest is made of, of the first fold: one line a forest.

    ``split_points`` are distinct thresholds of a feature: of all features together, the median
    over those that are used, and the most of one.
    """
    lines = []
    for key, quality in qualities.items():
        if not key.is_forest:
            continue
        model, facts = quality.model, quality.runs[0]["forest"]
        points = np.array(facts["split_points"])
        used = points[points > 0]
        lines.append(
            {
                "dataset": key.dataset,
                "name": key.name(),
                "trees": model["trees"],
                "max_leaves": model["max_leaves"],
                "leaves": facts["leaves"],
                "depth": facts["depth"],
                "features": len(points),
                "features_used": len(used),
                "split_points": points.sum(),
                "split_points_median": np.median(used) if len(used) else NAN,
                "split_points_most": points.max(initial=0),
            }
        )
    return pd.DataFrame(lines)


def features_table(qualities: Mapping[Key, Quality], meta: Paths) -> pd.DataFrame:
    """Which features the models of each data set read: one line a feature, most split on first.

    ``splits`` are those of all the data set's forests, ``split_points`` the sum of their distinct
    thresholds, ``read_by`` counts the pruned networks in
    which a path of weights leads from the feature to the output; of several folds and seeds the
    first ones count.

    Args:
        meta: ``meta.json`` of every split: the features' names, where they are known.
    """
    names = feature_names(meta)
    tables = []
    for dataset in sorted({key.dataset for key in qualities}):
        use = {
            kind: np.array(
                [
                    quality.runs[0]["feature_use"]
                    for key, quality in qualities.items()
                    if (key.dataset, key.kind) == (dataset, kind)
                ]
            )
            for kind in ("forest", "pruned")
        }
        splits = use["forest"].sum(axis=0)
        width = len(splits)
        points = [
            quality.runs[0]["forest"]["split_points"]
            for key, quality in qualities.items()
            if key.dataset == dataset and key.is_forest
        ]
        table = pd.DataFrame(
            {
                "dataset": dataset,
                "feature": np.arange(1, width + 1),
                "feature_name": names.get(dataset) or [""] * width,
                "splits": splits,
                "split_points": np.sum(points, axis=0),
                "split_share": splits / max(1, splits.sum()),
                "read_by": (use["pruned"] > 0).sum(axis=0) if len(use["pruned"]) else NAN,
                "pruned": len(use["pruned"]),
            }
        )
        tables.append(table.sort_values(["splits", "feature"], ascending=[False, True]))
    return pd.concat(tables, ignore_index=True)


def feature_names(meta: Paths) -> dict[str, list[str] | None]:
    """By data set, None where they are not known."""
    return {
        named_by_path(path, "data", ("dataset",))["dataset"]: read_json(path).get("feature_names")
        for path in map(str, meta)
    }


def _missing_share(meta: Mapping[str, Any]) -> float:
    if "missing" not in meta:
        return float("nan")
    return meta["missing"]["count"] / (meta["documents"] * meta["features"])


def training_table(paths: Paths) -> pd.DataFrame:
    """All history CSVs in one: the model's identity, then one line an epoch."""
    parts = []
    for path in sorted(map(str, paths)):
        names = ("dataset", "fold", "teacher", "student", "recipe", "seed", "sparsity")
        identity = named_by_path(path, "students", names)
        identity["sparsity"] = int(Path(path).stem.removeprefix("sp")) / 1000
        history = pd.read_csv(path)
        if "phase" not in history:
            history["phase"] = "prune" if identity["sparsity"] else "distil"
        parts.append(history.assign(**identity)[[*identity, *history.columns]])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def published_table(
    entries: Sequence[Mapping[str, Any]], models: pd.DataFrame, matched: pd.DataFrame
) -> pd.DataFrame:
    """Published figures beside ours, one line for each entry and data set of this run.

    Data without labels has no line for a metric that needs them.

    Args:
        entries: ``figures`` of ``config/published.yaml``.
    """
    lines = []
    for entry in entries:
        for dataset, part in models.groupby("dataset", sort=True):
            if entry["metric"] in METRICS and measure_in(part) is not NDCG:
                continue
            ours, model = _ours(entry, part, matched[matched["dataset"] == dataset])
            comparable, why = _comparable(entry, str(dataset), part)
            lines.append(
                {
                    "dataset": dataset,
                    "what": entry["what"],
                    "metric": entry["metric"],
                    "published": str(entry["value"]),
                    "source": entry["source"],
                    "ours": ours,
                    "model": model,
                    "comparable": comparable,
                    "why": why,
                }
            )
    return pd.DataFrame(lines)


def _ours(
    entry: Mapping[str, Any], models: pd.DataFrame, matched: pd.DataFrame
) -> tuple[float, str]:
    """Our nearest figure and its model, which is picked on vali and never on test."""
    kind, metric = entry.get("ours"), entry["metric"]
    if kind == "matched":
        shown = matched[matched["verdict"] == "shown"]
        if shown.empty:
            return NAN, "no matched speed-up shown"
        best = shown.loc[shown["speedup"].idxmax()]
        return best["speedup"], f"{best['network']} for {best['forest']}"
    if kind is None:
        return NAN, ""
    part = models[(models["kind"] == "forest") == (kind == "forest")]
    part = part[part[metric].notna()]
    if part.empty:
        return NAN, ""
    best = part.loc[part[f"vali_{measure_in(part).key}"].idxmax()]
    return best[metric], best["name"]


def _comparable(entry: Mapping[str, Any], dataset: str, models: pd.DataFrame) -> tuple[str, str]:
    if entry["datasets"] and dataset not in entry["datasets"]:
        return "no", f"other data: published on {', '.join(entry['datasets'])}, ours is {dataset}"
    folds = set(models["folds"])
    if "fold" in entry and folds != {str(entry["fold"])}:
        return "partly", f"published on fold {entry['fold']} alone. {entry['why']}"
    return entry["comparable"], entry["why"]


def parity_by_engine(parity: pd.DataFrame) -> pd.DataFrame:
    """The worst case of each engine over the models it ran: one line for (forests|networks)."""
    lines = []
    of = parity["kind"].map(lambda kind: "forests" if kind == "forest" else "networks")
    for (kind, engine), part in parity.groupby([of, "engine"], sort=True):
        passed = part[part["status"] == "passed"]
        lines.append(
            {
                "engine": engine,
                "of": kind,
                "passed": len(passed),
                "skipped": int((part["status"] == "skipped").sum()),
                "error": passed["error"].max(),
                "tolerance": passed["tolerance"].max(),
                "kendall_tau": passed["kendall_tau"].min(),
                "documents": passed["documents"].max(),
            }
        )
    return pd.DataFrame(lines)


def skipped_engines(engines: pd.DataFrame) -> pd.DataFrame:
    """One line for each (engine, reason): how many models the engine did not time."""
    skipped = engines[engines["status"] == "skipped"]
    counts = skipped.groupby(["engine", "reason"], sort=True).size()
    return counts.rename("models").reset_index()
