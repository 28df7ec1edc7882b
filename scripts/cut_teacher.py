"""Make a forest of the first trees of another one."""

from distilrank.job import job

from pathlib import Path
from typing import Any

from distilrank.files import read_json, write_json
from distilrank.teacher import cut_forest, save_forest


def cut_teacher(
    model: str | Path,
    record: str | Path,
    settings: dict[str, Any],
    identity: dict[str, Any],
    cut: str | Path,
    cut_record: str | Path,
) -> None:
    """Cut the forest in ``model`` and ``record``; write ``cut`` and ``cut_record`` alike.

    Args:
        settings: an entry of the config's `teachers` with `prefix_of`.
        identity: data set, fold and teacher, as the new model's files carry them.
    """
    shape = save_forest(cut_forest(model, settings["trees"]), cut)
    whole = read_json(record)
    write_json(
        cut_record,
        whole
        | {
            "model": {"kind": "forest"} | identity | shape,
            "prefix_of": settings["prefix_of"],
            "vali": whole["vali"][: settings["trees"]],
        },
    )


if __name__ == "__main__":
    with job(snakemake.log[0]):
        cut_teacher(
            snakemake.input.model,
            snakemake.input.train,
            snakemake.params.teacher,
            snakemake.params.identity,
            snakemake.output.model,
            snakemake.output.train,
        )
