"""Take over a person's own forest as LightGBM text, its columns in the data's order."""

from distilrank.job import job

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distilrank.files import read_json, write_json
from distilrank.imported import import_forest
from distilrank.lightgbm_text import write_lightgbm_text


def import_teacher(
    forest: str | Path,
    metas: Sequence[str | Path],
    settings: dict[str, Any],
    identity: dict[str, Any],
    model: str | Path,
    record: str | Path,
) -> None:
    """Read ``forest`` and write ``model`` (LightGBM text) and ``record`` (JSON), as of training.

    Args:
        metas: ``meta.json`` of every split.
        settings: an entry of the config's `teachers` with `path`.
        identity: data set, fold and teacher, as the model's files carry them.
    """
    read, told = import_forest(
        forest, [read_json(meta) for meta in metas], settings.get("first_column", 0)
    )
    write_lightgbm_text(read, model)
    shape = {"trees": len(read.trees), "max_leaves": read.max_leaves}
    write_json(
        record,
        {"model": {"kind": "forest"} | identity | shape, "imported": told, "vali": []},
    )


if __name__ == "__main__":
    with job(snakemake.log[0]):
        import_teacher(
            snakemake.input.forest,
            snakemake.input.meta,
            snakemake.params.teacher,
            snakemake.params.identity,
            snakemake.output.model,
            snakemake.output.train,
        )
