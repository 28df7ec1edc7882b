"""What is taken home: the chosen models' folders."""

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


# One declared output stands for the folder: the script puts all of it in place at once, and a
# `directory()` would have Snakemake add a file of its own to what is taken away.
rule export_scorer:
    input:
        unpack(splits_of),
        model=f"results/students/{RUN}/sp{{sparsity}}.safetensors",
        midpoints=f"results/teachers/{TEACHER}/midpoints.safetensors",
        quality=f"results/quality/{RUN}/sp{{sparsity}}.json",
        teacher=f"results/quality/{TEACHER}/teacher.json",
        timing=timing_of,
        native=NATIVE,
        shipped=list(shipped_files().values()),
    output:
        EXPORTED_STUDENT,
    log:
        f"results/logs/export_scorer/students/{RUN}/sp{{sparsity}}.log",
    benchmark:
        f"results/benchmarks/export_scorer/students/{RUN}/sp{{sparsity}}.tsv"
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000, 0.5),
        runtime=growing(10),
    params:
        dataset=about_dataset,
        settings=lambda wildcards: config["recipes"][wildcards.recipe],
        library=library("export_scorer"),
    message:
        "Exporting {wildcards.student} of {wildcards.teacher} at {wildcards.sparsity} per mille "
        "zeros on {wildcards.dataset}"
    script:
        "../scripts/export_scorer.py"


use rule export_scorer as export_forest with:
    input:
        unpack(splits_of),
        model=f"results/teachers/{TEACHER}/model.txt",
        midpoints=f"results/teachers/{TEACHER}/midpoints.safetensors",
        quality=f"results/quality/{TEACHER}/teacher.json",
        teacher=[],
        timing=timing_of,
        native=NATIVE,
        shipped=list(shipped_files().values()),
    output:
        EXPORTED_TEACHER,
    log:
        f"results/logs/export_scorer/teachers/{TEACHER}.log",
    benchmark:
        f"results/benchmarks/export_scorer/teachers/{TEACHER}.tsv"
    params:
        dataset=about_dataset,
        settings=lambda wildcards: config["teachers"][wildcards.teacher],
        library=library("export_scorer"),
    message:
        "Exporting forest {wildcards.teacher} on {wildcards.dataset}"
