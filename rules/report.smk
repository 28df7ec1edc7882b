TABLES = [
    "models",
    "matched",
    "recipes",
    "speedup",
    "precision",
    "engines",
    "predictor",
    "accuracy",
    "times",
    "costs",
    "parity",
    "health",
    "checks",
    "data",
    "forests",
    "features",
    "unused",
    "training",
    "sensitivity",
    "allocation",
    "published",
    "accounts",
    "longest",
]
# Promised against delivered: of designs that are trained.
if config["design"]["train"]:
    TABLES += ["designed", "ranked"]
PLOTS = ["tradeoff", "speedup", "training", "sensitivity"] + ["designed"] * ("designed" in TABLES)
PRINTED = [name for name in TABLES if name not in ("predictor", "training", "sensitivity")]


rule make_tables:
    input:
        quality=with_designs("quality", QUALITY),
        parity=with_designs("parity", PARITY),
        timing=with_designs("timing", TIMING),
        validation="results/predictor/validation.json",
        meta=[
            f"results/data/{FOLD}/{name}/meta.json".format(**fold)
            for fold in FOLDS
            for name in SPLITS
        ],
        history=with_designs("history", HISTORY),
        sensitivity=SENSITIVITY,
        designs=with_designs("designs", []),
        published=f"{ROOT}/config/published.yaml",
    output:
        tables=[
            report(
                f"results/report/tables/{table}.csv",
                caption=f"../report/{table}.rst",
                category="Tables",
                labels={"table": table},
            )
            for table in TABLES
        ],
        printed=expand("results/report/tables/{table}.tex", table=PRINTED),
        summary="results/report/summary.json",
    log:
        "results/logs/make_tables.log",
    benchmark:
        "results/benchmarks/make_tables.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000, 0.002 * len(QUALITY)),
        runtime=growing(15, 1e-5 * len(QUALITY)),
    params:
        headline_batch=config["timing"]["headline_batch"],
        margin=config["quality"]["margin"],
        permutations=config["quality"]["permutations"],
        min_share=config["checks"].get("ndcg_min_share"),
        overlap_margin=config["quality"]["overlap_margin"],
        overlap_min=config["checks"].get("overlap_min"),
        titles={name: config["datasets"][name]["title"] for name in config["run"]["datasets"]},
        recipes={name: config["recipes"][name] for name in config["run"]["recipes"]},
        earlier_jobs=EARLIER_JOBS,
        library=library("make_tables"),
    message:
        "Gathering what was measured into tables"
    script:
        "../scripts/make_tables.py"


rule plot_tradeoff:
    input:
        models="results/report/tables/models.csv",
    output:
        svg=report(
            "results/report/figures/tradeoff-{dataset}.svg",
            caption="../report/tradeoff.rst",
            category="Figures",
            labels={"figure": "trade-off", "data set": "{dataset}"},
        ),
        png="results/report/figures/tradeoff-{dataset}.png",
    log:
        "results/logs/plot_tradeoff/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_tradeoff/{dataset}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        dataset="{dataset}",
        headline_batch=config["timing"]["headline_batch"],
        library=library("plot_tradeoff"),
    message:
        "Plotting quality against time on {wildcards.dataset}"
    script:
        "../scripts/plot_tradeoff.py"


rule plot_speedup:
    input:
        speedup="results/report/tables/speedup.csv",
    output:
        svg=report(
            "results/report/figures/speedup-{dataset}.svg",
            caption="../report/speedup.rst",
            category="Figures",
            labels={"figure": "sparse against dense", "data set": "{dataset}"},
        ),
        png="results/report/figures/speedup-{dataset}.png",
    log:
        "results/logs/plot_speedup/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_speedup/{dataset}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        dataset="{dataset}",
        library=library("plot_speedup"),
    message:
        "Plotting what sparse scoring gains on {wildcards.dataset}"
    script:
        "../scripts/plot_speedup.py"


rule plot_training:
    input:
        training="results/report/tables/training.csv",
    output:
        svg=report(
            "results/report/figures/training-{dataset}.svg",
            caption="../report/training.rst",
            category="Figures",
            labels={"figure": "training", "data set": "{dataset}"},
        ),
        png="results/report/figures/training-{dataset}.png",
    log:
        "results/logs/plot_training/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_training/{dataset}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        dataset="{dataset}",
        library=library("plot_training"),
    message:
        "Plotting how the students of {wildcards.dataset} learned"
    script:
        "../scripts/plot_training.py"


rule plot_sensitivity:
    input:
        sensitivity="results/report/tables/sensitivity.csv",
    output:
        svg=report(
            "results/report/figures/sensitivity-{dataset}.svg",
            caption="../report/sensitivity.rst",
            category="Figures",
            labels={"figure": "sensitivity to pruning", "data set": "{dataset}"},
        ),
        png="results/report/figures/sensitivity-{dataset}.png",
    log:
        "results/logs/plot_sensitivity/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_sensitivity/{dataset}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        dataset="{dataset}",
        library=library("plot_sensitivity"),
    message:
        "Plotting what each layer of the students of {wildcards.dataset} can lose"
    script:
        "../scripts/plot_sensitivity.py"


rule plot_designed:
    input:
        designed="results/report/tables/designed.csv",
    output:
        svg=report(
            "results/report/figures/designed-{dataset}.svg",
            caption="../report/designed.rst",
            category="Figures",
            labels={"figure": "promised and delivered time", "data set": "{dataset}"},
        ),
        png="results/report/figures/designed-{dataset}.png",
    log:
        "results/logs/plot_designed/{dataset}.log",
    benchmark:
        "results/benchmarks/plot_designed/{dataset}.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        dataset="{dataset}",
        library=library("plot_designed"),
    message:
        "Plotting promised and delivered time of the designs for {wildcards.dataset}"
    script:
        "../scripts/plot_designed.py"


rule plot_predictor:
    input:
        predictor="results/report/tables/predictor.csv",
    output:
        svg=report(
            "results/report/figures/predictor.svg",
            caption="../report/predictor.rst",
            category="Figures",
            labels={"figure": "predicted against measured time"},
        ),
        png="results/report/figures/predictor.png",
    log:
        "results/logs/plot_predictor.log",
    benchmark:
        "results/benchmarks/plot_predictor.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("plot_predictor"),
    message:
        "Plotting predicted against measured time"
    script:
        "../scripts/plot_predictor.py"


rule render_report:
    input:
        template=f"{ROOT}/report/index.html.j2",
        tables=expand("results/report/tables/{table}.csv", table=TABLES),
        figures=expand(
            "results/report/figures/{figure}-{dataset}.svg",
            figure=PLOTS,
            dataset=config["run"]["datasets"],
        )
        + ["results/report/figures/predictor.svg"],
        summary="results/report/summary.json",
    output:
        report(
            REPORT,
            caption="../report/page.rst",
            category="Report",
            labels={"page": "the report in one file"},
        ),
    log:
        "results/logs/render_report.log",
    benchmark:
        "results/benchmarks/render_report.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        library=library("render_report"),
    message:
        "Rendering the report"
    script:
        "../scripts/render_report.py"


rule check_results:
    input:
        checks="results/report/tables/checks.csv",
        # Last of all: whoever fails a check can read the report that shows why.
        page=REPORT,
    output:
        CHECKED,
    log:
        "results/logs/check_results.log",
    benchmark:
        "results/benchmarks/check_results.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        library=library("check_results"),
    message:
        "Checking sparsity and quality of every student"
    script:
        "../scripts/check_results.py"
