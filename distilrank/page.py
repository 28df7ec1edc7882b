"""The report's page: tables, figures and sentences put into the template, in one HTML file."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from distilrank import display, evidence, recipe_table, rounding, time_tables
from distilrank.cells import Column, cells, used
from distilrank.judge import NDCG
from distilrank.results import measure_in

StrPath = str | os.PathLike
# Longer tables start folded; printing unfolds them.
_FOLDED_ROWS = 60
# The others are in the CSV and LaTeX files.
_TOP_FEATURES = 25


def read_tables(paths: Iterable[StrPath]) -> dict[str, pd.DataFrame]:
    """CSV files by their name without the suffix; empty text stays empty, not NaN."""
    tables = {}
    for path in map(Path, paths):
        table = pd.read_csv(path, dtype={"fold": str, "published": str, "machine": str})
        words = table.select_dtypes(include=["object", "str"]).columns
        tables[path.stem] = table.assign(**{name: table[name].fillna("") for name in words})
    return tables


def read_figures(paths: Iterable[StrPath]) -> dict[str, Markup]:
    """SVG files by their name without the suffix, ready to stand inside HTML.

    Every ``id`` gets the file's name in front: in one page the figures' own ids would clash, and
    a figure would draw with another one's markers.
    """
    return {Path(path).stem: inline_svg(path) for path in map(Path, paths)}


def inline_svg(path: StrPath) -> Markup:
    """One SVG file without its XML head, its ids made unique, scaling with the page."""
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    start = text.find("<svg")
    if start < 0:
        raise ValueError(f"{path} is not an SVG file; delete it and run again")
    text = re.sub(r"<metadata>.*?</metadata>", "", text[start:], flags=re.DOTALL)
    prefix = re.sub(r"[^A-Za-z0-9]+", "-", path.stem)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    # The view box alone decides the shape, so that the page can decide the size.
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return Markup(f'{head} role="img">{rest}')


def render(
    template: StrPath,
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Markup],
    summary: Mapping[str, Any],
    files: Mapping[str, Mapping[str, str]],
) -> str:
    """The page as HTML; every text is escaped but the SVGs, which this project drew.

    Args:
        template: ``report/index.html.j2``.
        tables, figures: as ``read_tables`` and ``read_figures`` return them.
        summary: ``summary.json``'s content.
        files: under ``tables`` and ``figures`` the link from the page to each, without suffix.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "value": _plain,
        "percent": rounding.percent,
        "significant": rounding.significant,
    }
    text = Path(template).read_text(encoding="utf-8")
    several = len(summary["datasets"]) > 1
    sections = [
        dataset | _dataset_tables(tables, dataset["key"], summary["settings"]["headline_batch"])
        for dataset in summary["datasets"]
    ]
    return environment.from_string(text).render(
        summary=summary,
        several=several,
        sections=sections,
        labelled=any(section["labelled"] for section in sections),
        unlabelled=not all(section["labelled"] for section in sections),
        recipes=any(section["recipes"]["rows"] for section in sections),
        without_record=int(tables["accounts"]["without_record"].iloc[-1]),
        shared={
            "accuracy": _table(tables["accuracy"], "accuracy"),
            "times": _table(tables["times"], "times", folded=True),
            "costs": _table(tables["costs"], "costs", folded=True),
            "accounts": _table(tables["accounts"], "accounts"),
            "longest": _table(tables["longest"], "longest", folded=True),
        },
        figures=figures,
        files=files,
    )


def _dataset_tables(tables: Mapping[str, pd.DataFrame], dataset: str, batch: int) -> dict[str, Any]:
    """The tables of one data set, in the form the template prints."""
    own = {
        name: table[table["dataset"] == dataset]
        for name, table in tables.items()
        if "dataset" in table
    }
    wide, batches = time_tables.by_batch(own["engines"])
    checks, health = own["checks"], own["health"]
    failed, flagged = int((~checks["ok"].astype(bool)).sum()), bool(health["flagged"].any())
    return {
        "models": _table(own["models"], "models", classes=_model_classes(own)),
        "matched": _table(own["matched"], "matched"),
        **_recipes(own["recipes"]),
        "speedup": _table(own["speedup"], "speedup"),
        "precision": _table(own["precision"], "precision"),
        "engines": _table(wide, columns=display.engine_columns(batches)),
        "skipped": _table(evidence.skipped_engines(own["engines"]), "skipped"),
        "predictor": _table(own["predictor"].query("batch == @batch"), "predictor"),
        "parity": _table(evidence.parity_by_engine(own["parity"]), "parity"),
        "checks": _table(
            checks, "checks", classes=_flag(checks, "ok", wanted=True), folded=not failed
        ),
        "checks_failed": failed,
        "health": _table(health, "health", classes=_flag(health, "flagged"), folded=not flagged),
        "flagged": flagged,
        "data": _table(own["data"], "data"),
        "forests": _table(own["forests"], "forests"),
        "features": _table(own["features"].head(_TOP_FEATURES), "features"),
        "n_features": len(own["features"]),
        "unused": _table(own["unused"], "unused"),
        "sensitivity": _table(own["sensitivity"], "sensitivity", folded=True),
        "allocation": _table(own["allocation"], "allocation"),
        "published": _table(own["published"], "published"),
        **_designs(own),
        "pruned": bool((own["models"]["kind"] == "pruned").any()),
        "labelled": measure_in(own["models"]) is NDCG,
    }


def _recipes(table: pd.DataFrame) -> dict[str, Any]:
    """The table of recipes, which is empty where every network has one, and what it stands on."""
    lines = recipe_table.mean_lines(table)
    alone = lines.loc[lines["learn_from"] == "labels", "recipe"]
    return {
        "recipes": _table(lines, "recipes"),
        "settings": _table(lines.drop_duplicates("recipe"), "settings"),
        "baseline": next(iter(lines["baseline"]), ""),
        "from_labels": list(dict.fromkeys(alone)),
    }


def _designs(own: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The tables of designs; a run that trains none has neither."""
    if "designed" not in own:
        return {"designed": None, "ranked": None}
    late = ["alert" if within == "no" else "" for within in own["designed"]["within"]]
    return {
        "designed": _table(own["designed"], "designed", classes=late),
        "ranked": _table(own["ranked"], "ranked", folded=True),
    }


def _model_classes(own: Mapping[str, pd.DataFrame]) -> list[str]:
    checks = own["checks"]
    failed = set(checks.loc[~checks["ok"].astype(bool), "name"])
    return [
        f"{line['kind']}{' alert' if line['name'] in failed else ''}"
        f"{' front' if line['on_front'] else ''}"
        for line in own["models"].to_dict("records")
    ]


def _flag(table: pd.DataFrame, column: str, wanted: bool = False) -> list[str]:
    return ["" if bool(value) == wanted else "alert" for value in table[column]]


def _table(
    table: pd.DataFrame,
    name: str = "",
    columns: Sequence[Column] = (),
    classes: Sequence[str] = (),
    folded: bool = False,
) -> dict[str, Any]:
    """Headings and cells; columns that hold nothing in any row are left out.

    Args:
        folded: start folded whatever the length; what holds everywhere need not be read.
    """
    columns = used(table, columns or display.TABLES[name])
    rows = cells(table, columns)
    return {
        "columns": columns,
        "rows": [
            {"class": name, "cells": row}
            for row, name in zip(rows, classes or [""] * len(rows), strict=True)
        ],
        "folded": folded or len(rows) > _FOLDED_ROWS,
    }


def _plain(value: Any) -> str:
    """A value of a settings table as words: lists with commas, yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_plain(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(part) for part in value)
    return "not known" if value is None else str(value)
