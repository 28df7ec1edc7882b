"""distilrank.config: the shipped configs pass, and every slip is named in one sentence."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from distilrank.config import check_config, design_recipe, folder_files, per_mille
from distilrank.engines import engine_names, make_engine

FOLDER = Path(__file__).parents[2] / "config"
DEFAULT = yaml.safe_load((FOLDER / "config.yaml").read_text())
PAPER = yaml.safe_load((FOLDER / "paper.yaml").read_text())
DESIGN = yaml.safe_load((FOLDER / "design.yaml").read_text())
Change = Callable[[dict[str, Any]], Any]


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """As Snakemake merges a second config file: mappings key by key, all else replaced."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def changed(change: Change) -> dict[str, Any]:
    config = copy.deepcopy(DEFAULT)
    change(config)
    return config


def sentence_of(config: dict[str, Any]) -> str:
    with pytest.raises(ValueError) as raised:
        check_config(config)
    return str(raised.value)


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


def generated(config: dict[str, Any]) -> dict[str, Any]:
    """How the generated data set is made, once it is selected."""
    config["run"]["datasets"] = ["mslr-generated"]
    return config["datasets"]["mslr-generated"]["generate"]


def selected(config: dict[str, Any]) -> dict[str, Any]:
    """Istella-S, once it is selected."""
    config["run"]["datasets"] = ["istella-s"]
    return config["datasets"]["istella-s"]


LACKS = "lacks the key "
CASES: list[tuple[str, Change, list[str]]] = [
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
        "a data set from nowhere",
        lambda c: c["datasets"]["mslr-sample"].pop("package"),
        ["config key 'datasets.mslr-sample' is", "a source: either package", "or archive"],
    ),
    (
        "a data set from two places",
        lambda c: c["datasets"]["mslr-sample"].update(
            archive=c["datasets"]["istella-s"]["archive"]
        ),
        ["config key 'datasets.mslr-sample' is", "a source: either package", "or archive"],
    ),
    (
        "a generated data set that is also downloaded",
        lambda c: c["datasets"]["mslr-generated"].update(
            archive=c["datasets"]["istella-s"]["archive"]
        ),
        ["config key 'datasets.mslr-generated' is", "or generate (made from another data set)"],
    ),
    (
        "generated from an unknown data set",
        lambda c: generated(c).update({"from": "mslr-sampel"}),
        ["config key 'datasets.mslr-generated.generate.from' names unknown 'mslr-sampel': "
         "did you mean 'mslr-sample'?"],
    ),
    (
        "generated from itself",
        lambda c: generated(c).update({"from": "mslr-generated"}),
        ["config key 'datasets.mslr-generated.generate.from' names unknown 'mslr-generated'",
         "known are istella, istella-s, istella-x, mslr-sample"],
    ),
    (
        "generated with features that its sample has not",
        lambda c: (generated(c), c["datasets"]["mslr-generated"].update(features=220)),
        ["config key 'datasets.mslr-generated.features' is 220, expected 136 as 'mslr-sample'"],
    ),
    (
        "generated folds",
        lambda c: (generated(c), c["datasets"]["mslr-generated"].update(folds=[1, 2])),
        ["config key 'datasets.mslr-generated.folds' is [1, 2], expected [1]"],
    ),
    (
        "generated queries that are dealt",
        lambda c: (generated(c), c["datasets"]["mslr-generated"].update(folds="cv5")),
        ["config key 'datasets.mslr-generated.folds' is cv5, expected [1]"],
    ),
    (
        "a fold beyond those that queries are dealt into",
        lambda c: c["run"].update(datasets=["mslr-sample-cv5"], folds=[6]),
        ["config key 'run.folds' is [6] and the data set 'mslr-sample-cv5' has none of them",
         "it has [1, 2, 3, 4, 5]"],
    ),
    (
        "no queries to generate",
        lambda c: generated(c)["queries"].update(vali=0),
        ["config key 'datasets.mslr-generated.generate.queries.vali' is wrong",
         "a whole number of queries from 1"],
    ),
    (
        "less than a document for each query",
        lambda c: generated(c).update(documents_per_query=0.5),
        ["config key 'datasets.mslr-generated.generate.documents_per_query' is wrong", "from 1"],
    ),
    (
        "a misspelt key of generate",
        lambda c: generated(c).update(sead=1),
        ["config key 'datasets.mslr-generated.generate' has the unknown key 'sead': did you mean "
         "'seed'?"],
    ),
    (
        "a checksum cut short",
        lambda c: c["datasets"]["istella-s"]["archive"].update(sha256="41b21116"),
        ["config key 'datasets.istella-s.archive.sha256' is '41b21116'", "64 lower-case"],
    ),
    (
        "a checksum that YAML took for a number",
        lambda c: c["datasets"]["istella-s"]["archive"].update(sha256=int("1" * 64)),
        ["config key 'datasets.istella-s.archive.sha256' is 1111", "in quotes"],
    ),
    (
        "an archive of nowhere",
        lambda c: c["datasets"]["istella-s"].update(archive={"name": "x.zip"}),
        ["config key 'datasets.istella-s.archive' is {'name': 'x.zip'}",
         "either path or name, sha256"],
    ),
    (
        "a folder in place of what is generated",
        lambda c: c["datasets"]["mslr-generated"].update(folder="x"),
        ["config key 'datasets.mslr-generated' is", "beside package or archive"],
    ),
    (
        "a size of nothing",
        lambda c: c["datasets"]["istella-s"]["archive"].update(bytes=0),
        ["config key 'datasets.istella-s.archive.bytes' is wrong", "a whole number from 1"],
    ),
    (
        "a limit of nothing",
        lambda c: c["datasets"]["istella-s"].update(largest_file_gb=0),
        ["config key 'datasets.istella-s.largest_file_gb' is wrong", "GB above 0"],
    ),
    (
        "an own archive that is not there",
        lambda c: (selected(c)["archive"].update(path="no/such.tar.gz")),
        ["config key 'datasets.istella-s.archive.path' needs no/such.tar.gz, which is not there: "
         f"relative paths start at {Path.cwd()}"],
    ),
    (
        "an own folder that is not there",
        lambda c: selected(c).update(folder="~/no/such"),
        [f"config key 'datasets.istella-s.folder' needs {Path.home()}/no/such, which is not there"],
    ),
    (
        "an own folder without the files",
        lambda c: selected(c).update(folder=str(FOLDER)),
        [f"config key 'datasets.istella-s.folder' needs {FOLDER}/sample/train.txt, which is not"],
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


@pytest.mark.parametrize(
    ("change", "said"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_slip_is_named_with_what_was_found_and_what_is_right(change, said):
    sentence = sentence_of(changed(change))
    for part in said:
        assert part in sentence
    assert "\n" not in sentence
    assert len(sentence) < 500


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


def test_an_own_copy_may_stand_for_a_download(tmp_path):
    """A folder may also stand beside the catalogue's archive, since configs are merged deeply."""
    (tmp_path / "Fold1").mkdir()
    for split in ("train", "vali", "test"):
        (tmp_path / "Fold1" / f"{split}.txt").write_bytes(b"")
    (tmp_path / "x.zip").write_bytes(b"")
    run = {"datasets": ["mslr-web30k"]}
    for copies in ({"folder": str(tmp_path)}, {"archive": {"path": str(tmp_path / "x.zip")}}):
        check_config(merged(DEFAULT, {"datasets": {"mslr-web30k": copies}, "run": run}))
    dataset = DEFAULT["datasets"]["mslr-web30k"] | {"folder": str(tmp_path)}
    assert folder_files(dataset, 1) == [
        tmp_path / "Fold1" / f"{split}.txt" for split in ("train", "vali", "test")
    ]
    alone = {key: DEFAULT["datasets"]["mslr-web30k"][key] for key in ("features", "folds", "files")}
    config = copy.deepcopy(DEFAULT)
    config["datasets"]["mine"] = {"title": "Mine", **alone, "folder": str(tmp_path)}
    config["run"]["datasets"] = ["mine"]
    check_config(config)


@pytest.mark.parametrize("name", ["mslr-web30k", "mslr-web10k"])
def test_the_folds_checksums_follow_the_rotation_of_the_folds(name):
    """Each fold's vali file is the test file of the fold before: a slip in one would show."""
    files = DEFAULT["datasets"][name]["files"]
    for fold in range(1, 6):
        before = (fold - 2) % 5 + 1
        assert files["vali"]["sha256"][fold] == files["test"]["sha256"][before]
    assert len({*files["train"]["sha256"].values(), *files["test"]["sha256"].values()}) == 10


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
