"""Tables of quality, time and checks on hand-made results."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from distilrank import cells, display, evidence, latex, rounding, tables
from distilrank.matched import Rules
from distilrank.results import Key, Quality, Timing, named_by_path
from tests.result_files import forest, measurement, network, parity, quality, timing

RULES = Rules(batch=256, margin=0.005, permutations=500)


def qualities(*pairs):
    """Models with one level of quality each, on five queries that differ a little."""
    found = [
        Quality(Key.of(model), [quality(model, values, values)])
        for model, level in pairs
        for values in [[level + 0.01 * query for query in range(5)]]
    ]
    return {one.key: one for one in found}


def timings(*jobs):
    return {one.key: one for one in jobs}


def job(model, *lines, reference_us=4.0, skipped=()):
    return Timing(Path("timing/x.json"), timing(model, lines, reference_us, skipped=skipped))


def test_a_model_is_on_the_front_unless_another_is_as_good_in_both_and_better_in_one():
    times = [1.0, 2.0, 3.0, 2.0, math.nan, 2.5, 1.0]
    ndcg = [0.4, 0.5, 0.6, 0.5, 0.9, 0.5, 0.3]
    found = tables.pareto_front(times, ndcg)
    # The two equal models keep each other company; the one without a time is out.
    assert found.tolist() == [True, True, True, True, False, False, False]


def test_the_models_table():
    model = network("A", 0.95)
    table = tables.models_table(
        qualities((forest(), 0.5), (model, 0.4)),
        timings(
            job(forest(), measurement("lgbm", 9.0), measurement("qs", 4.0)),
            job(
                model,
                measurement("torch", 3.0),
                measurement("csr", [0.9, 1.0, 1.1], sparse=True),
                measurement("int8", 0.1, exact=False, precision="int8"),
                reference_us=2.0,
            ),
        ),
        RULES,
    )
    teacher, student = table.to_dict("records")
    assert (teacher["name"], student["name"]) == ("large", "large/A 95 %")
    assert (student["kind"], student["engine"]) == ("pruned", "csr")
    assert (student["us"], student["us_q1"], student["us_q3"]) == pytest.approx((1.0, 0.95, 1.05))
    # Each time relative to the reference in its own job, 4 and 2.
    assert student["speedup"] == pytest.approx((4.0 / 4.0) / (1.0 / 2.0))
    assert teacher["speedup"] == 1.0
    assert student["ndcg@10"] == pytest.approx(0.4 + 0.01 * np.mean(range(5)))
    assert student["teacher_share"] == pytest.approx(0.42 / 0.52)
    assert student["difference"] == pytest.approx(0.4 - 0.5)
    # Five equal differences: 2 of the 32 sign patterns are as extreme, so p is about 1/16.
    assert student["p_value"] == pytest.approx(2 / 32, abs=0.04)
    assert table["on_front"].tolist() == [True, True]
    assert math.isnan(student["effect"]), "equal differences have no spread to be measured in"


def test_the_models_table_tells_the_effect_size_and_the_queries_needed():
    model, noise = network("A"), np.tile([0.1, -0.1], 20)
    pair = {
        one.key: one
        for one in (
            Quality(Key.of(forest()), [quality(forest(), [0.5] * 40, [0.5] * 40)]),
            Quality(Key.of(model), [quality(model, [0.5] * 40, (0.52 + noise).tolist())]),
        )
    }
    teacher, student = tables.models_table(pair, {}, RULES).to_dict("records")
    assert all(math.isnan(teacher[name]) for name in ("effect", "effect_low", "needed"))
    # The differences are 0.02 -+ 0.1, so their deviation is 0.1 sqrt(40 / 39).
    assert student["effect"] == pytest.approx(0.2 / math.sqrt(40 / 39))
    assert student["effect_low"] < 0 < student["effect"] < student["effect_high"]
    assert student["needed"] == pytest.approx((2.80 * 0.1 / 0.005) ** 2 * 40 / 39, rel=0.01)
    cell = next(column for column in display.TABLES["models"] if column.title == "Effect size").cell
    assert cell(teacher) == rounding.MISSING
    assert cell(student).startswith("+0.20 [−0.12, +0.51]")


def test_models_are_compared_with_the_best_forest_too():
    """Which forest is best is decided on vali, where `small` leads; test says the opposite."""
    teacher, best = forest(), forest("small")
    models = {
        Key.of(model): Quality(Key.of(model), [quality(model, vali, test)])
        for model, vali, test in (
            (teacher, [0.5, 0.5, 0.6], [0.50, 0.60, 0.62]),
            (best, [0.6, 0.6, 0.6], [0.45, 0.50, 0.64]),
            (network("A", 0.95), [0.7, 0.7, 0.7], [0.40, 0.55, 0.61]),
            (network("A", 0.95, "small"), [0.7, 0.7, 0.7], [0.40, 0.56, 0.61]),
            (forest(dataset="other"), [0.9, 0.9], [0.9, 0.9]),
        )
    }
    table = tables.models_table(models, {}, RULES).set_index(["dataset", "name"])
    assert table["best_forest"].to_dict() == {
        ("toy", "large"): "small",
        ("toy", "small"): "small",
        ("toy", "large/A 95 %"): "small",
        ("toy", "small/A 95 %"): "small",
        ("other", "large"): "large",
    }
    pupil = table.loc[("toy", "large/A 95 %")]
    assert pupil["best_difference"] == pytest.approx((0.40 + 0.55 + 0.61 - 0.45 - 0.50 - 0.64) / 3)
    assert pupil["difference"] == pytest.approx((0.40 + 0.55 + 0.61 - 0.50 - 0.60 - 0.62) / 3)
    assert pupil["best_low"] < pupil["best_difference"] < pupil["best_high"]
    assert 0 < pupil["best_p_value"] <= 1
    own = table.loc[("toy", "small/A 95 %")]
    for name in ("difference", "low", "high", "p_value", "mark"):
        assert own[f"best_{name}"] == own[name], "its own teacher is the best forest"
    # Forests that are not the best are compared with it; the best itself with none.
    assert table.loc[("toy", "large"), "best_difference"] == pytest.approx(0.13 / 3)
    assert table["best_difference"].isna().tolist() == [
        name == "small" or dataset == "other" for dataset, name in table.index
    ]


@pytest.mark.parametrize(("level", "mark"), [(0.4, "worse"), (0.6, "better"), (0.5, "")])
def test_marks_are_given_only_where_the_difference_is_significant(level, mark):
    values = {0.5: [0.5 + 0.01 * query for query in range(20)]}
    values[level] = [level + 0.01 * query for query in range(20)]
    models = {
        key.key: key
        for model, at in ((forest(), 0.5), (network("A"), level))
        for key in [Quality(Key.of(model), [quality(model, values[at], values[at])])]
    }
    table = tables.models_table(models, {}, RULES)
    assert table["mark"].fillna("").tolist() == ["", mark]
    assert table["us"].isna().all()


def test_names_tell_the_recipe_only_where_there_are_several():
    one = qualities((network("A", recipe="x"), 0.5))
    two = qualities((network("A", recipe="x"), 0.5), (network("A", recipe="y"), 0.5))
    assert tables.models_table(one, {}, RULES)["name"].tolist() == ["large/A dense"]
    names = tables.models_table(two, {}, RULES)["name"].tolist()
    assert names == ["large/A/x dense", "large/A/y dense"]


def test_several_seeds_have_a_mean_and_a_spread():
    runs = [
        quality(network("A", seed=seed), [level, level], [level, level])
        for seed, level in ((1, 0.4), (2, 0.6))
    ]
    found = Quality(Key.of(network("A")), runs)
    assert found.mean("test") == pytest.approx((0.4 + 0.6) / 2)
    assert found.seed_spread("test") == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert found.seed_means("test") == pytest.approx([0.4, 0.6])


def test_a_query_left_out_by_the_convention_does_not_count():
    model = network("A")
    found = Quality(Key.of(model), [quality(model, [0.5, None], [0.4, None, 0.6])])
    assert found.mean("test") == pytest.approx((0.4 + 0.6) / 2)
    assert found.per_query("test").notna().sum() == 2


def test_checks_of_quality_and_sparsity():
    good, bad = network("A", 0.9), network("C", 0.9)
    bad["pruned_from"]["zeros"][0] = round(0.88 * 136 * 200)
    found = qualities((forest(), 0.5), (good, 0.5), (bad, 0.3))
    models = tables.models_table(found, {}, RULES)
    checks = evidence.checks_table(models, found, 0.9).set_index(["name", "check"])["ok"]
    assert checks.to_dict() == {
        ("large/A 90 %", "quality"): True,
        ("large/A 90 %", "sparsity"): True,
        ("large/C 90 %", "quality"): False,
        ("large/C 90 %", "sparsity"): False,
    }
    without = evidence.checks_table(models, found, None)
    assert set(without["check"]) == {"sparsity"}


def test_the_worst_parity_of_each_engine(tmp_path):
    for number, error in enumerate((1e-7, 3e-6)):
        content = parity(network("A", number / 10), ["torch"])
        content["engines"][0]["error"] = error
        (tmp_path / f"{number}.json").write_text(json.dumps(content))
    found = evidence.parity_by_engine(evidence.parity_table(tmp_path.glob("*.json")))
    torch = found.set_index("engine").loc["torch"]
    assert (torch["error"], torch["passed"], torch["of"]) == (3e-6, 2, "networks")
    assert found.set_index("engine").loc["absent", "skipped"] == 2


PUBLISHED = {
    "what": "theirs",
    "metric": "ndcg@10",
    "value": "0.5259",
    "datasets": ["toy"],
    "ours": "network",
    "comparable": "yes",
    "why": "same data.",
    "source": "them",
}


@pytest.mark.parametrize(
    ("change", "comparable", "words"),
    [
        ({}, "yes", "same data"),
        ({"datasets": ["big"]}, "no", "other data: published on big, ours is toy"),
        ({"fold": 1}, "yes", "same data"),
        ({"fold": 2}, "partly", "published on fold 2 alone"),
    ],
)
def test_published_figures_are_only_comparable_on_the_same_data(change, comparable, words):
    found = qualities((forest(), 0.7), (network("A"), 0.5), (network("C"), 0.6))
    models = tables.models_table(found, {}, RULES)
    matched = pd.DataFrame({"dataset": [], "verdict": []})
    (line,) = evidence.published_table([PUBLISHED | change], models, matched).to_dict("records")
    assert line["model"] == "large/C dense"
    assert line["ours"] == pytest.approx(0.62)
    assert line["comparable"] == comparable
    assert words in line["why"]


def test_a_matched_speedup_stands_beside_the_published_one_only_if_it_was_shown():
    models = tables.models_table(qualities((forest(), 0.7)), {}, RULES)
    entry = [PUBLISHED | {"metric": "speedup", "ours": "matched"}]
    line = {"dataset": "toy", "forest": "f", "network": "n", "speedup": 3.0}
    for verdict, ours in (("shown", 3.0), ("too-few-queries", math.nan)):
        matched = pd.DataFrame([line | {"verdict": verdict}])
        found = evidence.published_table(entry, models, matched)["ours"].iloc[0]
        assert found == pytest.approx(ours, nan_ok=True)


def test_names_from_paths():
    path = "r/students/toy/fold2/large/A/plain/seed3/sp950.csv"
    names = ("dataset", "fold", "teacher", "student", "recipe", "seed")
    assert list(named_by_path(path, "students", names).values()) == [
        *("toy", "2", "large", "A", "plain", "3")
    ]
    with pytest.raises(ValueError, match="does not look like data/dataset"):
        named_by_path(path, "data", ("dataset",))


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.01234, "0.0123"), (1.5, "1.50"), (123.4, "123"), (98765.0, "98,765"), (math.nan, "–")],
)
def test_significant_digits_without_scientific_notation(value, words):
    assert rounding.significant(value) == words


def test_a_tiny_loss_does_not_print_as_minus_zero():
    assert rounding.fixed(-0.00001, 2, sign=True) == "+0.00"
    assert rounding.fixed(-0.012, 2, sign=True) == "−0.01"


def test_latex_is_escaped_and_aligned():
    table = pd.DataFrame({"name": ["a_b & 95 %"], "us": [0.5]})
    shown = (cells.text("name", "Model"), cells.number("us", "Time", "µs/doc"))
    lines = latex.tabular(table, shown).splitlines()
    assert lines[1] == r"\begin{tabular}{lr}"
    assert r"a\_b \& 95 \% & 0.500 \\" in lines
    assert r" & $\mu$s/doc \\" in lines
    assert (
        latex.escape_latex("\\x^2 < ▼") == r"\textbackslash{}x\textasciicircum{}2 $<$ $\downarrow$"
    )
