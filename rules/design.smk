def students_to_learn_from(wildcards):
    """The quality files of hand-made students that tell what pruned weights count."""
    dataset, run = wildcards.dataset, config["run"]
    return [
        f"results/quality/{RUN}/sp{{sparsity}}.json".format(
            dataset=dataset,
            fold=folds_of(dataset)[0],
            teacher=run["teachers"][0],
            student=student,
            recipe=design_recipe(config, "fp32", 0),
            seed=run["seeds"][0],
            sparsity=sparsity,
        )
        for student in config["design"]["learn_from"]
        for sparsity in sparsities()
    ]


def meta_with_features(wildcards):
    """A table's number of columns is known once it has been parsed; else the config tells it."""
    if "features" in dataset_of(wildcards):
        return []
    fold = folds_of(wildcards.dataset)[0]
    return [f"results/data/{FOLD}/train/meta.json".format(dataset=wildcards.dataset, fold=fold)]


checkpoint design_students:
    input:
        times="results/predictor/native.json",
        quality=students_to_learn_from,
        meta=meta_with_features,
    output:
        students=f"{DESIGN}/students.yaml",
        designs=f"{DESIGN}/designs.json",
        ranked=[f"{DESIGN}/ranked-{budget}.csv" for budget in BUDGETS],
    log:
        "results/logs/design_students/{machine}/{dataset}.log",
    benchmark:
        "results/benchmarks/design_students/{machine}/{dataset}.tsv"
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        features=lambda wildcards: dataset_of(wildcards).get("features"),
        design={
            key: value
            for key, value in config["design"].items()
            if key not in ("train", "learn_from", "machine")
        },
        library=library("design_students"),
    message:
        "Designing architectures for {wildcards.dataset} within each budget"
    script:
        "../scripts/design_students.py"
