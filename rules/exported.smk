"""Which models are taken home, and what is gathered for each."""

from distilrank.dependencies import shipped_files
from distilrank.naming import models_named

EXPORTED_TEACHER = f"results/export/teachers/{TEACHER}/README.md"
EXPORTED_STUDENT = f"results/export/students/{RUN}/sp{{sparsity}}/README.md"


def timing_of(wildcards):
    """A model's timing file, if it is one of those that are timed."""
    model = identity_of(wildcards)
    file = f"{RUN}/sp{{sparsity}}.json" if "student" in model else f"{TEACHER}/teacher.json"
    return f"results/timing/{file}" if is_timed(model) else []


def splits_of(wildcards):
    """Every split's meta.json, for the counts and names that a card tells."""
    return {name: f"results/data/{FOLD}/{name}/meta.json".format(**wildcards) for name in SPLITS}


def about_dataset(wildcards):
    """What a card tells of the data: what it is, where it is from, on which terms."""
    about = dataset_of(wildcards)
    return {key: about[key] for key in ("title", "page", "terms") if key in about}


def exported():
    """What `snakemake export` writes: chosen models of each data set's first fold, first seed."""
    first = [model for model in FORESTS + STUDENTS if is_first(model)]
    try:
        chosen = models_named(config["export"]["models"], first)
    except ValueError as error:
        raise WorkflowError(str(error)) from None
    folder = {True: EXPORTED_STUDENT, False: EXPORTED_TEACHER}
    return [folder["student" in model].format(**model) for model in chosen]
