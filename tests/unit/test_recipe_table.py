"""The table of recipes on hand-made results."""

import numpy as np
import pandas as pd
import pytest

from distilrank import display, recipe_table, rounding
from distilrank.cells import cells
from distilrank.matched import Rules
from distilrank.results import Key, Quality
from distilrank.significance import compare
from tests.result_files import forest, network, quality

RULES = Rules(batch=256, margin=0.005, permutations=500)
PLAIN = {"distil": {"epochs": 10, "decay_at": [5, 8]}, "prune": {"epochs": 3}}
LONG = {"distil": {"epochs": 20, "decay_at": [5, 8]}, "prune": {"epochs": 3}}
LABELS = {"distil": {**PLAIN["distil"], "learn_from": "labels"}, "prune": {"epochs": 3}}
RECIPES = {"plain": PLAIN, "long": LONG, "labels": LABELS}
QUERIES = 20


def run(model, level, noise=0.0, seed=0, vali=None):
    """A quality file: test around ``level``, vali at ``vali`` or the same."""
    spread = 0.01 * np.arange(QUERIES) + noise * np.random.default_rng(seed).normal(size=QUERIES)
    return quality(model, [level if vali is None else vali] * 4, (level + spread).tolist())


def qualities(*models):
    """One quality for each ``(model, level, ...)``; runs of the same key are put together."""
    found = {}
    for model, *values in models:
        key = Key.of(model)
        found.setdefault(key, Quality(key)).runs.append(run(model, *values))
    return found


def history(recipe, sparsity, seed, *seconds, fold=1, student="A"):
    return [
        {"dataset": "toy", "fold": str(fold), "teacher": "large", "student": student,
         "recipe": recipe, "seed": str(seed), "sparsity": sparsity, "seconds": each}
        for each in seconds
    ]  # fmt: skip


def table(found, epochs=(), recipes=RECIPES):
    return recipe_table.recipes_table(found, pd.DataFrame(list(epochs)), RULES, recipes)


def means(found, **more):
    made = table(found, **more)
    return made[made["seed"] == "all"].to_dict("records")


def two_seeds(recipe, *levels, **more):
    return [
        (network("A", recipe=recipe, seed=seed, **more), level, 0.02, seed)
        for seed, level in enumerate(levels, start=1)
    ]


def test_a_line_over_seeds_and_one_a_seed():
    found = qualities((forest(), 0.5), *two_seeds("plain", 0.4, 0.44), *two_seeds("long", 0.5, 0.6))
    made = table(found)
    assert made["recipe"].tolist() == ["plain"] * 3 + ["long"] * 3
    assert made["seed"].tolist() == ["all", "1", "2"] * 2
    assert made["seeds"].tolist() == [2, 1, 1] * 2
    plain, first, second = made.head(3).to_dict("records")
    tested = [run["splits"]["test"]["metrics"]["ndcg@10"]["per_query"]
              for run in found[Key.of(network("A"))].runs]  # fmt: skip
    expected = np.mean(tested, axis=1)
    assert [first["ndcg@10"], second["ndcg@10"]] == pytest.approx(expected)
    assert plain["ndcg@10"] == pytest.approx(expected.mean())
    assert plain["vali_ndcg@10"] == pytest.approx((0.4 + 0.44) / 2)
    assert plain["seed_sd"] == pytest.approx(np.std(expected, ddof=1))
    assert (plain["seed_low"], plain["seed_high"]) == pytest.approx(
        (expected.min(), expected.max())
    )
    assert np.isnan(first["difference"]) and np.isnan(first["seed_sd"])


def test_the_comparisons_are_on_queries_means_over_seeds():
    found = qualities((forest(), 0.5), *two_seeds("plain", 0.4, 0.44), *two_seeds("long", 0.5, 0.5))
    plain, long = means(found)

    def per_query(key):
        runs = [run["splits"]["test"]["metrics"]["ndcg@10"]["per_query"] for run in found[key].runs]
        return np.mean(runs, axis=0)

    key = Key.of(network("A"))
    baseline, best = per_query(key), per_query(Key.of(network("A", recipe="long")))
    test = compare(best, baseline, np.random.default_rng(0), 500)
    assert long["difference"] == pytest.approx(test.difference)
    assert (long["low"], long["high"]) == pytest.approx(test.interval)
    assert (long["p_value"], long["mark"]) == (test.p_value, "better")
    test = compare(baseline, per_query(key.forest), np.random.default_rng(0), 500)
    assert plain["teacher_difference"] == pytest.approx(test.difference)
    assert (plain["teacher_p_value"], plain["teacher_mark"]) == (test.p_value, "worse")
    assert np.isnan(plain["difference"]) and plain["baseline"] == long["baseline"] == "plain"


def test_the_choice_is_made_on_vali_for_each_network():
    found = qualities(
        (forest(), 0.5),
        *((network(student, sparsity, recipe=recipe), test, 0.0, 0, vali)
          for student, sparsity, recipe, test, vali in (
              ("A", 0.0, "plain", 0.9, 0.4), ("A", 0.0, "long", 0.1, 0.5),
              ("A", 0.95, "plain", 0.1, 0.5), ("A", 0.95, "long", 0.9, 0.4),
              ("C", 0.0, "plain", 0.1, 0.4), ("C", 0.0, "long", 0.9, 0.4))),
    )  # fmt: skip
    chosen = [(line["student"], line["sparsity"], line["recipe"]) for line in means(found)
              if line["chosen"]]  # fmt: skip
    # Of two that are equal on vali the first of the config is taken.
    assert chosen == [("A", 0.0, "long"), ("A", 0.95, "plain"), ("C", 0.0, "plain")]


def test_recipes_stand_in_the_configs_order_and_the_first_is_the_baseline():
    found = qualities(*((network("A", recipe=name), 0.5) for name in ("long", "plain", "zero")))
    order = {"zero": PLAIN, "plain": PLAIN, "long": LONG}
    lines = means(found, recipes=order)
    assert [line["recipe"] for line in lines] == ["zero", "plain", "long"]
    assert {line["baseline"] for line in lines} == {"zero"}


def test_a_recipe_outside_the_selection_has_a_line_and_no_settings():
    """A pruned int8 design is trained with the catalogue's recipe for it."""
    found = qualities((network("D", 0.95, recipe="int8"), 0.5), (network("A"), 0.5))
    lines = {line["student"]: line for line in means(found)}
    assert (lines["D"]["baseline"], lines["D"]["settings"]) == ("", "")
    assert np.isnan(lines["D"]["difference"])
    assert lines["D"]["recipes"] == 1


def test_settings_are_told_where_recipes_differ_and_who_learns_from_labels():
    found = qualities(*((network("A", recipe=name), 0.5) for name in RECIPES))
    lines = {line["recipe"]: line for line in means(found)}
    assert lines["plain"]["settings"] == "distil.epochs 10"
    assert lines["labels"]["settings"] == "distil.epochs 10; distil.learn_from labels"
    assert [lines[name]["learn_from"] for name in RECIPES] == ["teacher", "teacher", "labels"]
    schedules = {"plain": PLAIN, "long": {**PLAIN, "distil": {"epochs": 10, "decay_at": [7]}}}
    lines = means(found, recipes=schedules)
    assert [line["settings"] for line in lines[:2]] == ["distil.decay_at 5 8", "distil.decay_at 7"]


def test_seconds_are_of_the_dense_and_the_pruned_network_mean_over_folds_and_seeds():
    epochs = [
        *history("plain", 0.0, 1, 1.0, 2.0),
        *history("plain", 0.0, 1, 5.0, fold=2),
        *history("plain", 0.0, 2, 10.0),
        *history("plain", 0.0, 2, 20.0, fold=2),
        *history("plain", 0.95, 1, 0.5, 0.5),
        *history("plain", 0.95, 1, 2.0, fold=2),
        *history("plain", 0.95, 2, 4.0),
        *history("plain", 0.95, 2, 4.0, fold=2),
    ]
    runs = [(network("A", sparsity, fold=fold, seed=seed), 0.5)
            for sparsity in (0.0, 0.95) for fold in (1, 2) for seed in (1, 2)]  # fmt: skip
    made = table(qualities(*runs), epochs)
    dense, first, second = made["seconds"].tolist()[:3]
    assert (first, second) == ((3.0 + 5.0) / 2, (10.0 + 20.0) / 2)
    assert dense == (first + second) / 2
    pruned = made["seconds"].tolist()[3:]
    assert pruned[1:] == [first + (1.0 + 2.0) / 2, second + (4.0 + 4.0) / 2]
    assert pruned[0] == (pruned[1] + pruned[2]) / 2


def test_without_histories_the_seconds_are_not_known():
    assert np.isnan(table(qualities((network("A"), 0.5)))["seconds"]).all()


def test_the_page_shows_networks_of_several_recipes_over_all_seeds():
    found = qualities(
        *two_seeds("plain", 0.4, 0.5), *two_seeds("long", 0.4, 0.5), (network("C"), 0.5)
    )
    shown = recipe_table.mean_lines(table(found))
    assert shown[["student", "recipe", "seed"]].to_numpy().tolist() == [
        ["A", "plain", "all"], ["A", "long", "all"],
    ]  # fmt: skip
    assert not len(recipe_table.mean_lines(table(qualities((network("A"), 0.5)))))


def test_cells_name_the_choice_the_mark_and_the_seeds_range():
    found = qualities((forest(), 0.5), *two_seeds("plain", 0.4, 0.44), *two_seeds("long", 0.5, 0.5))
    shown = recipe_table.mean_lines(table(found))
    plain, long = cells(shown, display.TABLES["recipes"])
    titles = [column.title for column in display.TABLES["recipes"]]
    assert plain[titles.index("Recipe")] == "plain"
    assert long[titles.index("Recipe")] == "long (chosen)"
    line = shown.iloc[0]
    assert plain[titles.index("Single seeds")] == (
        f"± {line['seed_sd']:.4f} ({line['seed_low']:.4f} – {line['seed_high']:.4f})"
    )
    assert plain[titles.index("Δ to the baseline")] == rounding.MISSING
    assert long[titles.index("Δ to the baseline")].endswith(" ▲")
    assert plain[titles.index("Δ to the forest")].endswith(" ▼")
