"""Write the report's tables (CSV and LaTeX) and the sentences made from them."""

from distilrank.job import job

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import yaml

from distilrank import (
    accounts,
    designed,
    display,
    evidence,
    latex,
    pruning_tables,
    recipe_table,
    tables,
    time_tables,
)
from distilrank.cells import Column, text, used
from distilrank.files import write_json, write_text
from distilrank.judge import NDCG
from distilrank.matched import Rules, match_forests
from distilrank.recipes import Recipe
from distilrank.results import Paths, measure_in, read_quality, read_timing
from distilrank.summary import summarise

StrPath = str | os.PathLike


def make_tables(
    quality: Paths,
    parity: Paths,
    timing: Paths,
    validation: StrPath,
    meta: Paths,
    history: Paths,
    sensitivity: Paths,
    published: StrPath,
    folder: StrPath,
    summary: StrPath,
    *,
    headline_batch: int,
    margin: float,
    permutations: int = 10_000,
    min_share: float | None = None,
    overlap_margin: float = 0.1,
    overlap_min: float | None = None,
    drift: float = 0.03,
    seed: int = 0,
    titles: Mapping[str, str] | None = None,
    designs: Paths = (),
    recipes: Mapping[str, Recipe] | None = None,
    benchmarks: StrPath,
    earlier_jobs: Iterable[str] = (),
) -> None:
    """Read what the jobs measured and write ``folder/*.csv``, ``folder/*.tex`` and ``summary``.

    Args:
        quality, parity, timing: the models' JSON files.
        validation: the predictor's accuracy, with ``samples``.
        meta: ``meta.json`` of every split.
        history: the students' CSV files, one line an epoch.
        sensitivity: the dense students' JSON files.
        published: ``config/published.yaml``.
        headline_batch: documents a call at which models are compared.
        margin: loss of mean nDCG@10 that still counts as equal quality.
        min_share: least share of the forest's nDCG@10; None = no floor.
        overlap_margin, overlap_min: the same of the overlap of the top 10 with the forest, for data
            without labels.
        drift: share by which a job's reference time may differ from the other jobs'.
        seed: of the randomisation tests.
        titles: a data set's title by its key.
        designs: ``designs.json`` of every data set, if designs were trained.
        recipes: the selected recipes of the config; the others are compared with the first.
        benchmarks: the folder of the jobs' benchmark files, in that of all other inputs.
        earlier_jobs: jobs that made none of the inputs, see `accounts.cost_tables`.

    Raises:
        ValueError: if files contradict each other; the message names those to run again.
    """
    folder = Path(folder)
    qualities, timings = read_quality(quality), read_timing(timing)
    rules = Rules(headline_batch, margin, permutations, seed, overlap_margin)
    models = tables.models_table(qualities, timings, rules)
    matched = tables.matched_table(match_forests(qualities, timings, rules), qualities, rules)
    predictor, training = time_tables.predictor_table(validation), evidence.training_table(history)
    figures = yaml.safe_load(Path(published).read_text(encoding="utf-8"))["figures"]
    made = {
        "models": models,
        "matched": matched,
        "recipes": recipe_table.recipes_table(qualities, training, rules, recipes or {}),
        "speedup": tables.speedup_table(timings, headline_batch),
        "precision": tables.precision_table(parity, timings, headline_batch),
        "engines": tables.engines_table(timings),
        "predictor": predictor,
        "accuracy": time_tables.accuracy_table(predictor),
        "times": time_tables.times_table(validation),
        "costs": time_tables.costs_table(validation),
        "parity": evidence.parity_table(parity),
        "health": evidence.health_table(timings, headline_batch, drift),
        "checks": evidence.checks_table(models, qualities, min_share, overlap_min),
        "data": evidence.data_table(meta),
        "forests": evidence.forests_table(qualities),
        "features": evidence.features_table(qualities, meta),
        "unused": pruning_tables.unused_table(qualities, meta),
        "training": training,
        "sensitivity": pruning_tables.sensitivity_table(sensitivity),
        "allocation": pruning_tables.allocation_table(sensitivity),
        "published": evidence.published_table(figures, models, matched),
        **accounts.cost_tables(
            benchmarks, (meta, quality, parity, timing, sensitivity, history), earlier_jobs
        ),
    }
    planned = designed.read_designs(designs, timings)
    if planned:
        made["designed"] = designed.designed_table(planned, qualities, timings, parity)
        made["ranked"] = designed.ranked_table(planned)
    for name, table in made.items():
        logging.info("table %s: %d rows", name, len(table))
        write_text(folder / f"{name}.csv", table.to_csv(index=False))
    for name, (table, columns) in _printed(made).items():
        write_text(folder / f"{name}.tex", latex.tabular(table, columns))
    settings = {
        "headline_batch": headline_batch,
        "margin": margin,
        "permutations": permutations,
        "min_share": min_share,
        "drift": drift,
        "designs": designed.settings_of(planned),
    }
    if _unlabelled(models):
        settings |= {"overlap_margin": overlap_margin, "overlap_min": overlap_min}
    conventions = next(iter(qualities.values())).runs[0]["conventions"]
    write_json(summary, summarise(made, timings, conventions, settings, titles or {}))


def _printed(
    made: Mapping[str, pd.DataFrame],
) -> dict[str, tuple[pd.DataFrame, Iterable[Column]]]:
    """The tables that LaTeX gets, each with its columns; the data set leads where it varies.

    Single predictions, epochs and points are too many to print; they are in the CSV files.
    """
    wide, batches = time_tables.by_batch(made["engines"])
    printed = {
        "engines": (wide, display.engine_columns(batches)),
        "parity": (evidence.parity_by_engine(made["parity"]), display.TABLES["parity"]),
        "recipes": (recipe_table.mean_lines(made["recipes"]), display.TABLES["recipes"]),
    }
    printed |= {
        name: (made[name], columns)
        for name, columns in display.TABLES.items()
        if name in made and name not in {*printed, "predictor", "sensitivity"}
    }
    several = made["models"]["dataset"].nunique() > 1
    leading = (text("dataset", "Data set"),) if several else ()
    labelled = not _unlabelled(made["models"])
    return {
        name: (
            table,
            (*leading, *_of_interest(table, columns, labelled))
            if "dataset" in table
            else _of_interest(table, columns, labelled),
        )
        for name, (table, columns) in printed.items()
    }


def _unlabelled(models: pd.DataFrame) -> bool:
    """Whether some data set of the run has no labels."""
    return any(measure_in(part) is not NDCG for _, part in models.groupby("dataset"))


def _of_interest(
    table: pd.DataFrame, columns: Iterable[Column], labelled: bool
) -> Iterable[Column]:
    """Without labels some columns hold nothing in any row, with them others."""
    if labelled:
        return [column for column in columns if column.labelled]
    return used(table, list(columns)) or columns


if __name__ == "__main__":
    with job(snakemake.log[0]):
        make_tables(
            quality=snakemake.input.quality,
            parity=snakemake.input.parity,
            timing=snakemake.input.timing,
            validation=snakemake.input.validation,
            meta=snakemake.input.meta,
            history=snakemake.input.history,
            sensitivity=snakemake.input.sensitivity,
            published=snakemake.input.published,
            folder=Path(snakemake.output.summary).parent / "tables",
            summary=snakemake.output.summary,
            headline_batch=snakemake.params.headline_batch,
            margin=snakemake.params.margin,
            permutations=snakemake.params.permutations,
            min_share=snakemake.params.min_share,
            overlap_margin=snakemake.params.overlap_margin,
            overlap_min=snakemake.params.overlap_min,
            titles=snakemake.params.titles,
            designs=snakemake.input.get("designs", []),
            recipes=snakemake.params.recipes,
            # Not among the inputs: a job whose benchmark file is gone need not run again.
            benchmarks=Path(snakemake.output.summary).parents[1] / "benchmarks",
            earlier_jobs=snakemake.params.earlier_jobs,
        )
