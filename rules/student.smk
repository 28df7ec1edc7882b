rule distil_student:
    input:
        train=whole("train"),
        vali=whole("vali"),
        model=f"results/teachers/{TEACHER}/model.txt",
        targets=f"results/teachers/{TEACHER}/scores-train.npy",
        midpoints=f"results/teachers/{TEACHER}/midpoints.safetensors",
        native=TEACHER_LIBRARY,
        design=design_first,
    output:
        model=f"results/students/{RUN}/sp0.safetensors",
        history=report(
            f"results/students/{RUN}/sp0.csv",
            caption="../report/training.rst",
            category="Training",
            labels={
                "data set": "{dataset}",
                "teacher": "{teacher}",
                "student": "{student}",
                "sparsity": "0",
            },
        ),
    log:
        f"results/logs/distil_student/{RUN}.log",
    benchmark:
        f"results/benchmarks/distil_student/{RUN}.tsv"
    wildcard_constraints:
        recipe=one_of(name for name, first in DISTILLED_AS.items() if name == first),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500, 2),
        runtime=growing(10, 0.002, epochs_of("distil")),
    params:
        widths=widths_of,
        schedule=lambda wildcards: config["recipes"][wildcards.recipe]["distil"],
        no_relevant=config["quality"]["no_relevant"],
        identity=identity_of,
        library=library("distil_student"),
    message:
        "Distilling {wildcards.teacher} into {wildcards.student} on {wildcards.dataset}, "
        "fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/distil_student.py"


rule share_student:
    input:
        model=lambda wildcards: dense_of_first(wildcards, "safetensors"),
        history=lambda wildcards: dense_of_first(wildcards, "csv"),
    output:
        model=f"results/students/{RUN}/sp0.safetensors",
        history=report(
            f"results/students/{RUN}/sp0.csv",
            caption="../report/training.rst",
            category="Training",
            labels={
                "data set": "{dataset}",
                "teacher": "{teacher}",
                "student": "{student}",
                "sparsity": "0",
            },
        ),
    log:
        f"results/logs/share_student/{RUN}.log",
    benchmark:
        f"results/benchmarks/share_student/{RUN}.tsv"
    wildcard_constraints:
        recipe=one_of(name for name, first in DISTILLED_AS.items() if name != first),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        library=library("share_student"),
    message:
        "Taking {wildcards.student} of {wildcards.teacher} on {wildcards.dataset}, fold "
        "{wildcards.fold}, seed {wildcards.seed}, from a recipe that distils as "
        "{wildcards.recipe} does"
    script:
        "../scripts/share_student.py"


rule prune_student:
    input:
        dense=f"results/students/{RUN}/sp0.safetensors",
        train=whole("train"),
        vali=whole("vali"),
        model=f"results/teachers/{TEACHER}/model.txt",
        targets=f"results/teachers/{TEACHER}/scores-train.npy",
        midpoints=f"results/teachers/{TEACHER}/midpoints.safetensors",
        native=TEACHER_LIBRARY,
    output:
        model=f"results/students/{RUN}/sp{{sparsity}}.safetensors",
        history=report(
            f"results/students/{RUN}/sp{{sparsity}}.csv",
            caption="../report/training.rst",
            category="Training",
            labels={
                "data set": "{dataset}",
                "teacher": "{teacher}",
                "student": "{student}",
                "sparsity": "{sparsity}",
            },
        ),
    log:
        f"results/logs/prune_student/{RUN}/sp{{sparsity}}.log",
    benchmark:
        f"results/benchmarks/prune_student/{RUN}/sp{{sparsity}}.tsv"
    wildcard_constraints:
        sparsity=r"[1-9]\d*",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500, 2),
        runtime=growing(10, 0.002, epochs_of("prune")),
    params:
        recipe=lambda wildcards: config["recipes"][wildcards.recipe]["prune"],
        no_relevant=config["quality"]["no_relevant"],
        library=library("prune_student"),
    message:
        "Pruning {wildcards.student} of {wildcards.teacher} on {wildcards.dataset}, "
        "fold {wildcards.fold}, seed {wildcards.seed}, to {wildcards.sparsity} per mille zeros"
    script:
        "../scripts/prune_student.py"
