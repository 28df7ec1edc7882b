"""The report's tables about pruning: what layers can lose, and which features are not read."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from distilrank.evidence import feature_names
from distilrank.files import read_json
from distilrank.judge import OVERLAP
from distilrank.results import Key, Paths, Quality, recipes_differ, table_of

NAN = float("nan")
_SENSITIVITY = (
    *("dataset", "name", "teacher", "student", "recipe", "layer", "weights", "sparsity"),
    *("ndcg@10", "error", "us", "saved"),
)
_ALLOCATION = (
    *("dataset", "name", "sparsity", "us", "error", "ndcg@10"),
    *("spread_sparsities", "spread_us", "spread_error", "spread_ndcg@10"),
)


def sensitivity_table(paths: Paths) -> pd.DataFrame:
    """One line for each dense student, layer and share of zeros; ``saved`` is a share of time."""
    lines = []
    for identity, content in _read(paths):
        dense = next(point["us"] for point in content["points"] if not point["sparsity"])
        lines += [
            identity | point | {"saved": 1 - point["us"] / dense} for point in content["points"]
        ]
    return table_of(lines, _SENSITIVITY, [OVERLAP.key])


def allocation_table(paths: Paths) -> pd.DataFrame:
    """One line for each dense student and share of zeros of its first layer alone.

    Beside it the shares of all layers that take no longer and are expected to cost least.
    """
    lines = []
    for identity, content in _read(paths):
        for line in content["allocations"]:
            spread = dict(line["spread"])
            shares = " / ".join(f"{100 * share:g}" for share in spread.pop("sparsities"))
            other = {f"spread_{name}": value for name, value in spread.items()}
            own = {"sparsity": line["sparsity"]} | line["alone"]
            lines.append(identity | own | {"spread_sparsities": shares} | other)
    return table_of(lines, _ALLOCATION, (OVERLAP.key, f"spread_{OVERLAP.key}"))


def _read(paths: Paths) -> Iterable[tuple[dict[str, str], dict[str, Any]]]:
    contents = [read_json(path) for path in sorted(map(str, paths))]
    keys = [Key.of(content["model"]) for content in contents]
    with_recipe = recipes_differ(keys)
    for key, content in zip(keys, contents, strict=True):
        identity = {"dataset": key.dataset, "name": key.name(with_recipe).removesuffix(" dense")}
        names = {name: getattr(key, name) for name in ("teacher", "student", "recipe")}
        yield identity | names, content


def unused_table(qualities: Mapping[Key, Quality], meta: Paths) -> pd.DataFrame:
    """One line for each pruned network: the features that no path of its weights uses.

    ``unsplit`` of the ``unused`` ones its forest does not split on either. Of several folds and
    seeds the first ones count.

    Args:
        meta: ``meta.json`` of every split: the features' names, where they are known.
    """
    names = feature_names(meta)
    with_recipe = recipes_differ(qualities)
    lines = []
    for key, quality in qualities.items():
        if key.kind != "pruned":
            continue
        unused = np.flatnonzero(np.array(quality.runs[0]["feature_use"]) == 0)
        forest = qualities.get(key.forest)
        splits = np.array(forest.runs[0]["feature_use"]) if forest else None
        lines.append(
            {
                "dataset": key.dataset,
                "name": key.name(with_recipe),
                "features": len(quality.runs[0]["feature_use"]),
                "unused": len(unused),
                "unsplit": NAN if splits is None else int((splits[unused] == 0).sum()),
                "unused_features": _listed(unused, names.get(key.dataset)),
            }
        )
    columns = ["dataset", "name", "features", "unused", "unsplit", "unused_features"]
    return pd.DataFrame(lines, columns=columns)


def _listed(features: np.ndarray, names: Sequence[str] | None) -> str:
    """Numbers from 1, with names where there are any."""
    return "; ".join(
        f"{feature + 1} {names[feature]}" if names else str(feature + 1) for feature in features
    )
