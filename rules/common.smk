"""Paths, and look-ups in the config's catalogue; nothing else."""

from itertools import product
from pathlib import Path

from distilrank.config import check_config, folder_files, folds_of as folds_in, per_mille
from distilrank.dependencies import library_files, native_files
from distilrank.letor import SPLIT_FILES, SPLITS
from snakemake.exceptions import WorkflowError

try:
    check_config(config)
except ValueError as error:
    raise WorkflowError(str(error)) from None

FOLD = "{dataset}/fold{fold}"
TEACHER = "{dataset}/fold{fold}/{teacher}"
RUN = "{dataset}/fold{fold}/{teacher}/{student}/{recipe}/seed{seed}"

NATIVE = "results/native/libdistilrank.so"
# The parser alone: data must not be read anew whenever a scorer's code changes.
PARSER = "results/native/libdistilrank-letor.so"
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


def library(script):
    """The library files that a script rests on; an edit of one reruns the script's rule."""
    return library_files(Path(workflow.basedir) / "scripts" / f"{script}.py")


def split(name, pattern=FOLD):
    """The files of one split of a fold."""
    return [f"results/data/{pattern}/{name}/{file}" for file in SPLIT_FILES]


def dataset_of(wildcards):
    return config["datasets"][wildcards.dataset]


def archive_name(dataset):
    """The name that a data set's archive was published under, or that a person's copy has."""
    if "package" in dataset:
        return "{name}-{version}.tar.gz".format(**dataset["package"])
    return dataset["archive"].get("name") or Path(dataset["archive"]["path"]).name


def own_archive_of(wildcards):
    """A person's own copy of the archive: an input, never an output."""
    path = dataset_of(wildcards).get("archive", {}).get("path")
    return [str(Path(path).expanduser())] if path else []


def source_of(wildcards):
    """The archive or folder that a data set's files are read out of."""
    dataset = dataset_of(wildcards)
    if "folder" in dataset:
        return str(Path(dataset["folder"]).expanduser())
    if "generate" in dataset:
        return f"results/generated/{wildcards.dataset}.zip"
    return f"results/archives/{wildcards.dataset}/{archive_name(dataset)}"


def source_files_of(wildcards):
    """The files whose change makes a fold anew: the archive, or what is read of a folder."""
    dataset, source = dataset_of(wildcards), source_of(wildcards)
    if "folder" not in dataset:
        return [source]
    return [str(path) for path in folder_files(dataset, wildcards.fold)]


def feature_names_of(wildcards):
    """The file of a data set's feature names, in this folder or beside the Snakefile; or none."""
    names = dataset_of(wildcards).get("feature_names", [])
    if not isinstance(names, str):
        return []
    own = Path(names).expanduser()
    return [str(own) if own.exists() else f"{workflow.basedir}/{names}"]


def sample_of(split_name):
    """The files of a split of the data set that another one is generated from."""

    def files(wildcards):
        source = dataset_of(wildcards)["generate"]["from"]
        first = folds_in(config["datasets"][source])[0]
        return [file.format(dataset=source, fold=first) for file in split(split_name)]

    return files


def reference_model(wildcards):
    """The forest that every timing job of a fold measures beside its own model."""
    first = config["run"]["teachers"][0]
    return f"results/teachers/{wildcards.dataset}/fold{wildcards.fold}/{first}/model.txt"


def folds_of(dataset):
    return [
        fold for fold in config["run"]["folds"] if fold in folds_in(config["datasets"][dataset])
    ]


def sparsities():
    return [per_mille(sparsity) for sparsity in config["run"]["sparsities"]]


FOLDS = [
    {"dataset": dataset, "fold": fold}
    for dataset in config["run"]["datasets"]
    for fold in folds_of(dataset)
]
TEACHERS = [
    {**fold, "teacher": teacher} for fold, teacher in product(FOLDS, config["run"]["teachers"])
]
STUDENTS = [
    {**teacher, "student": student, "recipe": recipe, "seed": seed, "sparsity": sparsity}
    for teacher, student, recipe, seed, sparsity in product(
        TEACHERS,
        config["run"]["students"],
        config["run"]["recipes"],
        config["run"]["seeds"],
        sparsities(),
    )
]


def is_timed(model):
    """Only a data set's first fold and the first seed are timed: the others cost the same."""
    first_fold = model["fold"] == folds_of(model["dataset"])[0]
    return first_fold and model.get("seed", config["run"]["seeds"][0]) == config["run"]["seeds"][0]


def students_where(wanted):
    """The files of the selection's students for which ``wanted`` is true."""
    path = f"results/students/{RUN}/sp{{sparsity}}.safetensors"
    return [path.format(**model) for model in STUDENTS if wanted(model)]


def results_of(kind):
    """The JSON files of one kind (quality, parity, timing), forests first."""
    chosen = [model for model in TEACHERS + STUDENTS if kind == "quality" or is_timed(model)]
    forest = f"results/{kind}/{TEACHER}/teacher.json"
    network = f"results/{kind}/{RUN}/sp{{sparsity}}.json"
    return [(network if "student" in model else forest).format(**model) for model in chosen]


TEACHER_MODELS = [f"results/teachers/{TEACHER}/model.txt".format(**model) for model in TEACHERS]
DENSE_MODELS = students_where(lambda model: not model["sparsity"])
PRUNED_MODELS = students_where(lambda model: model["sparsity"])
QUALITY = results_of("quality")
PARITY = results_of("parity")
TIMING = results_of("timing")
REPORT = "results/report/index.html"
CHECKED = "results/report/checks.json"
