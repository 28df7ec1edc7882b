"""The report's tables of quality and time, one tidy DataFrame each.

Times are microseconds a document, sparsity is a fraction; wording and rounding come later
(``distilrank/display.py``). Checks, parity, data and predictor are in ``distilrank/evidence.py``.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from distilrank.files import read_json
from distilrank.judge import NDCG, OVERLAP
from distilrank.matched import SIGNIFICANT, Match, Rules, headline, paired_samples, speedup
from distilrank.metrics import METRICS
from distilrank.results import (
    Key,
    Paths,
    Quality,
    Timing,
    best_forests,
    measure_in,
    recipes_differ,
    table_of,
)

NAN = float("nan")


def models_table(
    qualities: Mapping[Key, Quality], timings: Mapping[Key, Timing], rules: Rules
) -> pd.DataFrame:
    """One line a model: what it is, its fastest faithful engine, its quality on test.

    ``speedup`` is against the model's own forest on that forest's fastest exact engine;
    ``difference``, ``low``, ``high``, ``p_value``, ``mark``, ``effect`` (with its interval) and
    ``needed`` queries to detect a difference of the margin compare nDCG@10 on test with it;
    the first five with ``best_`` in front with ``best_forest``, the data set's best on vali.
    Without labels the overlap of the top 10 with the forest and Kendall's tau stand in their place,
    and ``low`` and ``high`` are the interval of the overlap itself.
    """
    lines, best = [], best_forests(qualities)
    with_recipe = recipes_differ(qualities)
    for key, quality in qualities.items():
        line = _identity(key, with_recipe) | _shape(quality)
        line |= _time(timings, key, rules.batch) | _ranking(quality)
        if not key.is_forest and key.forest in qualities:
            line |= against(quality, qualities[key.forest], rules)
            if quality.measure is NDCG:
                line["needed"] = rules.needed(quality, qualities[key.forest])
            line["teacher_share"] = quality.mean("vali") / qualities[key.forest].mean("vali")
        if rival := best.get(key.dataset):
            line["best_forest"] = rival.name()
            line |= against(quality, qualities[rival], rules, "best_") if key != rival else {}
        lines.append(line)
    table = table_of(lines, _MODEL_COLUMNS, (*OVERLAP.metrics, f"vali_{OVERLAP.key}"))
    table["on_front"] = False
    for _, part in table.groupby("dataset"):
        table.loc[part.index, "on_front"] = pareto_front(part["us"], part[measure_in(part).key])
    return table


_MODEL_COLUMNS = [
    *("dataset", "kind", "name", "teacher", "student", "recipe", "sparsity"),
    *("architecture", "trees", "max_leaves", "layer_sparsity", "folds", "seeds"),
    "features_read",
    *("engine", "batch", "us", "us_q1", "us_q3", "speedup"),
    *(*METRICS, "seed_sd", "vali_ndcg@10", "vali_queries", "test_queries"),
    *("difference", "low", "high", "p_value", "mark", "teacher_share"),
    *("best_forest", "best_difference", "best_low", "best_high", "best_p_value", "best_mark"),
    *("effect", "effect_low", "effect_high", "needed"),
]


def pareto_front(times: Sequence[float], quality: Sequence[float]) -> np.ndarray:
    """(models,) bool: no other model is at least as fast and as good, and better in one.

    A model without a time or a quality is never on the front.
    """
    points = np.column_stack(
        [np.asarray(times, dtype=np.float64), -np.asarray(quality, dtype=np.float64)]
    )
    known = ~np.isnan(points).any(axis=1)
    front = known.copy()
    for index in np.flatnonzero(known):
        others = points[known]
        beats = (others <= points[index]).all(axis=1) & (others < points[index]).any(axis=1)
        front[index] = not beats.any()
    return front


def _identity(key: Key, with_recipe: bool) -> dict[str, Any]:
    return {
        "dataset": key.dataset,
        "kind": key.kind,
        "name": key.name(with_recipe),
        "teacher": key.teacher,
        "student": key.student,
        "recipe": key.recipe,
        "sparsity": key.sparsity,
    }


def _shape(quality: Quality) -> dict[str, Any]:
    model = quality.model
    layers = model.get("layer_sparsity", [])
    return {
        "architecture": model.get("architecture", ""),
        "trees": model.get("trees", NAN),
        "max_leaves": model.get("max_leaves", NAN),
        "layer_sparsity": " ".join(f"{share:.4g}" for share in layers),
        "folds": " ".join(map(str, quality.folds)),
        "seeds": len(quality.seeds),
        "features_read": int(np.count_nonzero(quality.runs[0]["feature_use"])),
    }


def _time(timings: Mapping[Key, Timing], key: Key, batch: int) -> dict[str, Any]:
    job, base = timings.get(key), timings.get(key.forest)
    line = job.fastest(batch, faithful=True) if job else None
    if job is None or line is None:
        return {"engine": "", "batch": batch} | dict.fromkeys([*_QUARTILES, "speedup"], NAN)
    times = {name: line[column] for name, column in _QUARTILES.items()}
    base_line = base.fastest(batch, faithful=True) if base else None
    ratio = speedup(job, line, base, base_line)[0] if base and base_line else NAN
    return {"engine": line["engine"], "batch": batch, **times, "speedup": ratio}


_QUARTILES = {"us": "median", "us_q1": "q1", "us_q3": "q3"}


def _ranking(quality: Quality) -> dict[str, Any]:
    return {
        **{metric: quality.mean("test", metric) for metric in quality.measure.metrics},
        "seed_sd": quality.seed_spread("test"),
        f"vali_{quality.measure.key}": quality.mean("vali"),
        "vali_queries": int(quality.per_query("vali").notna().sum()),
        "test_queries": int(quality.per_query("test").notna().sum()),
    }


def against(quality: Quality, other: Quality, rules: Rules, prefix: str = "") -> dict[str, Any]:
    """The comparison on test with ``other``, the columns' names with ``prefix`` in front.

    With a forest that the model itself is held to only its mean's interval says something.
    """
    test = rules.compare(quality, other)
    if math.isnan(test.p_value):
        return _interval(other.mean("test"), test.interval, prefix)
    return {
        f"{prefix}difference": test.difference,
        f"{prefix}low": test.interval[0],
        f"{prefix}high": test.interval[1],
        f"{prefix}p_value": test.p_value,
        f"{prefix}mark": mark(test.difference, test.p_value),
        f"{prefix}effect": test.effect,
        f"{prefix}effect_low": test.effect_interval[0],
        f"{prefix}effect_high": test.effect_interval[1],
    }


def _interval(base: float, interval: Sequence[float], prefix: str = "") -> dict[str, float]:
    """The interval of a mean share, from that of its difference to ``base``; within 0 to 1."""
    low, high = (min(max(base + end, 0.0), 1.0) for end in interval)
    return {f"{prefix}low": low, f"{prefix}high": high}


def mark(difference: float, p_value: float) -> str:
    """``worse`` or ``better`` where a difference is significant, else nothing."""
    if p_value >= SIGNIFICANT or not difference:
        return ""
    return "worse" if difference < 0 else "better"


def matched_table(
    matches: Sequence[Match], qualities: Mapping[Key, Quality], rules: Rules
) -> pd.DataFrame:
    """One line a forest: the network that vali chose, and what test says of it."""
    with_recipe = recipes_differ(qualities)
    lines = []
    for match in matches:
        forest, chosen = qualities[match.forest], match.test is not None
        network = qualities[match.network] if match.network and chosen else None
        lines.append(
            {
                "dataset": match.forest.dataset,
                "forest": match.forest.name(),
                "trees": forest.model.get("trees", NAN),
                "max_leaves": forest.model.get("max_leaves", NAN),
                "forest_engine": match.forest_line.get("engine", ""),
                "forest_us": match.forest_line.get("median", NAN),
                "network": network.key.name(with_recipe) if network else "",
                "architecture": network.model.get("architecture", "") if network else "",
                "network_engine": match.network_line.get("engine", ""),
                "network_us": match.network_line.get("median", NAN),
                "speedup": match.speedup,
                "speedup_low": match.spread[0],
                "speedup_high": match.spread[1],
                "vali_difference": match.vali_difference if chosen else NAN,
                **_test_columns(match),
                "network_seed_sd": network.seed_spread("test") if network else NAN,
                "seeds": len(network.seeds) if network else NAN,
                "verdict": match.verdict,
                "headline": headline(match, rules.margin_of(match.measure)),
            }
        )
    return pd.DataFrame(lines)


def _test_columns(match: Match) -> dict[str, Any]:
    if match.test is None:
        names = ("difference", "low", "high", "p_value", "queries", "needed")
        return dict.fromkeys(names, NAN)
    return {
        "difference": match.test.difference,
        "low": match.test.interval[0],
        "high": match.test.interval[1],
        "p_value": match.test.p_value,
        "queries": match.test.queries,
        "needed": match.needed,
    }


def speedup_table(timings: Mapping[Key, Timing], batch: int) -> pd.DataFrame:
    """Each sparse engine against the fastest dense engine of the same pruned model and job.

    ``ratio`` is dense over sparse: the median over rounds of the ratio within a round, with the
    quartiles ``ratio_q1`` and ``ratio_q3``. ``fastest`` marks each model's fastest sparse engine.
    """
    lines = []
    with_recipe = recipes_differ(timings)
    for key, job in timings.items():
        measured = [line for line in job.measured(batch) if _is_fp32(line)]
        dense = [line for line in measured if not line["sparse"]]
        sparse = [line for line in measured if line["sparse"]]
        if key.kind != "pruned" or not dense:
            continue
        for rank, line in enumerate(sparse):
            q1, ratio, q3 = _round_ratios(dense[0], line)
            lines.append(
                {
                    **_identity(key, with_recipe),
                    "engine": line["engine"],
                    "us": line["median"],
                    "dense_engine": dense[0]["engine"],
                    "dense_us": dense[0]["median"],
                    "ratio": ratio,
                    "ratio_q1": q1,
                    "ratio_q3": q3,
                    "fastest": rank == 0,
                }
            )
    return pd.DataFrame(lines, columns=_SPEEDUP_COLUMNS)


_SPEEDUP_COLUMNS = [
    *("dataset", "kind", "name", "teacher", "student", "recipe", "sparsity"),
    *("engine", "us", "dense_engine", "dense_us", "ratio", "ratio_q1", "ratio_q3", "fastest"),
]


def _is_fp32(line: Mapping[str, Any]) -> bool:
    # A bf16 or int8 dense engine against an fp32 sparse one would compare precisions.
    return line.get("precision", "fp32") == "fp32"


def _round_ratios(slow: Mapping[str, Any], fast: Mapping[str, Any]) -> list[float]:
    """Quartiles over rounds of ``slow`` over ``fast`` in the same round of one job."""
    samples = np.array(fast["samples"])
    ratios = paired_samples(slow, len(samples)) / samples
    return np.percentile(ratios, [25, 50, 75]).tolist()


def precision_table(parity: Paths, timings: Mapping[Key, Timing], batch: int) -> pd.DataFrame:
    """One line for each model and engine in low precision: what it costs and what it gains.

    Quality is the engine's on the whole test split of the fold that was timed, against the
    model's own scores. ``speedup`` is over ``base_engine``, in the same timing job: the median over
    rounds of the ratio within a round, with its quartiles.

    Args:
        parity: the models' parity files; those of other folds and seeds than were timed are left.
    """
    lines = []
    with_recipe = recipes_differ(timings)
    for content in map(read_json, sorted(map(str, parity))):
        key, model = Key.of(content["model"]), content["model"]
        job = timings.get(key)
        if job is None or _run_of(job.content["model"]) != _run_of(model):
            continue
        lines += [
            {
                **_identity(key, with_recipe),
                "tuned_for": model.get("precision", "" if key.is_forest else "fp32"),
                "engine": line["engine"],
                **_loss(line["quality"]),
                **_gain(job, line["engine"], batch),
            }
            for line in content["engines"]
            if "quality" in line
        ]
    table = table_of(lines, _PRECISION_COLUMNS, [OVERLAP.key])
    # A model's recipes side by side: what is tuned for int8 beside what is not.
    order = ["dataset", "teacher", "student", "sparsity", "recipe"]
    return table.sort_values(order, kind="stable", ignore_index=True)


_PRECISION_COLUMNS = [
    *("dataset", "kind", "name", "teacher", "student", "recipe", "sparsity", "tuned_for"),
    *("engine", "ndcg_exact", "ndcg@10", "difference", "low", "high", "p_value", "mark", "queries"),
    *("kendall_tau", "kendall_tau_overall", "largest_error", "mean_error"),
    *("batch", "us", "us_q1", "us_q3", "base_engine", "base_us"),
    *("speedup", "speedup_q1", "speedup_q3"),
]
# The base of low precision: the same scorer in full precision, where it was timed.
_PRECISION_BASES = ("native-fp32", "native-forest")


def _run_of(model: Mapping[str, Any]) -> tuple[int, int]:
    return model["fold"], model.get("seed", 0)


def _loss(quality: Mapping[str, Any]) -> dict[str, Any]:
    names = ("queries", "kendall_tau", "kendall_tau_overall", "largest_error", "mean_error")
    shared = {name: quality[name] for name in names}
    if quality["metric"] == OVERLAP.key:
        own = {OVERLAP.key: quality["engine"], "mark": ""}
        return own | _interval(quality["exact"], quality["interval"]) | shared
    low, high = quality["interval"]
    return {
        "ndcg_exact": quality["exact"],
        "ndcg@10": quality["engine"],
        "low": low,
        "high": high,
        "mark": mark(quality["difference"], quality["p_value"]),
        **{name: quality[name] for name in ("difference", "p_value")},
        **shared,
    }


def _gain(job: Timing, engine: str, batch: int) -> dict[str, Any]:
    measured = {line["engine"]: line for line in job.measured(batch)}
    line, fastest = measured.get(engine), job.fastest(batch, faithful=True)
    base = next((measured[name] for name in _PRECISION_BASES if name in measured), fastest)
    if line is None:
        return {"batch": batch}
    gained = {"batch": batch} | {name: line[column] for name, column in _QUARTILES.items()}
    if base is None:
        return gained
    q1, median, q3 = _round_ratios(base, line)
    return gained | {
        "base_engine": base["engine"],
        "base_us": base["median"],
        "speedup": median,
        "speedup_q1": q1,
        "speedup_q3": q3,
    }


def engines_table(timings: Mapping[Key, Timing]) -> pd.DataFrame:
    """One line for each model, engine and batch, and one with a reason for each engine skipped."""
    lines = []
    with_recipe = recipes_differ(timings)
    for key, job in timings.items():
        identity = _identity(key, with_recipe)
        for line in job.content["measurements"]:
            if line["of"] != "model":
                continue
            settings = {name: line.get(name) for name in ("precision", "exact", "sparse")}
            times = {name: line[column] for name, column in _QUARTILES.items()}
            lines.append(
                {
                    **identity,
                    "engine": line["engine"],
                    "status": "timed",
                    **settings,
                    "batch": line["batch"],
                    **times,
                    "rounds": len(line["samples"]),
                    "reason": "",
                }
            )
        lines += [
            {**identity, "engine": skip["engine"], "status": "skipped", "reason": skip["reason"]}
            for skip in job.content["skipped"]
            # A reference engine that did not run is told with the timing's health.
            if skip.get("of", "model") == "model"
        ]
    return pd.DataFrame(lines, columns=_ENGINES_COLUMNS)


_ENGINES_COLUMNS = [
    *("dataset", "kind", "name", "teacher", "student", "recipe", "sparsity", "engine", "status"),
    *("precision", "exact", "sparse", "batch", "us", "us_q1", "us_q3", "rounds", "reason"),
]
