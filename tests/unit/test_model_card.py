"""distilrank.model_card: what a card says, and what it says where something was not measured."""

from dataclasses import replace

import pytest
from result_files import forest, measurement, network, quality, timing

from distilrank.model_card import Facts, model_card

RECIPE = {"distil": {"epochs": 7}, "prune": {"layers": [1]}}
META = {"documents": 1200, "queries": 10}


def facts(**changes) -> Facts:
    model = network("C", 0.95)
    own = quality(model, [0.5, 0.5], [0.375, 0.5])
    own["feature_use"] = [3, 0, 1, 0]
    own["against_teacher"] = {
        "test": {
            "metric": "ndcg@10", "difference": -0.0125, "interval": [-0.03, 0.005], "p_value": 0.25,
            "queries": 43, "permutations": 10000,
        }
    }  # fmt: skip
    names = {"feature_names": ["BM25", "PageRank", "length", ""]}
    made = Facts(
        dataset={"title": "Toy", "page": "https://example.org", "terms": "for tests only"},
        settings=RECIPE,
        quality=own,
        teacher=quality(forest(), [0.5, 0.5], [0.4, 0.5]),
        timing=None,
        splits={"train": META, "vali": META, "test": META | names},
    )
    return replace(made, **changes)


def test_a_student_is_named_with_its_teacher_recipe_and_seed():
    card = model_card(facts())
    model = facts().model
    assert card.startswith(f"# Network C for Toy\n\nA network of {model['architecture']} neurons")
    assert f"distilled from the forest {model['teacher']} (" in card
    assert f"with the recipe {model['recipe']}, seed {model['seed']}." in card
    assert "distil: {epochs: 7}\nprune:\n  layers: [1]\n" in card
    assert "int8" not in card.partition("## Data")[0]


def test_a_student_tuned_for_int8_says_so():
    changed = facts()
    changed.quality["model"]["precision"] = "int8"
    assert "It was fine-tuned for int8, and is scored in fp32 as well." in model_card(changed)


def test_a_student_of_labels_names_no_teacher_as_its_own():
    card = model_card(facts(settings={"distil": {"learn_from": "labels"}}))
    assert "trained on the labels, without a teacher with the recipe" in card


def test_the_data_with_its_terms():
    card = model_card(facts())
    assert "Toy, fold 1. https://example.org\n" in card
    assert "Terms of the data: for tests only." in card
    assert "| train | 1,200 | 10 |" in card
    without = model_card(facts(dataset={"title": "Toy"}))
    assert "Terms of the data: the config names none; ask whoever gave you the data." in without


def test_quality_with_its_test_against_the_teacher():
    card = model_card(facts())
    mean = (0.375 + 0.5) / 2
    line = next(line for line in card.splitlines() if line.startswith("| test | ") and "." in line)
    assert f"{mean:.4f}" in line
    assert (
        f"has nDCG@10 {(0.4 + 0.5) / 2:.4f}: a difference of −0.0125, 95 % interval "
        "[−0.0300, +0.0050], p = 0.250 (Fisher's randomisation test, 10,000 sign patterns, 43 "
        "queries)." in card
    )


def test_without_labels_the_card_tells_agreement_and_no_convention_of_labels():
    changed = facts()
    for split in changed.quality["splits"].values():
        split["metrics"] = {key: {"mean": 0.625} for key in ("overlap@10", "kendall_tau")}
    del changed.quality["against_teacher"]
    changed.quality["conventions"] = {"gain": "exponential", "ties": "random order"}
    card = model_card(changed)
    assert "| split | Kendall's tau with its forest | Top 10 shared with its forest |" in card or (
        "| split | Top 10 shared with its forest | Kendall's tau with its forest |" in card
    )
    assert "Conventions: ties: random order." in card and "nDCG" not in card


def test_times_by_batch_with_the_machine():
    model = network("C", 0.95)
    lines = [
        measurement("native-fp32", [0.7, 0.8, 0.9], 256), measurement("native-fp32", [3.0] * 3, 1),
        measurement("torch", [2.0] * 3, 256), measurement("native-bf16", [0.4] * 3, 256),
    ]  # fmt: skip
    card = model_card(facts(timing=timing(model, lines, batches=(1, 256), machine="abcd0123")))
    assert "| engine | 1 | 256 |" in card
    assert "| native-fp32 | 3.00 (3.00 – 3.00) | 0.800 (" in card
    assert "| native-bf16 | – | 0.400 (0.400 – 0.400) |" in card
    assert "torch" not in card, "an engine that is not in the folder"
    assert "Machine abcd0123: " in card


def test_what_was_not_timed_says_so():
    assert "This model was not timed: " in model_card(facts())


def test_unused_features_by_number_and_name():
    assert "2 of 4, counted from 1; rows have them all the same: 2 (PageRank); 4." in model_card(
        facts()
    )


def test_a_model_that_reads_every_feature():
    changed = facts()
    changed.quality["feature_use"] = [1, 1, 1, 1]
    assert "0 of 4, counted from 1; rows have them all the same: none." in model_card(changed)


def test_a_forest_has_no_teacher():
    model = forest()
    own = quality(model, [0.5, 0.5], [0.4, 0.5]) | {"feature_use": [1, 0, 1, 1]}
    card = model_card(facts(quality=own, teacher=None, settings={"trees": 9}))
    assert card.startswith(f"# Forest {model['teacher']} for Toy\n\nAn additive forest of ")
    assert "Fisher" not in card and "trees: 9" in card


@pytest.mark.parametrize("missing", ["against_teacher", "conventions"])
def test_what_a_quality_file_lacks_is_left_out(missing):
    changed = facts()
    changed.quality.pop(missing, None)
    assert "## How well it ranks" in model_card(changed)
