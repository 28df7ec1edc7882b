"""Results of data without labels: what the scripts write, and a report that has such a data set."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau
from tiny import make_dataset, random_student, write_fold

from distilrank import page, plots, pruning_plots
from distilrank.files import read_json, write_json
from distilrank.parity import quality_loss
from distilrank.sensitivity import Probe, allocations, layer_points
from distilrank.summary import _shared
from distilrank.tables import _interval
from scripts.evaluate_ranking import evaluate_ranking
from scripts.make_tables import make_tables
from tests.results_builder import Results

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unlabelled(splits, teacher_booster, tmp_path_factory):
    """The tiny fold without labels."""
    bare = {
        name: replace(split, labels=split.labels * 0, meta=split.meta | {"labelled": False})
        for name, split in splits.items()
    }
    return write_fold(tmp_path_factory.mktemp("unlabelled"), bare, teacher_booster)


def test_a_forest_agrees_with_itself_and_a_student_by_its_own_formula(unlabelled, splits, tmp_path):
    folders = {name: unlabelled.data[name] for name in ("vali", "test")}
    stored = {name: unlabelled.scores[name] for name in folders}
    evaluate_ranking(unlabelled.model, folders, tmp_path / "teacher.json", scores=stored)
    for split in read_json(tmp_path / "teacher.json")["splits"].values():
        assert set(split["metrics"]) == {"overlap@10", "kendall_tau"}
        assert all(metric["mean"] == 1 for metric in split["metrics"].values())
    student = random_student(np.random.default_rng(1), kind="network", seed=1)
    student.save(tmp_path / "sp0.safetensors")
    evaluate_ranking(tmp_path / "sp0.safetensors", folders, tmp_path / "sp0.json", reference=stored)
    quality = read_json(tmp_path / "sp0.json")
    assert "against_teacher" not in quality
    for name, split in quality["splits"].items():
        scores = student.predict(splits[name].features).reshape(12, 20)
        reference = np.load(stored[name]).reshape(12, 20)
        tops = [np.argsort(-each, axis=1)[:, :10] for each in (scores, reference)]
        shared = [len(set(ours) & set(theirs)) / 10 for ours, theirs in zip(*tops, strict=True)]
        assert split["metrics"]["overlap@10"]["per_query"] == pytest.approx(shared)
        taus = [kendalltau(*pair).statistic for pair in zip(scores, reference, strict=True)]
        assert split["metrics"]["kendall_tau"]["per_query"] == pytest.approx(taus)


def test_low_precision_is_held_to_full_precision_and_nothing_is_tested():
    split = make_dataset(np.random.default_rng(3))
    split = replace(split, meta={"labelled": False})
    exact = -np.arange(split.n_documents, dtype=np.float64)
    rough = exact.copy()
    rough[19] = 1.0  # of the first query of 20 documents the last comes first
    found = quality_loss(rough, exact, split)
    assert (found["metric"], found["exact"], found["p_value"]) == ("overlap@10", 1.0, None)
    assert found["engine"] == pytest.approx(1 - 0.1 / 12)
    assert found["difference"] == pytest.approx(-0.1 / 12)
    assert found["interval"][0] < found["difference"] < found["interval"][1]
    assert found["effect"] is None or found["effect"] < 0


def test_layers_are_held_to_the_dense_network():
    generator = np.random.default_rng(0)
    dense, vali = random_student(generator, (8, 10, 6, 1)), make_dataset(generator)
    probe = Probe.of(dense, replace(vali, meta={"labelled": False}), 1.0, lambda _: 1.0)
    points = layer_points(dense, probe)
    assert {point["overlap@10"] for point in points if not point["sparsity"]} == {1.0}
    assert min(point["overlap@10"] for point in points) < 1
    assert set(allocations(dense, probe, points)[0]["alone"]) == {"overlap@10", "error", "us"}


def drop_labels(root: Path, dataset: str) -> None:
    """Make a data set of `Results` one that has no labels."""
    for path in root.glob(f"quality/{dataset}/**/*.json"):
        content = read_json(path)
        for split in content["splits"].values():
            values = split["metrics"]["ndcg@10"]["per_query"]
            if content["model"]["kind"] == "forest":
                values = [1.0] * len(values)
            metric = {"mean": float(np.mean(values)), "per_query": values}
            split["metrics"] = dict.fromkeys(("overlap@10", "kendall_tau"), metric)
        write_json(path, content)
    for path in root.glob(f"parity/{dataset}/**/*.json"):
        content = read_json(path)
        for line in content["engines"]:
            if "quality" in line:
                line["quality"] |= {"metric": "overlap@10", "exact": 1.0, "p_value": None}
        write_json(path, content)
    for path in root.glob(f"data/{dataset}/**/meta.json"):
        meta = read_json(path)
        write_json(path, {name: meta[name] for name in meta if name != "labels"} | {
            "labelled": False
        })  # fmt: skip
    for pattern, old, new in (
        ("students/{}/**/*.csv", "ndcg_vali", "overlap_vali"),
        ("sensitivity/{}/**/*.json", "ndcg@10", "overlap@10"),
    ):
        for path in root.glob(pattern.format(dataset)):
            path.write_text(path.read_text().replace(old, new))


def report_of(root: Path, datasets: tuple[str, ...]):
    """Tables, summary and page of made-up results in which ``toy`` has no labels."""
    results = Results(root / "results", datasets, recipes=("plain", "other"), noise=0.01)
    results.design()
    drop_labels(root / "results", "toy")
    make_tables(
        **results.inputs, published=ROOT / "config" / "published.yaml", folder=root / "tables",
        summary=root / "summary.json", headline_batch=256, margin=0.005, permutations=100,
        overlap_margin=0.6, overlap_min=0.999, recipes={"plain": {}, "other": {}},
    )  # fmt: skip
    tables = page.read_tables((root / "tables").glob("*.csv"))
    summary = json.loads((root / "summary.json").read_text())
    template = ROOT / "report" / "index.html.j2"
    files = {"tables": {}, "figures": {}}
    return tables, summary, page.render(template, tables, {}, summary, files)


@pytest.fixture(scope="module", params=[("toy",), ("toy", "labelled")])
def report(request, tmp_path_factory):
    return report_of(tmp_path_factory.mktemp("report"), request.param)


def test_models_have_means_with_intervals_and_no_tests(report):
    models = report[0]["models"].query("dataset == 'toy'")
    networks = models[models["kind"] != "forest"]
    assert models[["ndcg@10", "difference", "p_value", "needed", "effect"]].isna().all(axis=None)
    assert (models.loc[models["kind"] == "forest", ["overlap@10", "kendall_tau"]] == 1).all(
        axis=None
    )
    assert (networks["low"] < networks["overlap@10"]).all()
    assert (networks["overlap@10"] < networks["high"]).all()
    assert not models["mark"].replace("", np.nan).notna().any()
    assert models["on_front"].any()


def test_a_forests_match_is_one_of_its_own_networks(report):
    tables, summary, _ = report
    for line in tables["matched"].query("dataset == 'toy'").to_dict("records"):
        assert line["verdict"] == "shown" and line["network"].startswith(line["forest"] + "/")
        assert line["low"] > -0.6
    details = next(each for each in summary["datasets"] if each["key"] == "toy")
    assert (details["best_forest"], details["power"]) == ("", "")
    assert "Of the forest’s top 10 on test it shares" in details["matches"][0]["details"][-1]


def test_the_floor_is_that_of_the_overlap(report):
    tables, summary, _ = report
    checks = tables["checks"].query("check == 'quality'")
    assert set(checks["dataset"]) == {"toy"} and set(checks["limit"]) == {0.999}
    (alert,) = (each for each in summary["alerts"] if "floor" in each)
    assert alert.startswith("The share of the forest's top 10 on vali is below the floor of 99.9 %")


def test_recipes_are_compared_and_tested_among_themselves(report):
    recipes = report[0]["recipes"].query("dataset == 'toy' and recipe == 'other' and seed == 'all'")
    assert recipes["p_value"].notna().all() and recipes["teacher_p_value"].isna().all()
    assert (recipes["overlap@10"] < recipes["teacher_high"]).all()


def test_the_page_speaks_of_the_measure_of_each_data_set(report):
    tables, _, text = report
    labelled = "labelled" in set(tables["models"]["dataset"])
    assert "Top 10 shared" in text and "without labels" in text
    assert (
        "nDCG@10, or agreement with the forest where there are no labels, is" in text
    ) == labelled
    assert ("documents a call; agreement with the forest is measured on" in text) == (not labelled)
    assert ("whichever forest taught them" in text) == labelled


def test_nothing_of_ndcg_is_shown_of_what_has_no_labels(report):
    """Neither in words nor in a column, a published figure or a convention."""
    tables, _, text = report
    assert not tables["published"].query("dataset == 'toy'")["metric"].str.startswith("ndcg").any()
    if "labelled" not in set(tables["models"]["dataset"]):
        assert not re.findall(
            r"[^<>]*(?:nDCG|\bgain\b|\bMAP\b)[^<>]*", text.partition("</style>")[2]
        )
        assert "which have no labels, in each split" in text


def test_a_share_ends_at_one():
    assert _interval(1.0, (-0.01, 0.002), "best_") == {"best_low": 0.99, "best_high": 1.0}
    line = {"difference": -0.005, "low": -0.012, "high": 0.002, "queries": 43}
    assert _shared(line).endswith("it shares 99.5 %, 95 % interval 98.8 to 100.0 %, 43 queries")


def test_figures_show_it(report):
    tables = {
        name: table.query("dataset == 'toy'")
        for name, table in report[0].items()
        if "dataset" in table
    }
    tradeoff = plots.tradeoff(tables["models"], 256)
    assert tradeoff.axes[0].get_ylabel() == "overlap of the top 10 on test"
    training = plots.training(tables["training"])
    assert training.axes[1].get_ylabel() == "overlap of the top 10 on vali"
    lines = tables["training"].query("phase == 'distil'")
    networks = lines.groupby(["teacher", "student", "recipe", "sparsity"]).ngroups
    assert len(training.axes[1].get_lines()) == networks
    assert pruning_plots.sensitivity(tables["sensitivity"]).axes[0].get_lines()


def test_a_report_of_labelled_data_has_no_column_of_the_overlap(tmp_path):
    results = Results(tmp_path / "results")
    make_tables(
        **results.inputs, published=ROOT / "config" / "published.yaml", folder=tmp_path / "tables",
        summary=tmp_path / "summary.json", headline_batch=256, margin=0.005, permutations=100,
    )  # fmt: skip
    for path in (tmp_path / "tables").glob("*.csv"):
        assert not [name for name in pd.read_csv(path) if "overlap" in name], path.name
    assert "overlap" not in (tmp_path / "summary.json").read_text()
