rule time_kernels:
    output:
        samples="results/kernels/{kind}.csv",
        context="results/kernels/{kind}.json",
    log:
        "results/logs/time_kernels/{kind}.log",
    benchmark:
        "results/benchmarks/time_kernels/{kind}.tsv"
    wildcard_constraints:
        kind="dense|sparse",
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
        machine=100,
    params:
        kernels=config["kernels"],
        batches=config["timing"]["batches"],
        library=library("time_kernels"),
    message:
        "Timing {wildcards.kind} layers over shapes and batches, alone on the machine"
    script:
        "../scripts/time_kernels.py"


rule fit_predictor:
    input:
        kernels="results/kernels/{kind}.csv",
        context="results/kernels/{kind}.json",
    output:
        "results/predictor/{kind}.json",
    log:
        "results/logs/fit_predictor/{kind}.log",
    benchmark:
        "results/benchmarks/fit_predictor/{kind}.tsv"
    wildcard_constraints:
        kind="dense|sparse",
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        library=library("fit_predictor"),
    message:
        "Fitting the time predictor of {wildcards.kind} layers"
    script:
        "../scripts/fit_predictor.py"


rule calibrate:
    input:
        native=NATIVE,
    output:
        samples="results/calibration/native.csv",
        context="results/calibration/native.json",
    log:
        "results/logs/calibrate.log",
    benchmark:
        "results/benchmarks/calibrate.tsv"
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(60),
        machine=100,
    params:
        calibration=config["calibration"],
        batches=config["timing"]["batches"],
        library=library("calibrate"),
    message:
        "Timing random networks in the native scorer, alone on the machine"
    script:
        "../scripts/calibrate.py"


rule fit_native:
    input:
        samples="results/calibration/native.csv",
        context="results/calibration/native.json",
    output:
        "results/predictor/native.json",
    log:
        "results/logs/fit_native.log",
    benchmark:
        "results/benchmarks/fit_native.tsv"
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        library=library("fit_native"),
    message:
        "Fitting the native scorer's time model"
    script:
        "../scripts/fit_native.py"


rule validate_predictor:
    input:
        dense="results/predictor/dense.json",
        sparse="results/predictor/sparse.json",
        kernels=["results/kernels/dense.csv", "results/kernels/sparse.csv"],
        native="results/predictor/native.json",
        samples="results/calibration/native.csv",
        context="results/calibration/native.json",
        timing=TIMING,
        students=students_where(is_timed),
        scorer=NATIVE,
    output:
        "results/predictor/validation.json",
    log:
        "results/logs/validate_predictor.log",
    benchmark:
        "results/benchmarks/validate_predictor.tsv"
    conda:
        "../envs/engines.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        library=library("validate_predictor"),
    message:
        "Comparing predicted with measured time on unseen layers and on the students"
    script:
        "../scripts/validate_predictor.py"
