"""What jobs ask a cluster for."""

from distilrank.demand import data_mb, demand

DATA_MB = {name: data_mb(dataset) for name, dataset in config["datasets"].items()}
LARGEST_MB = max(DATA_MB[name] for name in config["run"]["datasets"])


def growing(least, per_mb=0, steps=lambda wildcards: 1):
    """What a job asks a cluster for, memory in MB or run time in minutes; doubled at each new try.

    It grows by ``per_mb`` for each MB of the job's data set (of the report's largest where a job
    has no data set) and each of its ``steps``.
    """

    def asked(wildcards, attempt):
        size = DATA_MB.get(wildcards.get("dataset"), LARGEST_MB)
        return demand(least, per_mb * steps(wildcards), size, attempt)

    return asked


def epochs_of(part):
    """The epochs of a student's recipe, of ``distil`` or ``prune``."""
    return lambda wildcards: config["recipes"][wildcards.recipe][part]["epochs"]


def trees_of(wildcards):
    """The trees that training a forest, or tuning one, may grow in all."""
    teacher = config["teachers"][wildcards.teacher]
    return teacher["trees"] * teacher.get("tune", {}).get("trials", 1)
