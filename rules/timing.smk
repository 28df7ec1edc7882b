rule check_parity_teacher:
    input:
        model=f"results/teachers/{TEACHER}/model.txt",
        data=split("test"),
        native=NATIVE,
    output:
        f"results/parity/{TEACHER}/teacher.json",
    log:
        f"results/logs/check_parity/{TEACHER}/teacher.log",
    benchmark:
        f"results/benchmarks/check_parity/{TEACHER}/teacher.tsv"
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500, 1),
        runtime=growing(15, 0.02),
    params:
        engines=config["run"]["engines"],
        batches=config["timing"]["batches"],
        no_relevant=config["quality"]["no_relevant"],
        permutations=config["quality"]["permutations"],
        library=library("check_parity"),
    message:
        "Checking every engine's scores of forest {wildcards.teacher} on {wildcards.dataset}"
    script:
        "../scripts/check_parity.py"


use rule check_parity_teacher as check_parity_student with:
    input:
        model=f"results/students/{RUN}/sp{{sparsity}}.safetensors",
        data=whole("test"),
        native=NATIVE,
    output:
        f"results/parity/{RUN}/sp{{sparsity}}.json",
    log:
        f"results/logs/check_parity/{RUN}/sp{{sparsity}}.log",
    benchmark:
        f"results/benchmarks/check_parity/{RUN}/sp{{sparsity}}.tsv"
    message:
        "Checking every engine's scores of {wildcards.student} of {wildcards.teacher} at "
        "{wildcards.sparsity} per mille zeros on {wildcards.dataset}"


rule time_teacher:
    input:
        model=f"results/teachers/{TEACHER}/model.txt",
        reference=reference_model,
        data=split("test"),
        parity=f"results/parity/{TEACHER}/teacher.json",
        native=NATIVE,
    output:
        f"results/timing/{TEACHER}/teacher.json",
    log:
        f"results/logs/time_model/{TEACHER}/teacher.log",
    benchmark:
        f"results/benchmarks/time_model/{TEACHER}/teacher.tsv"
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000, 0.5),
        runtime=growing(30),
        machine=100,
    params:
        engines=config["run"]["engines"],
        reference_engine=config["timing"]["reference_engine"],
        batches=config["timing"]["batches"],
        rounds=config["timing"]["rounds"],
        sample_ms=config["timing"]["sample_ms"],
        library=library("time_model"),
    message:
        "Timing forest {wildcards.teacher} on {wildcards.dataset}, alone on the machine"
    script:
        "../scripts/time_model.py"


use rule time_teacher as time_student with:
    input:
        model=f"results/students/{RUN}/sp{{sparsity}}.safetensors",
        reference=reference_model,
        data=whole("test"),
        parity=f"results/parity/{RUN}/sp{{sparsity}}.json",
        native=NATIVE,
    output:
        f"results/timing/{RUN}/sp{{sparsity}}.json",
    log:
        f"results/logs/time_model/{RUN}/sp{{sparsity}}.log",
    benchmark:
        f"results/benchmarks/time_model/{RUN}/sp{{sparsity}}.tsv"
    message:
        "Timing {wildcards.student} of {wildcards.teacher} at {wildcards.sparsity} per mille zeros "
        "on {wildcards.dataset}, alone on the machine"
