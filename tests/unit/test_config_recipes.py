"""distilrank.config on recipes: every slip is named in one sentence."""

from config_slips import Slip, check_slip, slips

CASES: list[Slip] = [
    # what, the slip, and what the sentence must say
    (
        "unknown key in a recipe's schedule",
        lambda c: c["recipes"]["sample"]["distil"].update(learningrate=1),
        ["config key 'recipes.sample.distil'", "'learningrate': did you mean 'learning_rate'?"],
    ),
    (
        "unknown key in a recipe",
        lambda c: c["recipes"]["sample"].update(tune={}),
        ["config key 'recipes.sample' has the unknown key 'tune'", "known are distil, grid, prune"],
    ),
    (
        "a grid's misspelt axis",
        lambda c: c["recipes"]["published-grid"]["grid"].update({"distil.learningrate": [1]}),
        ["config key 'recipes.published-grid.grid' makes a recipe that is refused: config key "
         "'recipes.published-grid-01.distil' has the unknown key 'learningrate': did you mean "
         "'learning_rate'?"],
    ),
    (
        "an axis of no section",
        lambda c: c["recipes"]["published-grid"]["grid"].update(learning_rate=[1]),
        ["config key 'recipes.published-grid.grid' is 'learning_rate', expected: distil or prune, "
         "a dot and a key there, such as distil.learning_rate"],
    ),
    (
        "an axis without values",
        lambda c: c["recipes"]["published-grid"]["grid"].update({"distil.dropout": []}),
        ["config key 'recipes.published-grid.grid.distil.dropout' is wrong: [] ",
         "expected: a list of at least one value, none twice"],
    ),
    (
        "an axis with one value in place of a list",
        lambda c: c["recipes"]["published-grid"]["grid"].update({"distil.dropout": 0.1}),
        ["config key 'recipes.published-grid.grid.distil.dropout' is 0.1, expected: a list"],
    ),
    (
        "a grid without axes",
        lambda c: c["recipes"]["published-grid"].update(grid={}),
        ["config key 'recipes.published-grid.grid' is wrong: {} ", "expected: what to try"],
    ),
    (
        "a value of a grid that no recipe may have",
        lambda c: c["recipes"]["published-grid"]["grid"].update({"distil.decay_by": [0.1, 2]}),
        ["config key 'recipes.published-grid.grid' makes a recipe that is refused: config key "
         "'recipes.published-grid-10.distil.decay_by' is wrong: 2 is greater than",
         "expected: a factor above 0 and up to 1"],
    ),
    (
        "a grid's layer that a student lacks",
        lambda c: (
            c["run"].update(recipes=["published-grid"], students=["B"]),
            c["recipes"]["published-grid"].update(grid={"prune.layers": [[1], [1, 5]]}),
        ),
        ["config key 'recipes.published-grid-02.prune.layers' names layer 5"],
    ),
    (
        "a recipe named as a grid's point",
        lambda c: c["recipes"].update({"published-grid-07": c["recipes"]["sample"]}),
        ["config key 'recipes.published-grid.grid' makes a recipe 'published-grid-07', and there "
         "is another one of that name: rename the grid or the other recipe"],
    ),
    (
        "a point that a grid lacks",
        lambda c: c["run"].update(recipes=["published-grid-37"]),
        ["config key 'run.recipes' names unknown 'published-grid-37': did you mean "
         "'published-grid'? known are best, best-all, best-int8, labels, published, "
         "published-grid, sample, sample-int8"],
    ),
    (
        "layers belong to pruning",
        lambda c: c["recipes"]["sample"]["distil"].update(layers=[1]),
        ["config key 'recipes.sample.distil' has the unknown key 'layers'"],
    ),
    (
        "a precision that cannot be tuned for",
        lambda c: c["recipes"]["sample"]["prune"].update(precision="bf16"),
        ["config key 'recipes.sample.prune.precision' is wrong: 'bf16' is not one of",
         "expected: fp32 or int8"],
    ),
    (
        "precision belongs to pruning",
        lambda c: c["recipes"]["sample"]["distil"].update(precision="int8"),
        ["config key 'recipes.sample.distil' has the unknown key 'precision'"],
    ),
    (
        "synthetic documents without labels",
        lambda c: (
            c["run"].update(recipes=["labels"]),
            c["recipes"]["labels"]["prune"].update(synthetic_per_real=0.5),
        ),
        ["config key 'recipes.labels.prune.synthetic_per_real' is 0.5, expected 0 beside "
         "learn_from: labels, since synthetic documents have no labels"],
    ),
    (
        "a name of layers that is none",
        lambda c: c["recipes"]["sample"]["prune"].update(layers="all"),
        ["config key 'recipes.sample.prune.layers' is 'all', expected: the layers pruned counted "
         "from 1 (the first reads the features), such as [1]; or hidden: "],
    ),
    (
        "a layer that a student lacks",
        lambda c: (
            c["run"].update(students=["B", "A"]),
            c["recipes"]["sample"]["prune"].update(layers=[1, 5]),
        ),
        ["config key 'recipes.sample.prune.layers' names layer 5: "
         "student 'B' has layers 1 to 4"],
    ),
    (
        "a ramp longer than the training",
        lambda c: c["recipes"]["sample"]["prune"].update(ramp=41),
        ["config key 'recipes.sample.prune.ramp' is 41, expected at most 40, its epochs"],
    ),
    (
        "a ramp that ends before training starts",
        lambda c: c["recipes"]["sample"]["prune"].update(ramp=0),
        ["config key 'recipes.sample.prune.ramp' is wrong: 0 is less than the minimum of 1"],
    ),
    (
        "a schedule by name",
        lambda c: c["recipes"]["sample"]["prune"].update(schedule="gradual"),
        ["config key 'recipes.sample.prune' has the unknown key 'schedule'"],
    ),
    (
        "layer 0",
        lambda c: c["recipes"]["sample"]["prune"].update(layers=[0]),
        ["config key 'recipes.sample.prune.layers' is [0], expected: the layers pruned"],
    ),
]  # fmt: skip


@slips(CASES)
def test_a_slip_in_a_recipe_is_named(change, said):
    check_slip(change, said)
