"""The report's sentences, made from its tables: what was found and how far it can be trusted."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from distilrank import designed
from distilrank.judge import NDCG, OVERLAP, Measure
from distilrank.matched import about, times_faster
from distilrank.results import Key, Timing, measure_in
from distilrank.rounding import fixed, interval, p_text, percent, quartiles, significant

Tables = Mapping[str, pd.DataFrame]


def summarise(
    tables: Tables,
    timings: Mapping[Key, Timing],
    conventions: Mapping[str, Any],
    settings: Mapping[str, Any],
    titles: Mapping[str, str],
) -> dict[str, Any]:
    """What ``results/report/summary.json`` holds.

    Args:
        tables: those ``make_tables`` writes, by name.
        conventions: the metrics', as the quality files name them.
        settings: ``headline_batch``, ``margin``, ``permutations``, ``min_share``, ``drift`` and
            ``designs`` (`designed.settings_of`); ``overlap_margin`` where there is data without
            labels.
        titles: a data set's title by its key.
    """
    job = next(iter(timings.values()))
    datasets = sorted(set(tables["models"]["dataset"]))
    return {
        "datasets": [
            _dataset(tables, dataset, titles.get(dataset, dataset), settings)
            for dataset in datasets
        ],
        "machine": job.machine,
        "timing": job.content["settings"],
        "reference": {
            key.dataset: {
                "forest": timing.content["reference"]["model"]["teacher"],
                "engine": timing.content["reference"]["engine"],
            }
            for key, timing in timings.items()
        },
        "conventions": dict(conventions),
        "settings": dict(settings),
        "alerts": _alerts(tables, settings),
    }


def _dataset(
    tables: Tables, dataset: str, title: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    models = tables["models"].query("dataset == @dataset")
    matched = tables["matched"].query("dataset == @dataset")
    lines, best = matched.to_dict("records"), models["best_forest"].iloc[0]
    measure = measure_in(models)
    margin = settings["margin" if measure is NDCG else "overlap_margin"]
    splits = tables["data"].query("dataset == @dataset")
    health = tables["health"].query("dataset == @dataset and flagged")
    flagged = set(health["name"])
    return {
        "key": dataset,
        "title": title,
        "best_forest": best if measure is NDCG else "",
        "folds": str(models["folds"].iloc[0]).replace(" ", ", "),
        "matches": [_match(line, measure, margin, flagged) for line in lines],
        "power": _power(models, splits, margin),
        "missing": _missing(splits),
        "front": models.loc[models["on_front"], "name"].tolist(),
    }


def _missing(splits: pd.DataFrame) -> str:
    """How many values of all splits are missing, and who sees what there; "" where none is."""
    values = splits["documents"] * splits["features"]
    share = (splits["missing"].fillna(0) * values).sum() / values.sum()
    if share == 0:
        return ""
    shown = significant(100 * share, 2) if share >= 0.0001 else "Less than 0.01"
    return (
        f"{shown} % of values missing: forests take them for the largest float32, networks for "
        "the mean of their feature."
    )


def _match(
    line: Mapping[str, Any], measure: Measure, margin: float, flagged: set[str]
) -> dict[str, Any]:
    details = _details(line, measure, margin)
    unquiet = [name for name in (line["forest"], line["network"]) if name in flagged]
    if unquiet:
        details.append(f"Timed while the machine was not quiet: {' and '.join(unquiet)}.")
    return {
        "forest": line["forest"],
        "verdict": line["verdict"],
        "tone": _tone(line),
        "headline": line["headline"],
        "details": details,
        "footnote": _footnote(line),
    }


def _tone(line: Mapping[str, Any]) -> str:
    """How the page colours a headline: good, bad, or plain where nothing was gained or shown."""
    if line["verdict"] in ("worse", "beyond-margin"):
        return "bad"
    return "good" if line["verdict"] == "shown" and round(line["speedup"], 1) > 1 else "plain"


def _details(line: Mapping[str, Any], measure: Measure, margin: float) -> list[str]:
    """A line each for the forest, the network and what test says."""
    forest = f"{_count(line['trees'])} trees × {_count(line['max_leaves'])} leaves"
    if line["verdict"] == "not-timed":
        return [f"Forest: {forest}. The engines and their reasons are listed below."]
    forest = (
        f"Forest: {forest}, {significant(line['forest_us'])} µs/doc on {line['forest_engine']}."
    )
    if line["verdict"] == "no-network":
        lost = f"loses more than {margin:g} nDCG@10"
        if measure is OVERLAP:
            lost = f"shares less than {100 * (1 - margin):g} % of the forest’s top 10"
        return [forest, f"Every timed network {lost} on vali."]
    network = (
        f"Network: {line['network']}, widths {line['architecture']}, "
        f"{significant(line['network_us'])} µs/doc on {line['network_engine']}."
    )
    return [forest, network, f"{_test(line) if measure is NDCG else _shared(line)}{_seeds(line)}."]


def _test(line: Mapping[str, Any]) -> str:
    return (
        f"nDCG@10 on test: {fixed(line['difference'], 4, sign=True)}, 95 % interval "
        f"{interval(line['low'], line['high'])}, p = {p_text(line['p_value'])}, "
        f"{int(line['queries']):,} queries"
    ).replace("p = < ", "p < ")


def _shared(line: Mapping[str, Any]) -> str:
    """Without labels: how much of the forest's top 10 the network shares."""
    # A share ends at 1, the interval of its mean need not.
    low, high = (100 * min(1 + line[name], 1.0) for name in ("low", "high"))
    return (
        f"Of the forest’s top 10 on test it shares {100 * (1 + line['difference']):.1f} %, 95 % "
        f"interval {low:.1f} to {high:.1f} %, {int(line['queries']):,} queries"
    )


def _seeds(line: Mapping[str, Any]) -> str:
    if line["seeds"] <= 1:
        return ""
    return (
        f"; mean of {int(line['seeds'])} seeds, whose means have a standard deviation of "
        f"{fixed(line['network_seed_sd'], 4)}"
    )


def _count(value: float) -> str:
    return "?" if math.isnan(value) else f"{int(value):,}"


def _footnote(line: Mapping[str, Any]) -> str:
    """The figure without its qualification, for those who want it anyway."""
    reason = {
        "worse": "but it ranks significantly worse on test",
        "beyond-margin": "but on test its loss may exceed the margin",
        "too-few-queries": "but these test queries cannot show that it ranks as well",
    }.get(line["verdict"])
    if reason is None:
        return ""
    text = (
        f"{line['network']} is {times_faster(line['speedup'])} than {line['forest']} "
        f"({quartiles(line['speedup_low'], line['speedup_high'])} over rounds), {reason}"
    ).replace("as fast than", "as fast as")
    if line["verdict"] == "too-few-queries":
        half = (line["high"] - line["low"]) / 2
        text += (
            f": the 95 % interval of the difference is ±{half:.3f}, and it takes about "
            f"{about(int(line['needed']))} queries of the same spread to show two equal models "
            "equal within the margin four times out of five"
        )
    return f"{text}."


def _power(models: pd.DataFrame, splits: pd.DataFrame, margin: float) -> str:
    """What this many test queries can tell apart; said only where it is too little."""
    half, needed = ((models["high"] - models["low"]) / 2).median(), models["needed"].median()
    queries, chosen_on = int(models["test_queries"].max()), int(models["vali_queries"].max())
    if math.isnan(needed) or needed <= queries:
        return ""
    wide = half > margin
    told = "nothing can be concluded about differences" if wide else "one may miss a difference"
    return (
        f"With {queries:,} test queries {told} in nDCG@10 of {margin:g}: a network’s difference "
        f"from its forest has a 95 % interval of about ±{half:.3f}, and to detect one of "
        f"{margin:g} takes about {about(int(needed))} queries of the same spread (medians over "
        "the networks; level 0.05, power 0.8). No mark in the table means “not told "
        f"apart”, not “equal”. The choice on vali rests on {chosen_on:,} queries and is as "
        f"uncertain.{_more_queries(splits, queries, half, needed)}"
    )


def _more_queries(splits: pd.DataFrame, queries: int, half: float, needed: float) -> str:
    """How to test on all queries of a data set; "" where that is done or its folds are published.

    Args:
        splits: the data set's lines of the table "data".
        queries, half, needed: those tested on, their interval, and those that the margin takes.
    """
    folds, dealt = splits["fold"].nunique(), int(splits["dealt"].max())
    if folds > 1 and folds >= dealt:
        return ""
    every = int(splits.loc[splits["fold"] == splits["fold"].iloc[0], "queries"].sum())
    entry = "" if dealt > 1 else "folds: cv5 in the data set’s entry and "
    chosen = list(range(1, (dealt if dealt > 1 else 5) + 1))
    enough = ", still too wide" if every < needed else ""
    return (
        f" Cross-validation tests on all its {every:,} queries ({entry}run.folds: {chosen}): the "
        f"interval would be about ±{half * math.sqrt(queries / every):.3f}{enough}."
    )


def _alerts(tables: Tables, settings: Mapping[str, Any]) -> list[str]:
    """What somebody should look at before quoting a number; the report's red lines."""
    several = tables["models"]["dataset"].nunique() > 1
    checks = tables["checks"]
    failed = checks[~checks["ok"].astype(bool)]
    alerts = _floor_alerts(tables["models"], checks[checks["check"] == "quality"], several)
    for line in failed[failed["check"] == "sparsity"].to_dict("records"):
        alerts.append(
            f"{_full_name(line, several)}: {100 * line['value']:.1f} % of the pruned weights are "
            f"0, not {100 * line['limit']:.1f} %."
        )
    shared = tables["data"][tables["data"]["shared"] != ""]
    for (dataset, fold), part in shared.groupby(["dataset", "fold"]):
        alerts.append(
            f"{dataset}, fold {fold}: splits share queries ({part['shared'].iloc[0]}); what is "
            "tested may have been learnt."
        )
    alerts += designed.alerts(tables["designed"]) if "designed" in tables else []
    return alerts + _timing_alerts(tables["health"], several, settings["drift"])


def _floor_alerts(models: pd.DataFrame, checks: pd.DataFrame, several: bool) -> list[str]:
    """One alert for all networks of a measure: a low floor can fail many; the table has them."""
    alerts = []
    for measure, what in (
        (NDCG, "nDCG@10 on vali is below the floor of {:.1f} % of the forest's"),
        (OVERLAP, "The share of the forest's top 10 on vali is below the floor of {:.1f} %"),
    ):
        alike = [name for name, of in models.groupby("dataset") if measure_in(of) is measure]
        own = checks[checks["dataset"].isin(alike)]
        low = own[~own["ok"].astype(bool)].to_dict("records")
        names = ", ".join(
            f"{_full_name(line, several)} ({100 * line['value']:.1f} %)" for line in low
        )
        if low:
            text = what.format(100 * low[0]["limit"])
            alerts.append(f"{text} for {len(low)} of {len(own)} networks: {names}.")
    return alerts


def _timing_alerts(health: pd.DataFrame, several: bool, drift: float) -> list[str]:
    """One alert for all jobs that drifted, and one for all without a reference."""
    alerts = []
    drifted = health[health["flagged"] & health["us"].notna()]
    if len(drifted):
        worst = drifted.loc[drifted["deviation"].abs().idxmax()]
        alerts.append(
            f"In {len(drifted)} of {len(health)} timing jobs the reference forest’s time is more "
            f"than {100 * drift:g} % off the other jobs’ median (most in "
            f"{_full_name(worst, several)}: {percent(worst['deviation'], sign=True)} %). The "
            "machine was not quiet: times in µs/doc of these jobs are off by about as much, "
            "ratios far less. Timing health, below, names the files to delete to repeat them."
        )
    missing = health[health["us"].isna()].to_dict("records")
    if missing:
        names = ", ".join(_full_name(line, several) for line in missing)
        alerts.append(
            f"No time of the reference forest in the timing of {names}: their speed-ups compare "
            "times of different jobs as they are. Choose another timing.reference_engine."
        )
    return alerts


def _full_name(line: Mapping[str, Any], several: bool) -> str:
    return f"{line['dataset']}, {line['name']}" if several else str(line["name"])
