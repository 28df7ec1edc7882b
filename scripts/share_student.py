"""Take a dense student over from another recipe that distils alike."""

from distilrank.job import job

import shutil
from dataclasses import replace
from pathlib import Path

from distilrank.files import replacing
from distilrank.student import Student


def share_student(
    dense: str | Path,
    dense_history: str | Path,
    recipe: str,
    model: str | Path,
    history: str | Path,
) -> None:
    """Write what distilling anew with ``recipe`` would give: the same network under its name.

    Args:
        dense, dense_history: the student and its CSV file of the recipe that trained it.
        recipe: whose student ``model`` becomes.
    """
    student = Student.load(dense)
    replace(student, meta=student.meta | {"recipe": recipe}).save(model)
    with replacing(history) as temporary:
        shutil.copyfile(dense_history, temporary)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        share_student(
            snakemake.input.model,
            snakemake.input.history,
            snakemake.wildcards.recipe,
            snakemake.output.model,
            snakemake.output.history,
        )
