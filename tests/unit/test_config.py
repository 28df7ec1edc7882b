"""distilrank.config: the shipped configs pass, and every slip is named in one sentence."""

import copy
import re
from typing import Any

import pytest
import yaml
from config_slips import (
    DEFAULT,
    FOLDER,
    LACKS,
    Slip,
    changed,
    check_slip,
    merged,
    slips,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from distilrank.config import check_config, design_recipe, per_mille
from distilrank.engines import engine_names, make_engine

PAPER = yaml.safe_load((FOLDER / "paper.yaml").read_text())
DESIGN = yaml.safe_load((FOLDER / "design.yaml").read_text())


def test_the_default_is_valid():
    check_config(DEFAULT)


def test_the_papers_grid_is_valid():
    config = merged(DEFAULT, PAPER)
    assert config["run"]["engines"] == DEFAULT["run"]["engines"]
    assert config["run"]["seeds"] == [1, 2, 3]
    check_config(config)


def test_the_designs_that_are_trained_are_valid():
    config = merged(DEFAULT, DESIGN)
    assert config["design"]["train"] == 3
    check_config(config)


def test_the_default_plans_designs_and_trains_none():
    """A run whose jobs depend on a checkpoint is for whoever asks for it."""
    assert DEFAULT["design"]["train"] == 0
    assert merged(DEFAULT, PAPER)["design"]["train"] == 0


@pytest.mark.parametrize(
    ("recipes", "precision", "sparsity", "expected"),
    [
        (["sample"], "fp32", 0.95, "sample"),
        (["sample"], "bf16", 0.95, "sample"),
        (["sample"], "int8", 0.95, "sample-int8"),  # the catalogue's, of the same distillation
        (["sample"], "int8", 0, "sample"),  # only pruned networks are tuned
        (["sample-int8", "sample"], "bf16", 0.95, "sample"),
        (["published", "sample-int8"], "int8", 0.95, "sample-int8"),
        (["published"], "int8", 0.95, "published"),  # none is tuned alike
    ],
)
def test_the_recipe_of_a_design(recipes, precision, sparsity, expected):
    config = merged(DEFAULT, {"run": {"recipes": recipes}})
    assert design_recipe(config, precision, sparsity) == expected


def test_every_catalogue_entry_can_be_run():
    """The unselected ones too: whoever selects one must not meet an error."""
    for catalogue in ("datasets", "teachers", "students", "recipes"):
        for name in DEFAULT[catalogue]:
            check_config(merged(DEFAULT, {"run": {catalogue: [name]}}))


def test_checking_changes_nothing():
    config = copy.deepcopy(DEFAULT)
    check_config(config)
    assert config == DEFAULT


CASES: list[Slip] = [
    # what, the slip, and what the sentence must say
    (
        "unknown key at the top",
        lambda c: c.update(techers={}),
        ["has the unknown key 'techers': did you mean 'teachers'? known are calibration, checks, "],
    ),
    (
        "unknown key in run",
        lambda c: c["run"].update(sparsity=[0]),
        ["config key 'run' has the unknown key 'sparsity': did you mean 'sparsities'?"],
    ),
    (
        "a key of design is missing",
        lambda c: c["design"].pop("margin"),
        ["config key 'design' lacks the key 'margin': the share from 0"],
    ),
    (
        "unknown key in design",
        lambda c: c["design"].update(budgets_us=[1]),
        ["config key 'design' has the unknown key 'budgets_us': did you mean 'budget_us'?"],
    ),
    (
        "a budget of half a nanosecond",
        lambda c: c["design"].update(budget_us=[0.5, 0.0005]),
        ["config key 'design.budget_us' holds 0.0005, expected whole nanoseconds such as 0.001"],
    ),
    (
        "no budget at all",
        lambda c: c["design"].update(budget_us=[]),
        ["config key 'design.budget_us'", "such as [0.2, 0.5, 1.0]"],
    ),
    (
        "a precision that no scorer has",
        lambda c: c["design"].update(precisions=["fp16"]),
        ["config key 'design.precisions.0'", "'fp16' is not one of"],
    ),
    (
        "a design's sparsity of too many digits",
        lambda c: c["design"].update(sparsities=[0.98765]),
        ["config key 'design.sparsities' holds 0.98765", "such as 0.988"],
    ),
    (
        "designs that learn from nobody",
        lambda c: c["design"].update(learn_from=["CC"]),
        ["config key 'design.learn_from' names unknown 'CC': did you mean 'C'?"],
    ),
    (
        "designs timed at another batch",
        lambda c: c["design"].update(train=1, batch=64),
        ["config key 'design.batch' is 64, expected one of timing.batches, [1, 20, "],
    ),
    (
        "designs timed on no engine",
        lambda c: (c["design"].update(train=1), c["run"]["engines"].remove("native-bf16")),
        ["config key 'design.precisions' holds 'bf16', and run.engines lacks 'native-bf16'"],
    ),
    (
        "designs pruned in other layers than were planned",
        lambda c: (
            c["design"].update(train=1),
            c["recipes"]["sample"]["prune"].update(layers=[1, 2]),
        ),
        ["config key 'recipes.sample.prune.layers' is [1, 2], expected [1]"],
    ),
    (
        "unknown teacher",
        lambda c: c["run"].update(teachers=["lm-larg"]),
        ["config key 'run.teachers' names unknown 'lm-larg': did you mean 'lm-large'?",
         "lm-600x256"],
    ),
    (
        "unknown data set",
        lambda c: c["run"].update(datasets=["mslr"]),
        ["config key 'run.datasets' names unknown 'mslr'", "mslr-sample"],
    ),
    (
        "unknown student",
        lambda c: c["run"].update(students=["A", "Z"]),
        ["config key 'run.students' names unknown 'Z'", "known are A, B, C, D, E, F, wide"],
    ),
    (
        "unknown recipe",
        lambda c: c["run"].update(recipes=["publishd"]),
        ["config key 'run.recipes' names unknown 'publishd': did you mean 'published'?"],
    ),
    (
        "sparsity above 1",
        lambda c: c["run"].update(sparsities=[0, 1.5]),
        ["config key 'run.sparsities.1' is wrong", "1.5",
         "expected: a share of zeros in thousandths, 0 <= sparsity < 1, such as 0.95"],
    ),
    (
        "sparsity 1",
        lambda c: c["run"].update(sparsities=[1]),
        ["config key 'run.sparsities.0' is wrong", "0 <= sparsity < 1"],
    ),
    (
        "sparsity in per cent",
        lambda c: c["run"].update(sparsities=[95]),
        ["config key 'run.sparsities.0' is wrong", "such as 0.95"],
    ),
    (
        "sparsity of four digits",
        lambda c: c["run"].update(sparsities=[0.9, 0.9506]),
        ["config key 'run.sparsities' holds 0.9506", "expected whole thousandths such as 0.951"],
    ),
    (
        "sparsity that rounds to 1",
        lambda c: c["run"].update(sparsities=[0.9996]),
        ["config key 'run.sparsities' holds 0.9996", "expected whole thousandths such as 0.999:"],
    ),
    (
        "a sparsity twice",
        lambda c: c["run"].update(sparsities=[0.9, 0.9]),
        ["config key 'run.sparsities' is wrong", "non-unique", "a list of shares of zeros"],
    ),
    (
        "a share of everything",
        lambda c: c["datasets"]["mslr-sample"].update(vali_share=1),
        ["config key 'datasets.mslr-sample.vali_share' is wrong", "above 0 and below 1"],
    ),
    (
        "headline batch that is not timed",
        lambda c: c["timing"].update(headline_batch=512),
        ["config key 'timing.headline_batch' is 512",
         "expected one of timing.batches: [1, 20, 100, 256, 1000]"],
    ),
    (
        "unknown engine",
        lambda c: c["run"]["engines"].append("torch-csr+tensorflow"),
        ["config key 'run.engines' names unknown 'torch-csr+tensorflow': did you mean 'torch-csr+"],
    ),
    (
        "reference engine that is not timed",
        lambda c: c["run"]["engines"].remove("ydf-quickscorer"),
        ["config key 'timing.reference_engine' names unknown 'ydf-quickscorer'", "lightgbm"],
    ),
    (
        "reference engine that cannot score a forest",
        lambda c: c["timing"].update(reference_engine="numpy"),
        ["config key 'timing.reference_engine' is 'numpy', which scores no forests",
         "expected one of lightgbm, ydf-quickscorer"],
    ),
    (
        "a fold that a data set lacks",
        lambda c: c["run"].update(folds=[2, 3]),
        ["config key 'run.folds' is [2, 3] and the data set 'mslr-sample' has none of them",
         "it has [1]"],
    ),
    (
        "text for a number",
        lambda c: c["recipes"]["sample"]["distil"].update(epochs="many"),
        ["config key 'recipes.sample.distil.epochs' is 'many'", "expected: a whole number"],
    ),
    (
        "a fraction for a whole number",
        lambda c: c["recipes"]["sample"]["distil"].update(epochs=1.5),
        ["config key 'recipes.sample.distil.epochs' is 1.5", "expected: a whole number"],
    ),
    (
        "1.0e2 is a fraction in YAML, and no range takes it",
        lambda c: c["recipes"]["sample"]["distil"].update(epochs=yaml.safe_load("1.0e+2")),
        ["config key 'recipes.sample.distil.epochs' is 100.0", "expected: a whole number"],
    ),
    (
        "a seed that would be named seed1.0",
        lambda c: c["run"].update(seeds=[1.0]),
        ["config key 'run.seeds.0' is 1.0"],
    ),
    (
        "true for a number",
        lambda c: c["teachers"]["lm-small"].update(trees=True),
        ["config key 'teachers.lm-small.trees' is True", "the most trees from 1"],
    ),
    (
        "one name for a list of names",
        lambda c: c["run"].update(teachers="lm-small"),
        ["config key 'run.teachers' is 'lm-small'", "a list of at least one name, none twice"],
    ),
    (
        "an empty list",
        lambda c: c["run"].update(students=[]),
        ["config key 'run.students' is wrong", "a list of at least one name, none twice"],
    ),
    (
        "a list for a section",
        lambda c: c.update(timing=[1, 2]),
        ["config key 'timing' is [1, 2]", "'object'"],
    ),
    (
        "an empty section",
        lambda c: c.update(run=None),
        ["config key 'run' is None", "the selection that the targets are made of"],
    ),
    (
        "a missing section",
        lambda c: c.pop("run"),
        [f"the config {LACKS}'run': the selection that the targets are made of"],
    ),
    (
        "a missing catalogue",
        lambda c: c.pop("teachers"),
        [f"the config {LACKS}'teachers': the catalogue of forests"],
    ),
    (
        "a missing key of a teacher",
        lambda c: c["teachers"]["lm-small"].pop("leaves"),
        [f"config key 'teachers.lm-small' {LACKS}'leaves': the most leaves of a tree from 2"],
    ),
    (
        "a missing key of timing",
        lambda c: c["timing"].pop("rounds"),
        [f"config key 'timing' {LACKS}'rounds': samples of each engine and batch from 3"],
    ),
    (
        "too few rounds",
        lambda c: c["timing"].update(rounds=2),
        ["config key 'timing.rounds' is wrong: 2 is less than the minimum of 3", "from 3"],
    ),
    (
        "a name that leaves the results folder",
        lambda c: c["teachers"].update({"../x": c["teachers"]["lm-small"]}),
        ["config key 'teachers' is '../x'", "letters, digits"],
    ),
    (
        "an archive's name that leaves it",
        lambda c: c["datasets"]["istella-s"]["archive"].update(name="../../x"),
        ["config key 'datasets.istella-s.archive.name' is '../../x'", "letters, digits"],
    ),
    (
        "a width of nothing",
        lambda c: c["students"].update(A=[400, 0]),
        ["config key 'students.A.1' is wrong", "a width from 1"],
    ),
    (
        "a convention that is no nDCG",
        lambda c: c["quality"].update(no_relevant=2),
        ["config key 'quality.no_relevant' is wrong", "from 0 to 1; null leaves it out"],
    ),
]  # fmt: skip


@slips(CASES)
def test_a_slip_is_named_with_what_was_found_and_what_is_right(change, said):
    check_slip(change, said)


def test_no_relevant_may_be_left_out_of_the_mean():
    check_config(changed(lambda c: c["quality"].update(no_relevant=None)))


@pytest.mark.parametrize(
    "name", [name for name in engine_names() if make_engine(name).kind == "forest"]
)
def test_every_forest_engine_may_be_the_reference(name):
    def choose(config):
        config["run"]["engines"] = sorted({*config["run"]["engines"], name})
        config["timing"]["reference_engine"] = name

    check_config(changed(choose))


def test_every_whole_thousandth_is_a_sparsity():
    """0.57 * 1000 is 569.9999999999999, and many others are as far off."""
    shares = [thousandths / 1000 for thousandths in range(1000)]
    check_config(changed(lambda c: c["run"].update(sparsities=shares)))
    assert [per_mille(share) for share in shares] == list(range(1000))


def paths(value: Any, path: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else ()
    return [path, *(each for key, item in inner for each in paths(item, (*path, key)))]


RUBBISH = st.sampled_from([None, True, -1, 0, 1.5, "", "x", [], [None], {}, {"x": 1}, [[1]]])


@settings(deadline=None)
@given(path=st.sampled_from(paths(DEFAULT)[1:]), rubbish=RUBBISH)
def test_rubbish_anywhere_passes_or_is_named(path, rubbish):
    config = copy.deepcopy(DEFAULT)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = rubbish
    try:
        check_config(config)
    except ValueError as error:
        assert re.match(r"config key '|the config ", str(error)), str(error)
