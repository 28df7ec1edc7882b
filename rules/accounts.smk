"""The selection's jobs that the report's accounts count, beyond those whose files it reads."""


def jobs_of_data(dataset):
    """The jobs that a data set's archive and, where it is generated, its sample come from."""
    entry = config["datasets"][dataset]
    if "folder" in entry:
        return []
    if "generate" not in entry:
        return [f"fetch_dataset/{dataset}/{archive_name(entry)}"]
    source = entry["generate"]["from"]
    first = folds_in(config["datasets"][source])[0]
    return [
        *jobs_of_data(source),
        f"parse_letor/{source}/fold{first}",
        f"generate_dataset/{dataset}",
    ]


def jobs_of_forest(forest):
    """The jobs that make a forest and its scores; a prefix's source is made whole first."""
    entry = config["teachers"][forest["teacher"]]
    made = {
        "trained": ["train"],
        "tuned": ["tune", "train"],
        "prefix": ["cut"],
        "imported": ["import"],
    }
    jobs = [f"{step}_teacher/{TEACHER}" for step in made[kind_of_teacher(entry)]]
    whole = forest | {"teacher": entry.get("prefix_of")}
    return [
        *(jobs_of_forest(whole)[:-1] if "prefix_of" in entry else []),
        *(job.format(**forest) for job in [*jobs, f"score_documents/{TEACHER}"]),
    ]


def jobs_of_dense(model):
    """The training that a recipe's dense network is taken from, where it is another recipe's."""
    first = DISTILLED_AS[model["recipe"]]
    if first == model["recipe"]:
        return []
    return [f"distil_student/{RUN}".format(**model | {"recipe": first})]


# Named as their benchmark files, without the suffix.
EARLIER_JOBS = list(
    dict.fromkeys(
        [
            *("build_parser", "build_teacher", "build_native", "calibrate", "fit_native"),
            *(
                f"{rule}/{kind}"
                for rule in ("time_kernels", "fit_predictor")
                for kind in ("dense", "sparse")
            ),
            "validate_predictor",
            *(job for dataset in config["run"]["datasets"] for job in jobs_of_data(dataset)),
            *(job for forest in FORESTS for job in jobs_of_forest(forest)),
            *(job for model in STUDENTS for job in jobs_of_dense(model)),
            *(
                f"design_students/{MACHINE}/{dataset}"
                for dataset in config["run"]["datasets"]
                if config["design"]["train"]
            ),
        ]
    )
)
