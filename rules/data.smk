# The output is a link that says: this archive has been checked. The archive itself is nobody's
# output, so that Snakemake never deletes it: neither a person's own nor 4 GB from a link that rots.
rule fetch_dataset:
    input:
        own=own_archive_of,
    output:
        "results/archives/{dataset}/{archive}",
    log:
        "results/logs/fetch_dataset/{dataset}/{archive}.log",
    benchmark:
        "results/benchmarks/fetch_dataset/{dataset}/{archive}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    params:
        # What is made with `output` is not compared with the last run: another page or source of
        # the same bytes is no reason to fetch them again.
        dataset=lambda wildcards, output: {
            key: value
            for key, value in dataset_of(wildcards).items()
            if key in ("title", "package", "archive", "page", "terms")
        },
        raw="results/raw/{dataset}/{archive}",
        sha256=lambda wildcards: archive_of(dataset_of(wildcards)).get("sha256"),
        library=library("fetch_dataset"),
    message:
        "Fetching and checking {wildcards.archive} of {wildcards.dataset}"
    script:
        "../scripts/fetch_dataset.py"


rule generate_dataset:
    input:
        train=sample_of("train"),
        vali=sample_of("vali"),
    output:
        "results/generated/{dataset}.zip",
    log:
        "results/logs/generate_dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/generate_dataset/{dataset}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    params:
        generate=lambda wildcards: dataset_of(wildcards)["generate"],
        library=library("generate_dataset"),
    message:
        "Generating {wildcards.dataset} from {params.generate[from]}"
    script:
        "../scripts/generate_dataset.py"


rule parse_letor:
    input:
        files=source_files_of,
        names=feature_names_of,
        native=PARSER,
    output:
        train=split("train"),
        vali=split("vali"),
        test=split("test"),
    log:
        f"results/logs/parse_letor/{FOLD}.log",
    benchmark:
        f"results/benchmarks/parse_letor/{FOLD}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    params:
        dataset=lambda wildcards: entry_of_fold(dataset_of(wildcards), wildcards.fold),
        source=source_of,
        library=library("parse_letor"),
    message:
        "Parsing fold {wildcards.fold} of {wildcards.dataset} into train, vali and test"
    script:
        "../scripts/parse_letor.py"
