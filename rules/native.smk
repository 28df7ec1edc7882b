rule build_parser:
    input:
        sources=native_files("letor"),
    output:
        PARSER,
    log:
        "results/logs/build_parser.log",
    benchmark:
        "results/benchmarks/build_parser.tsv"
    conda:
        "../envs/native.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(15),
    params:
        options=["-DSCORERS=OFF"],
        library=library("build_native"),
    message:
        "Building the native parser"
    script:
        "../scripts/build_native.py"


rule build_teacher:
    input:
        sources=native_files(
            "letor",
            "cpu",
            "scorer",
            "forest",
            "model_file.hpp",
            "absent",
            "feed",
            "gradient",
            "avx512.hpp",
            "tile_unit.hpp",
            "aligned.hpp",
            "words.hpp",
        ),
    output:
        TEACHER_LIBRARY,
    log:
        "results/logs/build_teacher.log",
    benchmark:
        "results/benchmarks/build_teacher.tsv"
    conda:
        "../envs/native.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(15),
    params:
        options=["-DSCORERS=FORESTS"],
        library=library("build_native"),
    message:
        "Building the native code that students are trained with"
    script:
        "../scripts/build_native.py"


rule build_native:
    input:
        sources=NATIVE_SOURCES,
    output:
        NATIVE,
    log:
        "results/logs/build_native.log",
    benchmark:
        "results/benchmarks/build_native.tsv"
    conda:
        "../envs/native.yaml"
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(15),
    params:
        options=[],
        library=library("build_native"),
    message:
        "Building the native library"
    script:
        "../scripts/build_native.py"
