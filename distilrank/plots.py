"""The report's figures. Importing this module costs over a second; only plot scripts do."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from distilrank.files import replacing
from distilrank.judge import NDCG
from distilrank.labels import place_labels
from distilrank.results import measure_in, sparsity_name


@dataclass(frozen=True)
class Look:
    """A kind of model by marker, fill and colour, so that each alone is enough to tell it."""

    label: str
    marker: str
    colour: str
    fill: str


# Colours from Wong, Nature Methods 8 (2011) 441, which the common kinds of colour blindness
# can tell apart; they differ in lightness too, and the markers in shape.
LOOKS = {
    "forest": Look("forest", "s", "#222222", "#222222"),
    "dense": Look("dense network", "o", "#0072B2", "white"),
    "pruned": Look("pruned network", "^", "#D55E00", "#D55E00"),
}
_SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#222222")
_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_DASHES = ("-", "--", ":", "-.")
_STYLE = {
    "font.family": "DejaVu Sans",
    "svg.fonttype": "path",
    "svg.hashsalt": "distilrank",
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "figure.dpi": 100,
}


def style() -> None:
    """Set the look all figures share."""
    sns.set_theme(context="paper", style="ticks", rc=_STYLE)


def save(figure: Figure, svg: str | os.PathLike, png: str | os.PathLike) -> None:
    """Write ``figure`` as SVG and PNG; the same figure gives the same bytes, then close it."""
    for path, metadata in ((svg, {"Date": None, "Creator": None}), (png, {"Software": None})):
        with replacing(path) as temporary:
            figure.savefig(temporary, metadata=metadata, dpi=160, bbox_inches="tight")
    plt.close(figure)


def tradeoff(models: pd.DataFrame, batch: int) -> Figure:
    """The measure on test against time, with the Pareto front.

    Args:
        models: one data set's lines of ``tables.models_table``.

    Raises:
        ValueError: if no model has both a time and a quality.
    """
    style()
    measure = measure_in(models)
    models = models.dropna(subset=["us", measure.key]).assign(quality=lambda of: of[measure.key])
    if models.empty:
        raise ValueError("no model has both a time and a quality; nothing can be plotted")
    figure, axes = plt.subplots(figsize=(8.2, 5.4), layout="constrained")
    for _, series in models[models["kind"] != "forest"].groupby(["teacher", "student", "recipe"]):
        path = series.sort_values("sparsity")
        axes.plot(path["us"], path["quality"], color=_FAINT, linewidth=0.7, zorder=1)
    for kind, look in LOOKS.items():
        part = models[models["kind"] == kind]
        axes.errorbar(
            part["us"], part["quality"], yerr=part["seed_sd"].fillna(0.0), linestyle="none",
            marker=look.marker, markersize=7, color=look.colour, markerfacecolor=look.fill,
            markeredgewidth=1.4, elinewidth=0.8, zorder=3,
        )  # fmt: skip
    _interval_bar(axes, models, "difference" if measure is NDCG else "mean")
    front = models[models["on_front"].astype(bool)].sort_values("us")
    axes.plot(front["us"], front["quality"], drawstyle="steps-post", **_FRONT)
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.12)
    low, high = axes.get_xlim()
    axes.set_xlim(low * (low / high) ** 0.08, high)  # room for the bar at the left
    _plain_log_ticks(axes.xaxis)
    axes.set_xlabel(f"scoring time, µs a document (batch {batch}, one thread, log scale)")
    axes.set_ylabel(f"{measure.title} on test")
    figure.legend(handles=_tradeoff_legend(models), loc="outside upper left", ncols=5)
    sns.despine(figure)
    named = models[models["on_front"].astype(bool) | models["kind"].isin(["forest", "dense"])]
    lines = [line.get_path().transformed(line.get_transform()) for line in _drawn(axes)]
    place_labels(axes, models[["us", "quality"]].to_numpy(), _labels(named), lines)
    return figure


_FAINT = "#bbbbbb"
_FRONT = {"color": "#444444", "linewidth": 1.2, "linestyle": (0, (5, 2)), "zorder": 2}


def _interval_bar(axes: Axes, models: pd.DataFrame, of: str) -> None:
    """A bar at the left edge as long as a typical interval, so that noise is seen as noise."""
    half = ((models["high"] - models["low"]) / 2).median()
    if np.isnan(half):
        return
    middle = (models["quality"].min() + models["quality"].max()) / 2
    transform = axes.get_yaxis_transform()
    axes.plot(
        [0.02, 0.02], [middle - half, middle + half],
        transform=transform, color="#666666", linewidth=1.0, marker="_", markersize=6,
    )  # fmt: skip
    axes.text(
        0.03, middle - half, f"95 % interval of a {of}", transform=transform,
        rotation=90, va="bottom", fontsize=7.5, color="#444444",
    )  # fmt: skip


def _drawn(axes: Axes) -> list[Line2D]:
    """The series' and the front's lines, the front last; their final place needs a drawing."""
    axes.figure.canvas.draw()
    return [line for line in axes.get_lines() if line.get_linestyle() != "None"]


def _labels(models: pd.DataFrame) -> list[tuple[float, float, str]]:
    # The front's labels are placed first: they are what the plot is about.
    ordered = models.sort_values(["on_front", "us"], ascending=[False, True])
    return [
        (line["us"], line["quality"], line["name"].replace(" %", "\u2009%"))
        for line in ordered.to_dict("records")
    ]


def _tradeoff_legend(models: pd.DataFrame) -> list[Line2D]:
    handles = [
        Line2D(
            [], [], linestyle="none", marker=look.marker, markersize=7, color=look.colour,
            markerfacecolor=look.fill, markeredgewidth=1.4, label=look.label,
        )
        for kind, look in LOOKS.items() if (models["kind"] == kind).any()
    ]  # fmt: skip
    front = Line2D([], [], label="Pareto front", **_FRONT)
    series = Line2D([], [], color=_FAINT, linewidth=0.9, label="one network, by sparsity")
    return [*handles, front, series]


def _plain_log_ticks(axis: matplotlib.axis.Axis) -> None:
    """Label some steps of each decade as plain numbers, more of them on a short axis."""
    low, high = axis.get_view_interval()
    choices = {
        10: (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0),
        40: (1.0, 2.0, 3.0, 5.0),
        100: (1.0, 2.0, 5.0),
        np.inf: (1.0,),
    }
    steps = next(steps for limit, steps in choices.items() if high / low <= limit)
    axis.set_major_locator(ticker.LogLocator(subs=steps))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(ticker.LogLocator(subs=np.arange(1.0, 10.0), numticks=50))
    axis.set_minor_formatter(ticker.NullFormatter())


def speedup(table: pd.DataFrame) -> Figure:
    """Dense over sparse time by sparsity, one panel a student and one line an engine.

    Args:
        table: one data set's lines of ``tables.speedup_table``; with several teachers and
            recipes a line is their mean, and each of them a faint point.
    """
    style()
    students = sorted(table["student"].unique())
    if not students:
        return nothing("no pruned network was timed on both a sparse and a dense engine")
    engines = sorted(table["engine"].unique())
    columns = min(3, len(students))
    rows = -(-len(students) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(1.2 + 3.4 * columns, 0.6 + 3.0 * rows),
        sharey=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    for axes, student in zip(grid.flat, students, strict=False):
        _speedup_panel(axes, table[table["student"] == student], engines)
        axes.set_title(f"student {student}")
    for axes in grid.flat[len(students) :]:
        axes.set_visible(False)
    figure.supylabel("fastest dense time / sparse time", fontsize=10)
    figure.supxlabel("zeros in the pruned layers, %", fontsize=10)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=3)
    sns.despine(figure)
    return figure


def _speedup_panel(axes: Axes, part: pd.DataFrame, engines: Sequence[str]) -> None:
    levels = sorted(part["sparsity"].unique())
    place = {level: position for position, level in enumerate(levels)}
    for number, engine in enumerate(engines):
        look = line_look(number)
        lines = part[part["engine"] == engine]
        means = lines.groupby("sparsity")["ratio"].mean()
        axes.plot([place[level] for level in means.index], means, label=engine, **look)
        axes.scatter(
            lines["sparsity"].map(place), lines["ratio"],
            s=9, color=look["color"], alpha=0.35, linewidth=0,
        )  # fmt: skip
    axes.axhline(1.0, color="#666666", linewidth=0.8)
    # Levels crowd near 1 on a true scale, so they stand at equal distances.
    axes.set_xticks(
        range(len(levels)), [sparsity_name(level).removesuffix(" %") for level in levels]
    )
    axes.margins(x=0.08)


def line_look(number: int) -> dict:
    """Colour, marker and dashes of a figure's line ``number``; any one of them tells it."""
    return {
        "color": _SERIES[number % len(_SERIES)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "linestyle": _DASHES[number % len(_DASHES)],
        "markersize": 5.5,
        "linewidth": 1.4,
    }


def predictor(table: pd.DataFrame) -> Figure:
    """Predicted against measured time of what the predictors were never fitted on."""
    style()
    sets = sorted(table["set"].unique())
    figure, grid = plt.subplots(
        1, len(sets), figsize=(0.6 + 4.0 * len(sets), 4.2), squeeze=False, layout="constrained"
    )
    for axes, of in zip(grid.flat, sets, strict=True):
        part = table[table["set"] == of]
        for number, kind in enumerate(sorted(table["kind"].unique())):
            look = line_look(number)
            points = part[part["kind"] == kind]
            if len(points) > _POINTS:  # more would make the file large, and say no more
                points = points.sample(_POINTS, random_state=0)
            axes.scatter(
                points["measured"], points["predicted"], label=kind, marker=look["marker"],
                s=20, facecolor="none" if number == 0 else look["color"],
                edgecolor=look["color"], linewidth=0.9, alpha=0.75,
            )  # fmt: skip
        _diagonal(axes, part)
        axes.set_title(of)
        axes.set_xlabel("measured, µs a document")
    grid.flat[0].set_ylabel("predicted, µs a document")
    grid.flat[0].legend(loc="upper left")
    sns.despine(figure)
    return figure


_POINTS = 500  # of one kind in one panel


def _diagonal(axes: Axes, part: pd.DataFrame) -> None:
    values = part[["measured", "predicted"]].to_numpy()
    ends = np.array([values.min() / 1.4, values.max() * 1.4])
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    axes.plot(ends, ends, color="#444444", linewidth=1.0, zorder=1)
    axes.fill_between(ends, ends / 1.2, ends * 1.2, color="#dddddd", linewidth=0, zorder=0)
    for axis in (axes.xaxis, axes.yaxis):
        _plain_log_ticks(axis)


def designed(table: pd.DataFrame) -> Figure:
    """Promised and delivered time of each design, its budget marked; a row a design.

    Args:
        table: one data set's lines of ``designed.designed_table``.
    """
    style()
    table = table.dropna(subset=["delivered"]).reset_index(drop=True)
    if table.empty:
        return nothing("no design was timed")
    figure, axes = plt.subplots(figsize=(7.4, 1.3 + 0.34 * len(table)), layout="constrained")
    rows = np.arange(len(table))
    axes.hlines(rows, table["low"], table["high"], color=_FAINT, linewidth=5, label="interval")
    axes.vlines(
        table["budget_us"], rows - 0.38, rows + 0.38, color="#222222", linewidth=2.2, label="budget"
    )
    for column, name, look in (
        ("predicted", "promised", LOOKS["dense"]),
        ("delivered", "delivered", LOOKS["pruned"]),
    ):
        axes.plot(
            table[column], rows, linestyle="none", marker=look.marker, markersize=7,
            color=look.colour, markerfacecolor=look.fill, markeredgewidth=1.4, label=name,
        )  # fmt: skip
    axes.set_yticks(rows, table["design"])
    axes.invert_yaxis()
    axes.set_xscale("log")
    _plain_log_ticks(axes.xaxis)
    axes.set_xlabel("scoring time, µs a document (log scale)")
    figure.legend(loc="outside upper left", ncols=4)
    sns.despine(figure)
    return figure


def training(table: pd.DataFrame) -> Figure:
    """Loss and the measure on vali by epoch, a row a phase and a line a network.

    Args:
        table: one data set's lines of ``evidence.training_table``.
    """
    style()
    if table.empty:
        return nothing("no training history was found")
    phases = list(dict.fromkeys(table["phase"]))
    figure, grid = plt.subplots(
        len(phases), 2, figsize=(8.2, 0.8 + 2.6 * len(phases)), squeeze=False, layout="constrained"
    )
    levels, students = sorted(table["sparsity"].unique()), sorted(table["student"].unique())
    shades = dict(zip(levels, sns.color_palette("viridis", len(levels)), strict=True))
    dashes = {student: _DASHES[at % len(_DASHES)] for at, student in enumerate(students)}
    for row, phase in zip(grid, phases, strict=True):
        _training_row(row, table[table["phase"] == phase], phase, shades, dashes)
    handles = [Line2D([], [], color=shades[level], label=sparsity_name(level)) for level in levels]
    handles += [
        Line2D([], [], color="#444444", linestyle=dashes[student], label=f"student {student}")
        for student in students
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(8, len(handles)))
    sns.despine(figure)
    return figure


def _training_row(
    row: Sequence[Axes], table: pd.DataFrame, phase: str, shades: dict, dashes: dict
) -> None:
    names = ["fold", "teacher", "recipe", "seed", "student", "sparsity"]
    measure = measure_in(table, lambda measure: measure.in_history)
    for keys, run in table.groupby(names):
        look = {"color": shades[keys[-1]], "linestyle": dashes[keys[-2]], "linewidth": 0.9}
        row[0].plot(run["epoch"], run["loss"], **look)
        row[1].plot(run["epoch"], run[measure.in_history], **look)
    row[0].set(title=f"{phase}: loss", yscale="log", ylabel="loss (log scale)", xlabel="epoch")
    row[1].set(title=f"{phase}: ranking", ylabel=f"{measure.title} on vali", xlabel="epoch")
    _plain_log_ticks(row[0].yaxis)


def nothing(why: str) -> Figure:
    """A figure that says why it is empty: the report has its place for it all the same."""
    figure, axes = plt.subplots(figsize=(6.0, 1.0))
    axes.set_axis_off()
    axes.text(0.0, 0.5, why, fontsize=10)
    return figure
