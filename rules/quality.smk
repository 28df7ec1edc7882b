rule evaluate_teacher:
    input:
        model=f"results/teachers/{TEACHER}/model.txt",
        vali=split("vali"),
        test=split("test"),
        scores=[f"results/teachers/{TEACHER}/scores-{name}.npy" for name in ("vali", "test")],
    output:
        f"results/quality/{TEACHER}/teacher.json",
    log:
        f"results/logs/evaluate_ranking/{TEACHER}/teacher.log",
    benchmark:
        f"results/benchmarks/evaluate_ranking/{TEACHER}/teacher.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(500, 1),
        runtime=growing(10, 0.01),
    params:
        no_relevant=config["quality"]["no_relevant"],
        permutations=config["quality"]["permutations"],
        library=library("evaluate_ranking"),
    message:
        "Evaluating forest {wildcards.teacher} on {wildcards.dataset}, fold {wildcards.fold}"
    script:
        "../scripts/evaluate_ranking.py"


rule evaluate_student:
    input:
        model=f"results/students/{RUN}/sp{{sparsity}}.safetensors",
        vali=whole("vali"),
        test=whole("test"),
        teacher=labels_or_not([f"results/quality/{TEACHER}/teacher.json"], []),
        reference=labels_or_not(
            [], [f"results/teachers/{TEACHER}/scores-{name}.npy" for name in ("vali", "test")]
        ),
    output:
        f"results/quality/{RUN}/sp{{sparsity}}.json",
    log:
        f"results/logs/evaluate_ranking/{RUN}/sp{{sparsity}}.log",
    benchmark:
        f"results/benchmarks/evaluate_ranking/{RUN}/sp{{sparsity}}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(500, 1),
        runtime=growing(10, 0.01),
    params:
        no_relevant=config["quality"]["no_relevant"],
        permutations=config["quality"]["permutations"],
        library=library("evaluate_ranking"),
    message:
        "Evaluating {wildcards.student} of {wildcards.teacher} at {wildcards.sparsity} per mille "
        "zeros on {wildcards.dataset}, fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/evaluate_ranking.py"


rule analyse_sensitivity:
    input:
        dense=f"results/students/{RUN}/sp0.safetensors",
        vali=whole("vali"),
        predictor="results/predictor/native.json",
    output:
        f"results/sensitivity/{RUN}.json",
    log:
        f"results/logs/analyse_sensitivity/{RUN}.log",
    benchmark:
        f"results/benchmarks/analyse_sensitivity/{RUN}.tsv"
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000, 0.5),
        runtime=growing(20),
    params:
        batch=config["timing"]["headline_batch"],
        no_relevant=config["quality"]["no_relevant"],
        library=library("analyse_sensitivity"),
    message:
        "Pruning each layer of {wildcards.student} of {wildcards.teacher} alone on "
        "{wildcards.dataset}, fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/analyse_sensitivity.py"
