"""distilrank.recipes: grids are spread out in a fixed order, and recipes know what they share."""

import copy
from pathlib import Path

import pytest
import yaml

from distilrank.config import check_config
from distilrank.recipes import distilled_as, expand_grids, points_of, varying_settings

DEFAULT = yaml.safe_load((Path(__file__).parents[2] / "config" / "config.yaml").read_text())
PUBLISHED = DEFAULT["recipes"]["published"]
GRID = {
    "grid": {"distil.epochs": [1, 2], "prune.epochs": [3, 4, 5]},
    "distil": {"epochs": 9, "batch": 10},
    "prune": {"epochs": 9, "layers": [1]},
}


def config(recipes, chosen):
    return {"recipes": recipes, "run": {"recipes": chosen, "seeds": [1]}, "students": {}}


def test_the_published_recipe_holds_every_published_number():
    """As the public code of the paper sets them; what is this project's own is not in here."""
    assert PUBLISHED["distil"] == {
        "epochs": 100,
        "batch": 2500,
        "synthetic_per_real": 2500 / 2500,
        "learning_rate": 0.001,
        "decay_at": [90, 130],
        "decay_by": 0.1,
        "weight_decay": 1e-6,
        "dropout": 0,
    }
    assert PUBLISHED["prune"] == {
        "layers": [1],
        "epochs": 100,
        "batch": 1000,
        "synthetic_per_real": 1,
        "learning_rate": 0.001,
        "decay_at": [30, 60],
        "decay_by": 0.1,
        "weight_decay": 0,
        "dropout": 0,
    }


def test_the_published_grid_is_the_published_codes():
    grid = DEFAULT["recipes"]["published-grid"]
    assert grid["grid"] == {
        "distil.learning_rate": [5e-3, 1e-3],
        "distil.decay_by": [0.1, 0.5],
        "distil.weight_decay": [0, 1e-6, 1e-5],
        "distil.dropout": [0, 0.1, 0.2],
    }
    points = points_of("published-grid", grid)
    assert list(points) == [f"published-grid-{at:02}" for at in range(1, 2 * 2 * 3 * 3 + 1)]
    # The published recipe is one of the points: 1e-3 is the second rate, 1e-6 the second decay.
    at = 1 * (2 * 3 * 3) + 0 * (3 * 3) + 1 * 3 + 0 + 1
    assert points[f"published-grid-{at}"] == PUBLISHED


def test_points_are_every_combination_and_the_last_axis_varies_fastest():
    points = points_of("g", GRID)
    found = [(one["distil"]["epochs"], one["prune"]["epochs"]) for one in points.values()]
    assert list(points) == ["g-01", "g-02", "g-03", "g-04", "g-05", "g-06"]
    assert found == [(1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5)]
    assert all(set(one) == {"distil", "prune"} for one in points.values())
    assert points["g-01"]["distil"] == {"epochs": 1, "batch": 10}


def test_names_have_a_digit_for_every_point():
    many = GRID | {"grid": {"distil.epochs": list(range(1, 101))}}
    assert [list(points_of("g", many))[at] for at in (0, 99)] == ["g-001", "g-100"]


def test_points_share_nothing_that_could_be_changed():
    points = points_of("g", GRID)
    points["g-01"]["prune"]["layers"].append(2)
    assert points["g-02"]["prune"]["layers"] == GRID["prune"]["layers"] == [1]


def test_a_selected_grid_stands_for_its_points_and_other_recipes_stay():
    plain = {"distil": {"epochs": 1}, "prune": {}}
    before = config({"plain": plain, "g": GRID}, ["g", "plain"])
    kept = copy.deepcopy(before)
    after = expand_grids(before)
    assert before == kept
    assert after["run"]["recipes"] == [*points_of("g", GRID), "plain"]
    assert after["run"]["seeds"] == [1]
    assert after["recipes"] == {"plain": plain, **points_of("g", GRID)}


def test_expanding_twice_changes_nothing_more():
    """A job of Snakemake's reads the config anew and may find it expanded."""
    once = expand_grids(DEFAULT | {"run": {"recipes": ["published-grid", "sample"]}})
    assert expand_grids(once) == once


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [(["g-02"], ["g-02"]), (["g-02", "g"], ["g-02", "g-01", "g-03", "g-04", "g-05", "g-06"])],
)
def test_single_points_may_be_selected_and_count_once(chosen, expected):
    assert expand_grids(config({"g": GRID}, chosen))["run"]["recipes"] == expected


def test_a_config_may_select_a_grid_or_a_point_of_it():
    for chosen in (["published-grid"], ["published", "published-grid-36"]):
        check_config(DEFAULT | {"run": DEFAULT["run"] | {"recipes": chosen}})


@pytest.mark.parametrize("order", [["g", "g-03"], ["g-03", "g"]])
def test_a_point_must_not_take_another_recipes_name(order):
    both = {"g": GRID, "g-03": {"distil": {}, "prune": {}}}
    with pytest.raises(ValueError) as raised:
        expand_grids(config({name: both[name] for name in order}, ["g"]))
    assert str(raised.value) == (
        "config key 'recipes.g.grid' makes a recipe 'g-03', and there is another one of that "
        "name: rename the grid or the other recipe"
    )


def test_dense_networks_are_those_of_the_first_recipe_that_distils_alike():
    recipes = {
        "a": {"distil": {"epochs": 1, "learning_rate": 1e-3}, "prune": {"epochs": 1}},
        "b": {"distil": {"epochs": 2, "learning_rate": 1e-3}, "prune": {"epochs": 1}},
        "c": {"distil": {"learning_rate": 0.001, "epochs": 1}, "prune": {"epochs": 2}},
    }
    assert [distilled_as(name, recipes) for name in recipes] == ["a", "b", "a"]
    assert distilled_as("sample-int8", DEFAULT["recipes"]) == "sample"


def test_only_settings_that_vary_are_told():
    recipes = {
        "a": {"distil": {"epochs": 1, "batch": 5}, "prune": {"decay_at": [1, 2]}},
        "b": {"distil": {"epochs": 2, "batch": 5}, "prune": {"decay_at": [1]}},
        "c": {"distil": {"epochs": 1, "batch": 5}, "prune": {"decay_at": [1, 2], "epochs": 3}},
    }
    assert varying_settings(recipes) == {
        "a": {"distil.epochs": 1, "prune.decay_at": [1, 2], "prune.epochs": None},
        "b": {"distil.epochs": 2, "prune.decay_at": [1], "prune.epochs": None},
        "c": {"distil.epochs": 1, "prune.decay_at": [1, 2], "prune.epochs": 3},
    }
    assert varying_settings({"a": recipes["a"]}) == {"a": {}}
    assert varying_settings({}) == {}
