"""The report's tables of designs: what keeps to each budget, and promised against delivered time.

Times are microseconds a document. A design's time is that of its own engine, in low precision too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from distilrank.files import read_json
from distilrank.judge import OVERLAP
from distilrank.results import Key, Paths, Quality, Timing, recipes_differ, table_of

NAN = float("nan")
Designs = Mapping[str, Mapping[str, Any]]


def read_designs(paths: Paths, timings: Mapping[Key, Timing]) -> dict[str, dict[str, Any]]:
    """Each data set's ``designs.json``.

    Raises:
        ValueError: if designs are for another machine than times were measured on.
    """
    made = {}
    for path in sorted(map(str, paths)):
        content = read_json(path)
        for job in timings.values():
            if job.machine["id"] != content["machine"]["id"]:
                raise ValueError(
                    f"{path} holds designs for machine {content['machine']['id']}, and times were "
                    f"measured on {job.machine['id']}: calibrate there and run again"
                )
        made[content["dataset"]] = content
    return made


def ranked_table(contents: Designs) -> pd.DataFrame:
    """One line a design, trained or not, in each budget's own order."""
    lines = [
        {"dataset": dataset, "design": name} | {column: design[column] for column in _PLANNED}
        for dataset, content in contents.items()
        for name, design in content["designs"].items()
    ]
    return pd.DataFrame(lines, columns=["dataset", "design", *_PLANNED])


_PLANNED = [
    *("budget_us", "rank", "architecture", "sparsity", "precision", "predicted", "low", "high"),
    *("bound", "parameters", "multiply_adds", "capacity", "vali_ndcg"),
]


def designed_table(
    contents: Designs,
    qualities: Mapping[Key, Quality],
    timings: Mapping[Key, Timing],
    parity: Paths,
) -> pd.DataFrame:
    """One line for each design that was trained: promised, delivered, and its best rival.

    ``delivered`` is the median on the design's engine at the designs' batch. The rival is the
    hand-made student that on the same engine keeps to the same budget, the best on vali of all
    that do; test only judges.
    """
    with_recipe = recipes_differ(qualities)
    losses = _losses(parity)
    lines = []
    for key, quality in qualities.items():
        content = contents.get(key.dataset, {"designs": {}})
        design = content["designs"].get(key.student)
        if design is None:
            continue
        batch = content["settings"]["batch"]
        time = _time(timings.get(key), design["engine"], batch)
        rivals = [
            other
            for other in qualities.values()
            if other.key.dataset == key.dataset
            and not other.key.is_forest
            and other.key.student not in content["designs"]
        ]
        lines.append(
            {
                "dataset": key.dataset,
                "design": key.student,
                "name": key.name(with_recipe),
                **{column: design[column] for column in (*_PLANNED[:8], "bound", "engine")},
                "batch": batch,
                **{f"delivered{quartile}": time[name] for quartile, name in _QUARTILES.items()},
                "ratio": time["median"] / design["predicted"],
                "budget_share": time["median"] / design["budget_us"],
                "within": _within(time["median"], design["budget_us"]),
                f"vali_{quality.measure.key}": quality.mean("vali"),
                quality.measure.key: quality.mean("test"),
                "precision_loss": losses.get((key, design["engine"]), NAN),
                **_rival(rivals, timings, design, batch, with_recipe),
            }
        )
    unlabelled = (f"{prefix}{OVERLAP.key}" for prefix in ("vali_", "", "rival_"))
    table = table_of(lines, _COLUMNS, unlabelled)
    order = ["dataset", "budget_us", "rank"]
    return table.sort_values(order, kind="stable", ignore_index=True)


_QUARTILES = {"": "median", "_q1": "q1", "_q3": "q3"}
_COLUMNS = [
    *("dataset", "design", "name", *_PLANNED[:8], "bound", "engine", "batch"),
    *("delivered", "delivered_q1", "delivered_q3", "ratio", "budget_share", "within"),
    *("vali_ndcg@10", "ndcg@10", "precision_loss", "rival", "rival_us", "rival_ndcg@10"),
]


def _time(job: Timing | None, engine: str, batch: int) -> Mapping[str, float]:
    measured = job.measured(batch) if job else []
    found = [line for line in measured if line["engine"] == engine]
    return found[0] if found else dict.fromkeys(_QUARTILES.values(), NAN)


def _within(delivered: float, budget: float) -> str:
    if pd.isna(delivered):
        return "not timed"
    return "yes" if delivered <= budget else "no"


def _losses(parity: Paths) -> dict[tuple[Key, str], float]:
    """What an engine's own scores differ by in the measure on test, where it is not exact."""
    contents = [read_json(path) for path in sorted(map(str, parity))]
    return {
        (Key.of(content["model"]), line["engine"]): line["quality"]["difference"]
        for content in contents
        for line in content["engines"]
        if "quality" in line
    }


def _rival(
    rivals: Sequence[Quality],
    timings: Mapping[Key, Timing],
    design: Mapping[str, Any],
    batch: int,
    with_recipe: bool,
) -> dict[str, Any]:
    times = {
        rival.key: _time(timings.get(rival.key), design["engine"], batch)["median"]
        for rival in rivals
    }
    fitting = [rival for rival in rivals if times[rival.key] <= design["budget_us"]]
    if not fitting:
        return {"rival": "", "rival_us": NAN}
    best = max(fitting, key=lambda rival: rival.mean("vali"))
    return {
        "rival": best.key.name(with_recipe),
        "rival_us": times[best.key],
        f"rival_{best.measure.key}": best.mean("test"),
    }


def settings_of(contents: Designs) -> dict[str, dict[str, Any]]:
    """By data set, what the captions tell of how designs were picked."""
    return {
        dataset: {
            **{name: content["settings"][name] for name in ("batch", "margin")},
            **{name: content["capacity"][name] for name in ("exponent", "why")},
            "candidates": content["candidates"],
        }
        for dataset, content in contents.items()
    }


def alerts(table: pd.DataFrame) -> list[str]:
    """One sentence about the promises that were broken, if any was."""
    broken = table[table["within"] == "no"]
    if broken.empty:
        return []
    names = ", ".join(_over(line) for line in broken.to_dict("records"))
    return [f"{len(broken)} of {len(table)} designs took longer than their budget: {names}."]


def _over(line: Mapping[str, Any]) -> str:
    return f"{line['name']} ({100 * line['budget_share']:.1f} % of {line['budget_us']:g} us)"
