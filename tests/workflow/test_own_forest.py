"""A person's own forest, on the sample and on logs without labels, from its file to the report."""

import json
import re
import shutil
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest
from test_workflow import SMALL, snakemake, written

from distilrank.letor import Dataset
from distilrank.readers import read_forest

# Their titles in the report.
DATASETS = {"logs": "Search logs", "mslr-sample": "MSLR sample (rankeval)"}
SAMPLE = "results/data/mslr-sample/fold1"
# Zeros count as missing, so that the forest routes NaN as XGBoost's do.
FOREST = {
    "objective": "lambdarank", "num_leaves": 12, "learning_rate": 0.2, "min_data_in_leaf": 20,
    "zero_as_missing": True, "verbose": -1, "num_threads": 1, "deterministic": True,
}  # fmt: skip
TREES = 25
OWN = """
datasets:
  logs:
    title: Search logs
    labels: false
    folder: logs
    columns: {query: query_id}
    files: {train: {path: train.parquet}, test: {path: test.parquet}}
teachers:
  mine: {path: forest.json}
run:
  datasets: [mslr-sample, logs]
  teachers: [mine]
  forests: []
  students: [narrow]
  engines: [lightgbm, ydf-quickscorer, native-forest, native-fp32, native-bf16, numpy,
            mkl-csr+numpy]
timing: {reference_engine: native-forest}
"""


def write_forest(train: Dataset, path: Path) -> None:
    """A forest of the sample's features, by their names, some of which LightGBM does not take."""
    data = lightgbm.Dataset(train.features, train.labels, group=train.group_sizes)
    model = lightgbm.train(FOREST, data, TREES).dump_model()
    model["feature_names"] = train.meta["feature_names"]
    path.write_text(json.dumps(model, default=float))


def write_logs(split: Dataset, path: Path) -> None:
    """A split as a table without labels, its columns in another order."""
    table = pd.DataFrame(np.asarray(split.features), columns=split.meta["feature_names"])
    table = table[table.columns[::-1]]
    table.insert(0, "query_id", np.repeat(split.qids, split.group_sizes))
    table.to_parquet(path)


@pytest.fixture(scope="module")
def own(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run's folder, calibrated and with its data, where the own forest has run too."""
    folder = tmp_path_factory.mktemp("own") / "run"
    shutil.copytree(finished, folder, symlinks=True)
    shutil.rmtree(folder / "results/report")
    (folder / "logs").mkdir()
    splits = {name: Dataset.open(folder / SAMPLE / name) for name in ("train", "test")}
    write_forest(splits["train"], folder / "forest.json")
    for name, split in splits.items():
        write_logs(split, folder / f"logs/{name}.parquet")
    done = snakemake(folder, "--configfile", str(SMALL), written(folder, OWN))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    return folder


def table(own: Path, name: str, dataset: str) -> pd.DataFrame:
    """A data set's part of one of the report's tables."""
    found = pd.read_csv(own / f"results/report/tables/{name}.csv")
    return found[found["dataset"] == dataset]


def test_its_columns_are_found_by_name_in_whatever_order(own: Path) -> None:
    records = {
        dataset: json.loads((own / f"results/teachers/{dataset}/fold1/mine/train.json").read_text())
        for dataset in DATASETS
    }
    for dataset, record in records.items():
        told = record["imported"]
        assert (told["file"], told["format"]) == ("forest.json", "LightGBM JSON")
        assert (told["matched_by"], told["reordered"]) == ("name", dataset == "logs")
    scores = [
        np.load(own / f"results/teachers/{dataset}/fold1/mine/scores-test.npy")
        for dataset in DATASETS
    ]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_report_shows_what_the_forest_is_made_of(own: Path, dataset: str) -> None:
    forest = read_forest(own / "forest.json")
    points = np.array([len(each) for each in forest.thresholds()])
    (line,) = table(own, "forests", dataset).to_dict("records")
    assert (line["name"], line["trees"], line["features"]) == ("mine", TREES, forest.n_features)
    assert line["leaves"] == sum(tree.leaves for tree in forest.trees)
    assert line["features_used"] == np.count_nonzero(points)
    assert (line["split_points"], line["split_points_most"]) == (points.sum(), points.max())
    names = table(own, "features", dataset).set_index("feature_name")["split_points"]
    assert names[list(forest.names)].tolist() == points.tolist()
    assert f'<td class="num">{points.sum()}</td>' in shown_of(own, dataset)


@pytest.mark.parametrize("dataset", DATASETS)
def test_networks_of_it_are_pruned_and_timed_beside_it(own: Path, dataset: str) -> None:
    models = table(own, "models", dataset).set_index("kind")
    assert set(models.index) == {"forest", "dense", "pruned"}
    assert (models["us"] > 0).all() and (models["speedup"] > 0).all()
    assert models.loc["forest", "engine"] in ("native-forest", "lightgbm")
    assert set(table(own, "health", dataset)["engine"]) == {"native-forest"}
    skipped = table(own, "engines", dataset).query("engine == 'ydf-quickscorer'")
    assert skipped["reason"].tolist() == [
        "the forest routes missing values, which ydf-quickscorer does not"
    ]
    sparsity = table(own, "checks", dataset).query("check == 'sparsity'")
    assert len(sparsity) == 1 and sparsity["ok"].all()


def test_without_labels_agreement_with_the_forest_stands_in_the_place_of_ndcg(own: Path) -> None:
    models = table(own, "models", "logs").set_index("kind")
    assert models["ndcg@10"].isna().all()
    assert (models.loc["forest", ["overlap@10", "kendall_tau"]] == 1).all()
    networks = models.drop("forest")
    assert networks["overlap@10"].between(0.1, 1).all()
    assert networks["kendall_tau"].between(0.1, 1).all()
    assert (networks["low"] < networks["overlap@10"]).all()
    assert table(own, "models", "mslr-sample")["ndcg@10"].notna().all()
    sensitivity = table(own, "sensitivity", "logs")
    assert sensitivity["ndcg@10"].isna().all() and sensitivity["overlap@10"].notna().all()
    assert set(sensitivity.query("sparsity == 0")["overlap@10"]) == {1.0}
    assert table(own, "training", "logs")["overlap_vali"].notna().all()
    assert table(own, "precision", "logs")["overlap@10"].notna().all()


def test_the_page_says_nothing_of_ndcg_where_there_are_no_labels(own: Path) -> None:
    """In words, tables and figures."""
    shown = shown_of(own, "logs")
    assert "Top 10 shared" in shown and "Kendall’s τ" in shown
    assert "overlap of the top 10 on test" in shown and "overlap of the top 10 on vali" in shown
    assert "nDCG" not in shown
    assert "nDCG@10" in shown_of(own, "mslr-sample")


def shown_of(own: Path, dataset: str) -> str:
    """What the report's page has under a data set's own headings."""
    page = (own / "results/report/index.html").read_text(encoding="utf-8")
    parts = re.split(r"<h[23]>", page)
    own_parts = [part for part in parts if part.startswith(f"{DATASETS[dataset]}</h3>")]
    assert len(own_parts) > 10
    return "".join(own_parts)
