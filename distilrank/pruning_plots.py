"""The report's figure about pruning: what each layer of a dense network can lose."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distilrank.plots import line_look, nothing, style
from distilrank.results import measure_in


def sensitivity(table: pd.DataFrame) -> Figure:
    """The measure on vali against the share of zeros, one panel a network and one line a layer.

    Args:
        table: one data set's lines of ``pruning_tables.sensitivity_table``.
    """
    style()
    names = sorted(table["name"].unique())
    if not names:
        return nothing("no dense network was analysed")
    layers = sorted(table["layer"].unique())
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(1.0 + 3.9 * columns, 0.8 + 2.9 * rows),
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for axes, name in zip(grid.flat, names, strict=False):
        _panel(axes, table[table["name"] == name])
        axes.set_title(name)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    title = measure_in(table).title
    figure.supylabel(f"{title} on vali, not trained again", fontsize=10)
    figure.supxlabel("zeros in one layer, % (logarithmic in what is left)", fontsize=10)
    widest = max(grid.flat, key=lambda axes: len(axes.get_legend_handles_labels()[0]))
    figure.legend(*widest.get_legend_handles_labels(), loc="outside upper left", ncols=len(layers))
    sns.despine(figure)
    return figure


def _panel(axes: Axes, part: pd.DataFrame) -> None:
    measure = measure_in(part).key
    axes.axhline(part.loc[part["sparsity"] == 0, measure].iloc[0], color="#888888", linewidth=0.8)
    for layer, line in part.groupby("layer"):
        look = line_look(int(layer) - 1)
        axes.plot(1 - line["sparsity"], line[measure], label=f"layer {layer}", **look)
    # From dense to sparse, with room for the levels near 1.
    axes.set_xscale("log")
    axes.invert_xaxis()
    levels = sorted(part["sparsity"].unique())
    axes.set_xticks([1 - level for level in levels], [f"{100 * level:g}" for level in levels])
    axes.minorticks_off()
