rule build_native:
    input:
        sources=NATIVE_SOURCES,
        library=library("build_native"),
    output:
        NATIVE,
    log:
        "results/logs/build_native.log",
    benchmark:
        "results/benchmarks/build_native.tsv"
    conda:
        "../envs/native.yaml"
    threads: 1
    message:
        "Building the native library"
    script:
        "../scripts/build_native.py"
