# The output is a link that says: this archive has been checked. The archive itself is nobody's
# output, so that Snakemake never deletes it: neither a person's own nor 4 GB from a link that rots.
rule fetch_dataset:
    output:
        "results/archives/{dataset}/{archive}",
    log:
        "results/logs/fetch_dataset/{dataset}/{archive}.log",
    benchmark:
        "results/benchmarks/fetch_dataset/{dataset}/{archive}.tsv"
    wildcard_constraints:
        dataset=one_of(name for name in config["datasets"] if name not in OWN_ARCHIVES),
    cache: CACHED
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(600),
    params:
        # What is made with `output` is not compared with the last run: another page or source of
        # the same bytes is no reason to fetch them again.
        dataset=lambda wildcards, output: {
            key: value
            for key, value in dataset_of(wildcards).items()
            if key in ("title", "package", "archive", "page", "terms")
        },
        sha256=lambda wildcards: archive_of(dataset_of(wildcards)).get("sha256"),
        library=library("fetch_dataset"),
    message:
        "Fetching and checking {wildcards.archive} of {wildcards.dataset}"
    script:
        "../scripts/fetch_dataset.py"


# Apart from the former, since a person's own file is not moved into a cache.
use rule fetch_dataset as check_archive with:
    input:
        own=own_archive_of,
    benchmark:
        "results/benchmarks/fetch_dataset/{dataset}/{archive}.tsv"
    wildcard_constraints:
        dataset=one_of(OWN_ARCHIVES),
    cache: False
    message:
        "Checking {wildcards.archive} of {wildcards.dataset}"


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
    cache: CACHED
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000, 1),
        runtime=growing(10, 0.02),
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
        # Each with a name, which the cache tells them apart by.
        **{
            f"{name}_{Path(file).stem}": path
            for name in SPLITS
            for file, path in zip(SPLIT_FILES, split(name))
        },
    log:
        f"results/logs/parse_letor/{FOLD}.log",
    benchmark:
        f"results/benchmarks/parse_letor/{FOLD}.tsv"
    cache: CACHED
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(500, 1.5),
        runtime=growing(10, 0.02),
    params:
        dataset=lambda wildcards: entry_of_fold(dataset_of(wildcards), wildcards.fold),
        folder=lambda wildcards: dataset_of(wildcards).get("folder"),
        # A cache knows a job by its parameters and inputs: wildcards are no part of that.
        name="{dataset}",
        fold="{fold}",
        library=library("parse_letor"),
    message:
        "Parsing fold {wildcards.fold} of {wildcards.dataset} into train, vali and test"
    script:
        "../scripts/parse_letor.py"


if CACHED:
    # Snakemake refuses to cache what is benchmarked, and has no way to say "unless cached".
    for each in (rules.fetch_dataset, rules.generate_dataset, rules.parse_letor):
        each.rule._benchmark = None
