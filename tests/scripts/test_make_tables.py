"""The tables script on made-up results of a small run."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from distilrank.files import read_json, write_json
from distilrank.matched import about
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


CSV_ONLY = {"training", "predictor", "sensitivity"}
TABLES = {
    *("models", "matched", "speedup", "precision", "engines", "predictor", "accuracy", "parity"),
    *("recipes", "times", "costs", "health", "checks", "data", "features", "training", "published"),
    *("forests", "unused", "sensitivity", "allocation", "accounts", "longest"),
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
    folder, summary = small
    (dataset,) = summary["datasets"]
    assert dataset["title"] == "Toy"
    assert [match["forest"] for match in dataset["matches"]] == ["large", "small"]
    models = pd.read_csv(folder / "models.csv")
    forests = models[models["kind"] == "forest"].set_index("name")
    assert dataset["best_forest"] == forests["vali_ndcg@10"].idxmax()
    assert set(models["best_forest"]) == {dataset["best_forest"]}
    half = ((models["high"] - models["low"]) / 2).median()
    queries = pd.read_csv(folder / "data.csv")["queries"].sum()
    assert dataset["power"].startswith(
        "With 43 test queries nothing can be concluded about differences in nDCG@10 of 0.005: a "
        f"network’s difference from its forest has a 95 % interval of about ±{half:.3f}, and to "
        f"detect one of 0.005 takes about {about(int(models['needed'].median()))} queries"
    )
    assert dataset["power"].endswith(
        f"Cross-validation tests on all its {queries} queries (folds: cv5 in the data set’s entry "
        "and run.folds: [1, 2, 3, 4, 5]): the interval would be about "
        f"±{half * math.sqrt(43 / queries):.3f}, still too wide."
    )
    assert summary["settings"]["margin"] == 0.005
    assert summary["machine"]["id"] == "00000000"


def test_many_queries_are_not_called_few(tmp_path):
    results = Results(tmp_path / "results", queries=1500, noise=0.005)
    assert made(tmp_path, results)[1]["datasets"][0]["power"] == ""


def test_cross_validation_is_offered_where_it_is_not_done(tmp_path):
    """Whether queries were dealt into folds stands in the splits' own files."""
    results = Results(tmp_path / "results", folds=(1, 2))
    assert "Cross-validation" not in made(tmp_path, results)[1]["datasets"][0]["power"]
    for path in results.paths("meta"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"dealt": 3}))
    power = made(tmp_path, results)[1]["datasets"][0]["power"]
    assert "(run.folds: [1, 2, 3]): the interval" in power and "cv5" not in power
    for path in results.paths("meta"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"dealt": 2}))
    assert "Cross-validation" not in made(tmp_path, results)[1]["datasets"][0]["power"]


def test_a_power_between_is_no_reason_to_conclude_nothing(tmp_path):
    """The interval is narrower than the margin, yet the power is below 0.8."""
    results = Results(tmp_path / "results", queries=430, noise=0.05)
    power = made(tmp_path, results, margin=0.008)[1]["datasets"][0]["power"]
    assert power.startswith("With 430 test queries one may miss a difference in nDCG@10 of 0.008: ")


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


def test_recipes_stand_side_by_side_by_data_set_and_seed(tmp_path):
    results = Results(
        tmp_path / "results",
        ("toy", "other"),
        queries=30,
        seeds=(1, 2),
        recipes=("plain", "better"),
    )
    settings = {"distil": {"epochs": 40}, "prune": {}}
    folder, _ = made(tmp_path, results, recipes={"better": settings, "plain": settings})
    table = pd.read_csv(folder / "recipes.csv")
    networks = 2 * 2 * 2 * 2  # data sets, teachers, students, sparsities
    assert len(table) == networks * 2 * (1 + 2)
    over_seeds = table[table["seed"] == "all"]
    assert over_seeds["recipe"].tolist() == ["better", "plain"] * networks
    assert over_seeds["chosen"].sum() == networks
    # The first recipe given is the baseline: the other one loses about 0.01 against it.
    plain = over_seeds[over_seeds["recipe"] == "plain"]
    assert plain["difference"].mean() == pytest.approx(-0.01, abs=0.004)
    # 40 epochs of 0.2 s, twice where it was pruned too.
    assert dict(over_seeds.groupby("sparsity")["seconds"].mean()) == pytest.approx(
        {0.0: 8.0, 0.95: 16.0}
    )
    assert "better (chosen)" in (folder / "recipes.tex").read_text()


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


@pytest.fixture(scope="module")
def designed(tmp_path_factory):
    root = tmp_path_factory.mktemp("designed")
    results = Results(root / "results", sparsities=(0.0, 0.95), seeds=(1,))
    results.design()
    return made(root, results)


def test_designs_get_tables_only_where_some_were_trained(small, designed):
    folder, summary = designed
    assert {path.stem for path in folder.glob("*.csv")} == TABLES | {"designed", "ranked"}
    assert summary["settings"]["designs"]["toy"]["candidates"] == 4940
    assert small[1]["settings"]["designs"] == {}
    assert "Promised" in (folder / "designed.tex").read_text()
    assert len(pd.read_csv(folder / "ranked.csv")) == 4


def test_promised_stands_beside_delivered_on_the_designs_own_engine(designed):
    table = pd.read_csv(designed[0] / "designed.csv")
    assert table["design"].tolist() == ["design-400ns-1", "design-900ns-1"]
    assert set(table["engine"]) == {"native-bf16"}
    assert table["delivered"].to_numpy() == pytest.approx([0.43, 0.8], rel=0.03)
    assert table["ratio"].to_numpy() == pytest.approx(table["delivered"] / table["predicted"])
    assert table["budget_share"].to_numpy() == pytest.approx(table["delivered"] / [0.4, 0.9])
    assert table["within"].tolist() == ["no", "yes"]
    assert (table["precision_loss"] == -0.001).all()


def test_the_rival_is_hand_made_and_keeps_to_the_budget_on_the_same_engine(designed):
    """C takes 0.54 us in bf16 and A 1.6; the exact engines and other designs are no rivals."""
    table = pd.read_csv(designed[0] / "designed.csv").set_index("budget_us")
    assert pd.isna(table.loc[0.4, "rival"]) and pd.isna(table.loc[0.4, "rival_us"])
    assert "/C " in table.loc[0.9, "rival"]
    assert table.loc[0.9, "rival_us"] == pytest.approx(0.5 * 1.05 * (1 + 8 / 256), rel=0.05)


def test_a_broken_promise_is_an_alert(designed):
    (alert,) = [alert for alert in designed[1]["alerts"] if "designs took longer" in alert]
    assert alert.startswith("1 of 2 designs") and "design-400ns-1" in alert and "0.4 us" in alert


def test_a_timing_file_of_another_machine_is_refused_and_named(tmp_path):
    results = Results(tmp_path / "results", queries=12)
    path = results.paths("timing")[1]
    content = read_json(path)
    other = content["machine"] | {"id": "0badcafe", "cpu": "Other"}
    write_json(path, content | {"machine": other})
    with pytest.raises(ValueError) as raised:
        made(tmp_path, results)
    assert "1 of 0badcafe (Other)" in str(raised.value)
    assert f"again on 00000000, with 'make report ARGS=\"--forcerun {path}\"'" in str(raised.value)
    assert not (tmp_path / "report").exists()


def test_designs_for_another_machine_are_refused(tmp_path):
    results = Results(tmp_path / "results", queries=12)
    results.design(machine="0badcafe")
    with pytest.raises(ValueError, match=r"designs for machine 0badcafe.*measured on 00000000"):
        made(tmp_path, results)


def test_a_rival_is_chosen_on_vali_and_never_on_test(tmp_path):
    """Test's values turned upside down change no choice."""
    results = Results(tmp_path / "results", queries=12)
    results.design()
    chosen = pd.read_csv(made(tmp_path, results)[0] / "designed.csv")["rival"].tolist()
    for path in results.paths("quality"):
        content = json.loads(path.read_text())
        for metric in content["splits"]["test"]["metrics"].values():
            metric["per_query"] = [1 - value for value in metric["per_query"]]
        path.write_text(json.dumps(content))
    again = pd.read_csv(made(tmp_path, results)[0] / "designed.csv")["rival"].tolist()
    assert str(again) == str(chosen)


def test_the_forests_facts_are_told(small):
    """`result_files.FACTS`: 2, 0 and 4 distinct thresholds of three features."""
    folder, _ = small
    lines = pd.read_csv(folder / "forests.csv").to_dict("records")
    assert [line["name"] for line in lines] == ["large", "small"]
    for line in lines:
        facts = {key: line[key] for key in ("leaves", "depth", "features", "features_used")}
        assert facts == {"leaves": 7, "depth": 4, "features": 3, "features_used": 2}
        found = [line[f"split_points{of}"] for of in ("", "_median", "_most")]
        assert found == [2 + 4, (2 + 4) / 2, 4]
    features = pd.read_csv(folder / "features.csv").set_index("feature")
    assert features.loc[[1, 2, 3], "split_points"].tolist() == [2 * 2, 0, 2 * 4]
