"""The report's tables about pruning: what layers can lose, and which features are not read."""

import json

import pandas as pd
import pytest

from distilrank import display, pruning_plots
from distilrank.cells import cells, used
from distilrank.pruning_tables import allocation_table, sensitivity_table, unused_table
from distilrank.results import read_quality
from tests.results_builder import Results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return Results(tmp_path_factory.mktemp("pruning"), queries=8)


def test_a_line_for_each_network_layer_and_share(results):
    table = sensitivity_table(results.paths("sensitivity"))
    assert len(table) == 2 * 2 * 2 * 2  # teachers, students, layers, shares
    line = table[(table["name"] == "large/C") & (table["layer"] == 2) & (table["sparsity"] == 0.9)]
    assert line["saved"].tolist() == pytest.approx([1 - (3.0 - 1.8) / 3.0])
    assert line["ndcg@10"].tolist() == pytest.approx([0.5 - 0.1 * 0.9 / 2])


def test_the_shares_that_take_no_longer_stand_beside_the_first_layer_alone(results):
    table = allocation_table(results.paths("sensitivity"))
    assert set(table["spread_sparsities"]) == {"70 / 80"} and set(table["sparsity"]) == {0.9}
    columns = used(table, display.TABLES["allocation"])
    row = cells(table.head(1), columns)[0]
    assert row[:2] == ["large/A", "90.0"] and row[5] == "70 / 80"


def test_unused_features_are_named_and_set_against_the_forest(results, tmp_path):
    """Every made-up model uses features 1 and 3 of 3; here one network loses feature 3 too."""
    paths = results.paths("quality")
    changed = json.loads(paths[0].read_text())
    found = read_quality(paths)
    pruned = next(key for key in found if key.kind == "pruned")
    found[pruned].runs[0]["feature_use"] = [2, 0, 0]
    meta = tmp_path / "data" / "toy" / "fold1" / "train" / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"feature_names": ["BM25, title", "IDF", "PageRank"]}))
    table = unused_table(found, [meta])
    assert changed["feature_use"] == [3, 0, 5]
    assert len(table) == 4
    line = table[table["name"] == pruned.name()].iloc[0]
    assert (line["features"], line["unused"], line["unsplit"]) == (3, 2, 1)
    assert line["unused_features"] == "2 IDF; 3 PageRank"
    nameless = unused_table(found, results.paths("meta"))
    assert set(nameless["unused_features"]) == {"2", "2; 3"}


def test_the_plot_has_a_panel_a_network_and_a_line_a_layer(results):
    table = sensitivity_table(results.paths("sensitivity"))
    figure = pruning_plots.sensitivity(table)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["large/A", "large/C", "small/A", "small/C"]
    lines = [line for line in figure.axes[0].get_lines() if line.get_label().startswith("layer")]
    assert [line.get_label() for line in lines] == ["layer 1", "layer 2"]
    assert lines[0].get_ydata().tolist() == pytest.approx([0.5, 0.41])
    empty = pruning_plots.sensitivity(pd.DataFrame({"name": []}))
    assert "no dense network" in empty.axes[0].texts[0].get_text()
