"""Paths, and look-ups in the config's catalogue; nothing else."""

import os
import re
from copy import deepcopy
from itertools import product
from pathlib import Path

import yaml
from distilrank.config import (
    check_config,
    design_recipe,
    folder_files,
    per_mille,
)
from distilrank.dependencies import library_digest, native_files
from distilrank.files import read_json
from distilrank.folds import entry_of_fold
from distilrank.folds import folds_of as folds_in
from distilrank.job import SCHEDULER
from distilrank.layout import claim
from distilrank.letor import SPLIT_FILES, SPLITS
from distilrank.machine import fingerprint
from distilrank.naming import budget_name
from distilrank.recipes import distilled_as, expand_grids
from distilrank.suggest import suggestion
from distilrank.teacher_entries import check_reference_forest, forests_of, kind_of_teacher
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

AS_MODULE = not workflow.modifier.is_main_snakefile()

# A module's config takes the place of the configfile: here it changes what the default says.
if AS_MODULE:
    changes = deepcopy(config)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    update_config(config, changes)

try:
    check_config(config)
    if workflow.is_main_process:
        check_reference_forest(config)
    config.update(expand_grids(config))
except ValueError as error:
    raise WorkflowError(str(error)) from None

# Jobs end with whoever started them.
os.environ[SCHEDULER] = str(os.getpid())
# LightGBM's threads wait for one another by spinning, for milliseconds in GNU's OpenMP. On a machine
# with other work that stops the very thread that is waited for: a forest took 35 times as long
# as with short spins (docs/training.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

FOLD = "{dataset}/fold{fold}"
TEACHER = "{dataset}/fold{fold}/{teacher}"
RUN = "{dataset}/fold{fold}/{teacher}/{student}/{recipe}/seed{seed}"
DESIGN = "results/design/{machine}/{dataset}"

NATIVE = "results/native/libdistilrank.so"
# The parser alone: data must not be read anew whenever a scorer's code changes.
PARSER = "results/native/libdistilrank-letor.so"
# Forests alone: students must not be trained anew whenever a network kernel changes.
TEACHER_LIBRARY = "results/native/libdistilrank-forest.so"
NATIVE_SOURCES = native_files()


wildcard_constraints:
    dataset=r"[^/]+",
    fold=r"\d+",
    split="|".join(SPLITS),
    teacher=r"[^/]+",
    student=r"[^/]+",
    recipe=r"[^/]+",
    seed=r"\d+",
    sparsity=r"\d+",
    machine=r"[0-9a-f]+",


def library(script):
    """A digest that changes with the library files that a script rests on, and so reruns it.

    Inputs would do as well, at the price of most of a plan's time: up to 40 files for every job.
    """
    return library_digest(ROOT / "scripts" / f"{script}.py")


def split(name):
    """The files of one split of a fold."""
    return [f"results/data/{FOLD}/{name}/{file}" for file in SPLIT_FILES]


def whole(name):
    """The one file of a split that stands for all: the last one written, with the others' digests.

    For rules with thousands of jobs: a plan's time grows with their inputs. The price: an array
    that somebody deleted is not made again for them, but named by the job that misses it.
    """
    return split(name)[-1:]


def dataset_of(wildcards):
    return config["datasets"][wildcards.dataset]


def labels_or_not(labelled, unlabelled):
    """The files that a rule needs of a data set with labels, or of one without them."""
    return lambda wildcards: labelled if dataset_of(wildcards).get("labels", True) else unlabelled


def archive_of(dataset):
    """The entry's part that says which archive its files are in."""
    return dataset["package"] if "package" in dataset else dataset["archive"]


def archive_name(dataset):
    """The name that a data set's archive was published under, or that a person's copy has."""
    if "package" in dataset:
        return "{name}-{version}.tar.gz".format(**dataset["package"])
    return dataset["archive"].get("name") or Path(dataset["archive"]["path"]).name


def own_file(path):
    """A person's own file: a relative path starts at the working folder, under `module:` too."""
    return local(str(Path(path).expanduser()))


def own_archive_of(wildcards):
    """A person's own copy of the archive: an input, never an output."""
    path = dataset_of(wildcards).get("archive", {}).get("path")
    return [own_file(path)] if path else []


def source_files_of(wildcards):
    """The files whose change makes a fold anew: the archive, or what is read of a folder."""
    dataset = dataset_of(wildcards)
    if "folder" in dataset:
        return [own_file(path) for path in folder_files(dataset, wildcards.fold)]
    if "generate" in dataset:
        return [f"results/generated/{wildcards.dataset}.zip"]
    return [f"results/archives/{wildcards.dataset}/{archive_name(dataset)}"]


def feature_names_of(wildcards):
    """The file of a data set's feature names, in this folder or beside the Snakefile; or none."""
    names = dataset_of(wildcards).get("feature_names", [])
    if not isinstance(names, str):
        return []
    own = Path(names).expanduser()
    return [own_file(own) if own.exists() else f"{ROOT}/{names}"]


def sample_of(split_name):
    """The files of a split of the data set that another one is generated from."""

    def files(wildcards):
        source = dataset_of(wildcards)["generate"]["from"]
        first = folds_in(config["datasets"][source])[0]
        return [file.format(dataset=source, fold=first) for file in split(split_name)]

    return files


def forests_that_are(*kinds):
    """A wildcard's pattern for the catalogue's forests of these kinds."""
    known = config["teachers"]
    return one_of(name for name in known if kind_of_teacher(known[name]) in kinds)


def own_forest_of(wildcards):
    """A person's own forest: an input, never an output."""
    return own_file(config["teachers"][wildcards.teacher]["path"])


def tuned_settings_of(wildcards):
    """What was found for a forest, if it is tuned."""
    tuned = kind_of_teacher(config["teachers"][wildcards.teacher]) == "tuned"
    return [f"results/teachers/{TEACHER}/tuned.json"] if tuned else []


def whole_forest(file):
    """A file of the forest that a prefix is cut from."""
    return lambda wildcards: (
        f"results/teachers/{FOLD}/{{source}}/{file}".format(
            **wildcards, source=config["teachers"][wildcards.teacher]["prefix_of"]
        )
    )


def reference_model(wildcards):
    """The forest that every timing job of a fold measures beside its own model."""
    first = config["run"]["teachers"][0]
    return f"results/teachers/{wildcards.dataset}/fold{wildcards.fold}/{first}/model.txt"


def designed(dataset):
    """The files of a data set's designs; Snakemake makes them first where it has not."""
    return checkpoints.design_students.get(machine=MACHINE, dataset=dataset).output


def design_first(wildcards):
    """No file: widths are no reason to train anew if they stay. Yet designs need to be made."""
    student, known = wildcards.student, config["students"]
    if student not in known:
        if not student.startswith("design-"):
            raise WorkflowError(f"there is no student '{student}': {suggestion(student, known)}")
        designed(wildcards.dataset)
    return []


def widths_of(wildcards):
    """A student's hidden widths: of the catalogue, else of the data set's designs."""
    student = wildcards.student
    if student in config["students"]:
        return config["students"][student]
    path = Path(designed(wildcards.dataset).students)
    known = yaml.safe_load(path.read_text(encoding="utf-8"))["students"]
    if student not in known:
        raise WorkflowError(f"{path} has no '{student}': {suggestion(student, known)}")
    return known[student]


def identity_of(wildcards):
    """What names a forest or a student in its files: its wildcards, numbers as numbers."""
    return {
        name: int(value) if name in ("fold", "seed") else value for name, value in wildcards.items()
    }


def dense_of_first(wildcards, suffix):
    """A file of the dense network that a recipe shares: of the first recipe that distils alike."""
    first = dict(wildcards) | {"recipe": DISTILLED_AS[wildcards.recipe]}
    return f"results/students/{RUN}/sp0.{suffix}".format(**first)


def designed_models(dataset):
    """The designs that are trained, in the form of STUDENTS: of the first teacher alone."""
    run, made = config["run"], read_json(designed(dataset).designs)["designs"]
    return [
        {
            **{"dataset": dataset, "fold": fold, "teacher": run["teachers"][0]},
            **{"student": name, "seed": seed, "sparsity": per_mille(design["sparsity"])},
            "recipe": design_recipe(config, design["precision"], design["sparsity"]),
        }
        for name, design in made.items()
        if design["rank"] <= config["design"]["train"]
        for fold in folds_of(dataset)
        for seed in run["seeds"]
    ]


def with_designs(kind, files):
    """The selection's ``files`` of a kind, and those of the designs if any is trained.

    Without designs it is a plain list: a plan without checkpoints, and as fast as before.
    """
    if not config["design"]["train"]:
        return files
    return lambda wildcards: [
        *files,
        *(file for name in config["run"]["datasets"] for file in designed_files(kind, name)),
    ]


def designed_files(kind, dataset):
    """The files of one kind (designs, quality, parity, timing, history) of a data set's designs."""
    if kind == "designs":
        return [designed(dataset).designs]
    return [
        pattern.format(**model)
        for model in designed_models(dataset)
        if kind in ("quality", "history") or is_timed(model)
        for pattern in patterns_of(kind, model)
    ]


def patterns_of(kind, model):
    """Where a network's files of a kind lie; a pruned one's history is its dense one's and its own."""
    if kind != "history":
        return [f"results/{kind}/{RUN}/sp{{sparsity}}.json"]
    own = [f"results/students/{RUN}/sp{{sparsity}}.csv"] if model["sparsity"] else []
    return [f"results/students/{RUN}/sp0.csv", *own]


def folds_of(dataset):
    return [
        fold for fold in config["run"]["folds"] if fold in folds_in(config["datasets"][dataset])
    ]


def learns_from_labels(recipe):
    return config["recipes"].get(recipe, {}).get("distil", {}).get("learn_from") == "labels"


def sparsities():
    return [per_mille(sparsity) for sparsity in config["run"]["sparsities"]]


# What `snakemake --cache` takes from other folders; a package's version changes no data.
CACHED = "omit-software" if workflow.enable_cache else False
if CACHED and not os.environ.get("SNAKEMAKE_OUTPUT_CACHE"):
    raise WorkflowError(
        "--cache is given and the environment variable SNAKEMAKE_OUTPUT_CACHE is not set: set it "
        "to an existing folder that the workflows share (docs/reuse.md)"
    )
# Data sets whose archive is a person's own copy.
OWN_ARCHIVES = [
    name for name in config["datasets"] if "path" in config["datasets"][name].get("archive", {})
]
# Recipes that distil alike share their dense networks: the first of them is the one that trains.
DISTILLED_AS = {name: distilled_as(name, config["recipes"]) for name in config["recipes"]}
# Designs are made for the machine that times are measured on.
MACHINE = config["design"].get("machine") or fingerprint()["id"]
BUDGETS = [budget_name(budget) for budget in config["design"]["budget_us"]]
FOLDS = [
    {"dataset": dataset, "fold": fold}
    for dataset in config["run"]["datasets"]
    for fold in folds_of(dataset)
]
FORESTS = [{**fold, "teacher": name} for fold, name in product(FOLDS, forests_of(config))]
TEACHERS = [forest for forest in FORESTS if forest["teacher"] in config["run"]["teachers"]]
# A network that learns from labels is the same under every teacher: it stands under the first.
STUDENTS = [
    {**teacher, "student": student, "recipe": recipe, "seed": seed, "sparsity": sparsity}
    for teacher, student, recipe, seed, sparsity in product(
        TEACHERS,
        config["run"]["students"],
        config["run"]["recipes"],
        config["run"]["seeds"],
        sparsities(),
    )
    if not learns_from_labels(recipe) or teacher["teacher"] == config["run"]["teachers"][0]
]


def is_first(model):
    """Whether a model is of its data set's first fold and, if it has a seed, of the first one."""
    first_seed = config["run"]["seeds"][0]
    first_fold = folds_of(model["dataset"])[0]
    return model["fold"] == first_fold and model.get("seed", first_seed) == first_seed


def is_timed(model):
    """Only a data set's first fold and the first seed are timed: the others cost the same.

    So does a network that learns from labels beside its like that learns from a teacher.
    """
    return is_first(model) and not learns_from_labels(model.get("recipe"))


def one_of(names):
    """A wildcard's pattern for exactly these names; without any it matches nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


def students_where(wanted):
    """The files of the selection's students for which ``wanted`` is true."""
    path = f"results/students/{RUN}/sp{{sparsity}}.safetensors"
    return [path.format(**model) for model in STUDENTS if wanted(model)]


def results_of(kind):
    """The JSON files of one kind (quality, parity, timing), forests first."""
    chosen = [model for model in FORESTS + STUDENTS if kind == "quality" or is_timed(model)]
    forest = f"results/{kind}/{TEACHER}/teacher.json"
    network = f"results/{kind}/{RUN}/sp{{sparsity}}.json"
    return [(network if "student" in model else forest).format(**model) for model in chosen]


TEACHER_MODELS = [f"results/teachers/{TEACHER}/model.txt".format(**model) for model in FORESTS]
DENSE_MODELS = students_where(lambda model: not model["sparsity"])
PRUNED_MODELS = students_where(lambda model: model["sparsity"])
# A pruned network's training is told from its dense one's on, selected or not.
HISTORY = list(
    dict.fromkeys(
        pattern.format(**model) for model in STUDENTS for pattern in patterns_of("history", model)
    )
)
QUALITY = results_of("quality")
PARITY = results_of("parity")
TIMING = results_of("timing")
# Each dense network once, whichever recipes share it; of one fold and seed, as for times.
SENSITIVITY = sorted(
    {
        f"results/sensitivity/{RUN}.json".format(
            **model | {"recipe": DISTILLED_AS[model["recipe"]]}
        )
        for model in STUDENTS
        if is_timed(model)
    }
)
REPORT = "results/report/index.html"
CHECKED = "results/report/checks.json"
DESIGNS = [
    f"{DESIGN}/{file}".format(machine=MACHINE, dataset=dataset)
    for dataset in config["run"]["datasets"]
    for file in ["designs.json", *(f"ranked-{budget}.csv" for budget in BUDGETS)]
]
