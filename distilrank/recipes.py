"""Recipes of the config: a grid spread out into its points, and what recipes have in common.

Only light imports: Snakemake reads this module every time it plans.
"""

from collections.abc import Mapping
from copy import deepcopy
from itertools import product
from typing import Any

Recipe = Mapping[str, Any]


def expand_grids(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with every recipe that has a ``grid`` replaced by the grid's points.

    The selection `run.recipes` may name a grid, which stands for all of its points, or single
    points. A config without grids comes back equal.

    Raises:
        ValueError: if a point's name is another recipe's.
    """
    recipes: dict[str, Recipe] = {}
    stands_for: dict[str, list[str]] = {}
    for name, recipe in config["recipes"].items():
        points = points_of(name, recipe) if "grid" in recipe else {name: recipe}
        for point in points:
            if point in recipes or (point != name and point in config["recipes"]):
                raise ValueError(
                    f"config key 'recipes.{name}.grid' makes a recipe '{point}', and there is "
                    "another one of that name: rename the grid or the other recipe"
                )
        recipes |= points
        stands_for[name] = list(points)
    run = config["run"]
    chosen = [point for name in run["recipes"] for point in stands_for.get(name, [name])]
    # A point that is named beside its grid counts once.
    return {**config, "recipes": recipes, "run": {**run, "recipes": list(dict.fromkeys(chosen))}}


def points_of(name: str, recipe: Recipe) -> dict[str, Recipe]:
    """The recipes that a grid stands for: ``name-01``, ``name-02``, ... .

    Axes keep the config's order, and the last one varies fastest.
    """
    axes = recipe["grid"]
    combinations = list(product(*axes.values()))
    digits = max(2, len(str(len(combinations))))
    points = {}
    for number, values in enumerate(combinations, start=1):
        point = deepcopy({key: part for key, part in recipe.items() if key != "grid"})
        for axis, value in zip(axes, values, strict=True):
            section, key = axis.split(".")
            point[section][key] = value
        points[f"{name}-{number:0{digits}}"] = point
    return points


def distilled_as(name: str, recipes: Mapping[str, Recipe]) -> str:
    """The recipe whose dense networks are those of ``name``: the first that distils alike."""
    return next(other for other in recipes if recipes[other]["distil"] == recipes[name]["distil"])


def varying_settings(recipes: Mapping[str, Recipe]) -> dict[str, dict[str, Any]]:
    """By recipe, the settings in which the given ``recipes`` differ, such as ``distil.epochs``.

    A setting that a recipe does not give is None; settings are in the order of their first use.
    """
    flat = {
        name: {
            f"{section}.{key}": value
            for section, part in recipe.items()
            for key, value in part.items()
        }
        for name, recipe in recipes.items()
    }
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    first = next(iter(flat.values()), {})
    differing = [
        key
        for key in keys
        if any(settings.get(key) != first.get(key) for settings in flat.values())
    ]
    return {name: {key: settings.get(key) for key in differing} for name, settings in flat.items()}
