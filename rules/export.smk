# One declared output stands for the folder: the script puts all of it in place at once, and a
# `directory()` would have Snakemake add a file of its own to what is taken away.
rule export_scorer:
    input:
        unpack(splits_of),
        model=f"results/students/{RUN}/sp{{sparsity}}.safetensors",
        midpoints=f"results/teachers/{TEACHER}/midpoints.safetensors",
        quality=f"results/quality/{RUN}/sp{{sparsity}}.json",
        teacher=f"results/quality/{TEACHER}/teacher.json",
        record=[],
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
        record=f"results/teachers/{TEACHER}/train.json",
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
