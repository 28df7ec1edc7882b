"""Write the folder of a model that stands alone."""

from distilrank.job import job

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilrank.export import export_model
from distilrank.files import read_json
from distilrank.model_card import Facts, told_settings

StrPath = str | os.PathLike


def export_scorer(
    model: StrPath,
    midpoints: StrPath,
    library: StrPath,
    quality: StrPath,
    splits: Mapping[str, StrPath],
    dataset: Mapping[str, Any],
    settings: Mapping[str, Any],
    folder: StrPath,
    teacher: StrPath | None = None,
    timing: StrPath | None = None,
    record: StrPath | None = None,
) -> None:
    """Gather what the run knows of a model, and export it with that.

    Args:
        model, midpoints, library, folder: as `export.export_model` takes them.
        quality, timing: the model's files; no timing where it was not timed.
        splits: each split's ``meta.json``.
        dataset: ``title``, ``page`` and ``terms`` of the config's entry.
        settings: the recipe's entry, or the forest's.
        teacher: the quality file of a student's forest.
        record: a forest's ``train.json``.
    """
    facts = Facts(
        dataset=dataset,
        settings=told_settings(settings, read_json(record)) if record else settings,
        quality=read_json(quality),
        teacher=read_json(teacher) if teacher else None,
        timing=read_json(timing) if timing else None,
        splits={name: read_json(path) for name, path in splits.items()},
    )
    export_model(model, midpoints, library, facts, folder)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        export_scorer(
            snakemake.input.model,
            snakemake.input.midpoints,
            snakemake.input.native,
            snakemake.input.quality,
            {name: snakemake.input[name] for name in ("train", "vali", "test")},
            snakemake.params.dataset,
            snakemake.params.settings,
            Path(snakemake.output[0]).parent,
            snakemake.input.teacher or None,
            snakemake.input.timing or None,
            snakemake.input.record or None,
        )
