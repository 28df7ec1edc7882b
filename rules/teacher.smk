rule tune_teacher:
    input:
        train=split("train"),
        vali=split("vali"),
    output:
        tuned=f"results/teachers/{TEACHER}/tuned.json",
    log:
        f"results/logs/tune_teacher/{TEACHER}.log",
    benchmark:
        f"results/benchmarks/tune_teacher/{TEACHER}.tsv"
    wildcard_constraints:
        teacher=forests_that_are("tuned"),
    conda:
        "../envs/lightgbm.yaml"
    threads: 2
    resources:
        mem_mb=growing(500, 2.5),
        runtime=growing(10, 4e-5, trees_of),
    params:
        teacher=lambda wildcards: config["teachers"][wildcards.teacher],
        library=library("tune_teacher"),
    message:
        "Tuning forest {wildcards.teacher} on {wildcards.dataset}, fold {wildcards.fold}"
    script:
        "../scripts/tune_teacher.py"


rule train_teacher:
    input:
        train=split("train"),
        vali=split("vali"),
        tuned=tuned_settings_of,
    output:
        model=f"results/teachers/{TEACHER}/model.txt",
        train=f"results/teachers/{TEACHER}/train.json",
    log:
        f"results/logs/train_teacher/{TEACHER}.log",
    benchmark:
        f"results/benchmarks/train_teacher/{TEACHER}.tsv"
    wildcard_constraints:
        teacher=forests_that_are("trained", "tuned"),
    conda:
        "../envs/lightgbm.yaml"
    threads: 2
    resources:
        mem_mb=growing(500, 2.5),
        runtime=growing(10, 4e-5, trees_of),
    params:
        teacher=lambda wildcards: config["teachers"][wildcards.teacher],
        identity=identity_of,
        library=library("train_teacher"),
    message:
        "Training forest {wildcards.teacher} on {wildcards.dataset}, fold {wildcards.fold}"
    script:
        "../scripts/train_teacher.py"


rule cut_teacher:
    input:
        model=whole_forest("model.txt"),
        train=whole_forest("train.json"),
    output:
        model=f"results/teachers/{TEACHER}/model.txt",
        train=f"results/teachers/{TEACHER}/train.json",
    log:
        f"results/logs/cut_teacher/{TEACHER}.log",
    benchmark:
        f"results/benchmarks/cut_teacher/{TEACHER}.tsv"
    wildcard_constraints:
        teacher=forests_that_are("prefix"),
    conda:
        "../envs/lightgbm.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        teacher=lambda wildcards: config["teachers"][wildcards.teacher],
        identity=identity_of,
        library=library("cut_teacher"),
    message:
        "Cutting forest {wildcards.teacher} on {wildcards.dataset}, fold {wildcards.fold}"
    script:
        "../scripts/cut_teacher.py"


rule import_teacher:
    input:
        forest=own_forest_of,
        meta=[f"results/data/{FOLD}/{name}/meta.json" for name in SPLITS],
    output:
        model=f"results/teachers/{TEACHER}/model.txt",
        train=f"results/teachers/{TEACHER}/train.json",
    log:
        f"results/logs/import_teacher/{TEACHER}.log",
    benchmark:
        f"results/benchmarks/import_teacher/{TEACHER}.tsv"
    wildcard_constraints:
        teacher=forests_that_are("imported"),
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        teacher=lambda wildcards: config["teachers"][wildcards.teacher],
        identity=identity_of,
        library=library("import_teacher"),
    message:
        "Importing forest {wildcards.teacher} for {wildcards.dataset}, fold {wildcards.fold}"
    script:
        "../scripts/import_teacher.py"


rule score_documents:
    input:
        model=f"results/teachers/{TEACHER}/model.txt",
        train=split("train"),
        vali=split("vali"),
        test=split("test"),
    output:
        train=f"results/teachers/{TEACHER}/scores-train.npy",
        vali=f"results/teachers/{TEACHER}/scores-vali.npy",
        test=f"results/teachers/{TEACHER}/scores-test.npy",
        midpoints=f"results/teachers/{TEACHER}/midpoints.safetensors",
    log:
        f"results/logs/score_documents/{TEACHER}.log",
    benchmark:
        f"results/benchmarks/score_documents/{TEACHER}.tsv"
    conda:
        "../envs/lightgbm.yaml"
    threads: 2
    resources:
        mem_mb=growing(500, 2),
        runtime=growing(10, 0.02),
    params:
        library=library("score_documents"),
    message:
        "Scoring every split of {wildcards.dataset}, fold {wildcards.fold}, with {wildcards.teacher}"
    script:
        "../scripts/score_documents.py"
