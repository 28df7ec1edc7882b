"""The tables script on made-up results of a small run."""

import json
from pathlib import Path

import pandas as pd
import pytest

from scripts.make_tables import make_tables
from tests.results_builder import Results

PUBLISHED = Path(__file__).parents[2] / "config" / "published.yaml"


def made(tmp_path, results, **options):
    folder, summary = tmp_path / "report" / "tables", tmp_path / "report" / "summary.json"
    options = {"headline_batch": 256, "margin": 0.005, "permutations": 200} | options
    make_tables(**results.inputs, published=PUBLISHED, folder=folder, summary=summary, **options)
    return folder, json.loads(summary.read_text())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("small")
    return made(root, Results(root / "results"), titles={"toy": "Toy"}, min_share=0.9)


CSV_ONLY = {"training", "predictor"}
TABLES = {
    *("models", "matched", "speedup", "precision", "engines", "predictor", "accuracy", "parity"),
    *("times", "costs", "health", "checks", "data", "features", "training", "published"),
}


def test_every_table_is_written_as_csv_and_latex(small):
    folder, _ = small
    assert {path.stem for path in folder.glob("*.csv")} == TABLES
    assert {path.stem for path in folder.glob("*.tex")} == TABLES - CSV_ONLY
    for path in folder.glob("*.csv"):
        assert len(pd.read_csv(path)), path.name


def test_the_tables_hold_every_model(small):
    folder, _ = small
    models = pd.read_csv(folder / "models.csv")
    # Two forests, each with two students at two sparsities.
    assert len(models) == 2 + 2 * 2 * 2
    assert len(pd.read_csv(folder / "matched.csv")) == 2
    # Two sparse engines for each of the 2 x 2 pruned networks.
    assert len(pd.read_csv(folder / "speedup.csv")) == 2 * 2 * 2
    # One engine in low precision for each of the 2 x 2 x 2 networks.
    precision = pd.read_csv(folder / "precision.csv")
    assert len(precision) == 2 * 2 * 2
    assert set(precision["engine"]) == {"native-bf16"} and (precision["speedup"] > 1).all()
    assert pd.read_csv(folder / "data.csv")["split"].tolist() == ["train", "vali", "test"]


def test_the_summary_says_how_little_43_queries_tell(small):
    _, summary = small
    (dataset,) = summary["datasets"]
    assert dataset["title"] == "Toy"
    assert [match["forest"] for match in dataset["matches"]] == ["large", "small"]
    assert dataset["power"].startswith("With 43 test queries a difference")
    assert summary["settings"]["margin"] == 0.005
    assert summary["machine"]["id"] == "00000000"


def test_many_queries_are_not_called_few(tmp_path):
    results = Results(tmp_path / "results", queries=1500, noise=0.005)
    assert made(tmp_path, results)[1]["datasets"][0]["power"] == ""


def test_a_low_quality_and_a_drifting_job_are_alerts(tmp_path):
    results = Results(tmp_path / "results")
    path = results.paths("timing")[0]
    content = json.loads(path.read_text())
    for line in content["measurements"]:
        if line["of"] == "reference":
            line["median"] *= 1.1
    path.write_text(json.dumps(content))
    folder, summary = made(tmp_path, results, min_share=0.99)
    assert any("below the floor of 99.0 %" in alert for alert in summary["alerts"])
    (drift,) = [alert for alert in summary["alerts"] if "timing jobs" in alert]
    assert "In 1 of 10 timing jobs" in drift
    health = pd.read_csv(folder / "health.csv")
    assert health.loc[health["flagged"], "file"].tolist() == [
        str(path.relative_to(tmp_path / "results"))
    ]


def test_a_headline_says_when_its_times_were_taken_on_a_busy_machine(tmp_path):
    results = Results(tmp_path / "results")
    path = next(path for path in results.paths("timing") if path.match("small/teacher.json"))
    content = json.loads(path.read_text())
    for line in content["measurements"]:
        line["median"] *= 1.1
    path.write_text(json.dumps(content))
    matches = made(tmp_path, results)[1]["datasets"][0]["matches"]
    told = ["not quiet: small" in " ".join(match["details"]) for match in matches]
    assert told == [False, True]


def test_missing_values_are_told_where_there_are_any(tmp_path):
    tables, summary = made(tmp_path, Results(tmp_path / "results", ("toy", "other"), queries=12))
    data = pd.read_csv(tables / "data.csv").set_index("dataset")
    assert data.loc["other", "missing"].fillna(0).tolist() == [0.25, 0, 0.25]
    assert data.loc["toy", "missing"].isna().all()
    split = data.loc["other"].set_index("split")["documents"]
    share = 100 * 0.25 * (split["train"] + split["test"]) / split.sum()
    other, toy = summary["datasets"]
    assert toy["missing"] == ""
    assert other["missing"].startswith(f"{share:.0f} % of values missing: forests take")


def test_several_data_sets_folds_and_seeds(tmp_path):
    results = Results(tmp_path / "results", ("toy", "other"), queries=8, folds=(1, 2), seeds=(1, 2))
    folder, summary = made(tmp_path, results)
    models = pd.read_csv(folder / "models.csv")
    assert len(models) == 2 * (2 + 2 * 2 * 2)
    assert set(models["folds"]) == {"1 2"}
    networks = models[models["kind"] != "forest"]
    assert set(networks["seeds"]) == {2}
    assert networks["seed_sd"].notna().all()
    assert set(models["test_queries"]) == {2 * 8}
    assert [dataset["key"] for dataset in summary["datasets"]] == ["other", "toy"]
    assert "Data set & Model" in (folder / "models.tex").read_text()


def test_the_same_results_give_the_same_bytes(tmp_path, small):
    folder, _ = small
    again, _ = made(tmp_path, Results(tmp_path / "results"), titles={"toy": "Toy"}, min_share=0.9)
    for path in again.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_without_low_precision_its_table_has_headings_only(tmp_path):
    results = Results(tmp_path / "results")
    for path in results.paths("parity"):
        content = json.loads(path.read_text())
        for line in content["engines"]:
            line.pop("quality", None)
        path.write_text(json.dumps(content))
    folder, _ = made(tmp_path, results)
    precision = pd.read_csv(folder / "precision.csv")
    assert len(precision) == 0 and "kendall_tau" in precision
    assert "Kendall" in (folder / "precision.tex").read_text()


def test_no_quality_at_all_is_told(tmp_path):
    results = Results(tmp_path / "results")
    for path in results.paths("quality"):
        path.unlink()
    with pytest.raises(ValueError, match="no quality files"):
        made(tmp_path, results)
