"""Tables of time: engines against each other, low precision, predictions; on hand-made results."""

import json
import math

import numpy as np
import pytest
from test_tables import job, timings

from distilrank import evidence, tables, time_tables
from tests.result_files import loss, measurement, network, parity


def test_sparse_is_held_against_the_fastest_dense_engine_of_the_same_job():
    model = network("A", 0.95)
    lines = [
        measurement("slow dense", 3.0),
        measurement("dense", [2.0, 2.2, 1.8]),
        measurement("int8", 0.1, precision="int8", exact=False),
        measurement("mkl", [1.0, 1.0, 1.0], sparse=True),
        measurement("scipy", [4.0, 4.0, 4.0], sparse=True),
    ]
    dense_model = job(network("A"), measurement("dense", 1.0))
    table = tables.speedup_table(timings(job(model, *lines), dense_model), 256)
    assert table["engine"].tolist() == ["mkl", "scipy"]
    assert set(table["dense_engine"]) == {"dense"}
    assert table["ratio"].tolist() == pytest.approx([2.0 / 1.0, 2.0 / 4.0])
    # Per round 2.0, 2.2 and 1.8: quartiles of three lie half way between neighbours.
    assert table["ratio_q1"].iloc[0] == pytest.approx((1.8 + 2.0) / 2)
    assert table["ratio_q3"].iloc[0] == pytest.approx((2.0 + 2.2) / 2)
    assert table["fastest"].tolist() == [True, False]


def test_skipped_engines_keep_their_reasons_and_are_counted():
    skip = [{"engine": "xsmm", "reason": "no library"}]
    table = tables.engines_table(
        timings(
            job(network("A"), measurement("t", 1.0), skipped=skip),
            job(network("C"), measurement("t", 1.0, 20), measurement("t", 2.0), skipped=skip),
        )
    )
    assert evidence.skipped_engines(table).to_dict("records") == [
        {"engine": "xsmm", "reason": "no library", "models": 2}
    ]
    wide, batches = time_tables.by_batch(table)
    assert batches == [20, 256]
    assert wide.fillna(0)[["20", "256"]].to_numpy().tolist() == [[0.0, 1.0], [1.0, 2.0]]


def test_a_job_off_the_others_median_by_more_than_the_drift_is_flagged():
    references = {"A": 4.0, "B": 4.0, "C": 4.1, "D": 4.2}
    jobs = [
        job(network(name), measurement("t", 1.0), reference_us=us)
        for name, us in references.items()
    ]
    table = evidence.health_table(timings(*jobs), 256, drift=0.03)
    assert table["others_us"].tolist() == pytest.approx([4.1, 4.1, 4.0, 4.0])
    deviations = [4.0 / 4.1 - 1, 4.0 / 4.1 - 1, 4.1 / 4.0 - 1, 4.2 / 4.0 - 1]
    assert table["deviation"].tolist() == pytest.approx(deviations)
    assert table["flagged"].tolist() == [False, False, False, True]


def test_a_job_without_its_reference_is_flagged():
    bare = job(network("A"), measurement("t", 1.0))
    bare.content["measurements"].pop()
    full = job(network("C"), measurement("t", 1.0))
    table = evidence.health_table(timings(bare, full), 256, drift=0.03)
    assert table["flagged"].tolist() == [True, False]


def test_predictor_accuracy(tmp_path):
    layer = {"kernel": "numpy", "kind": "dense", "outputs": 4, "inputs": 3, "sparsity": 0.0}
    calls = [(10.0, 11.0), (20.0, 18.0), (40.0, 40.0), (80.0, 100.0)]
    layers = [
        layer | {"batch": 10, "measured": measured, "predicted": predicted}
        for measured, predicted in calls
    ]
    student = {"engine": "mkl-csr+numpy", "model": network("A", 0.95), "batch": 256}
    content = {"layers": layers, "students": [student | {"measured": 2.0, "predicted": 1.5}]}
    (tmp_path / "validation.json").write_text(json.dumps(content))
    table = time_tables.predictor_table(tmp_path / "validation.json")
    # A layer's time is given for a call of ten documents, a student's for one document.
    assert table["measured"].tolist() == pytest.approx([10 / 10, 20 / 10, 40 / 10, 80 / 10, 2.0])
    assert table["kind"].tolist() == ["dense"] * 4 + ["sparse"]
    assert table["name"].tolist()[3:] == ["3 to 4, dense", "large/A 95 %"]
    found = time_tables.accuracy_table(table).set_index("set").loc[time_tables.LAYERS]
    assert found["median_error"] == pytest.approx(np.median([0.1, 0.1, 0.0, 0.25]))
    assert found["max_error"] == pytest.approx(100 / 80 - 1)
    assert found["bias"] == pytest.approx(np.median([0.1, -0.1, 0.0, 0.25]))
    assert found["rank_correlation"] == pytest.approx(1.0)


def test_native_times_by_what_engine_and_batch(tmp_path):
    line = {"engine": "native-fp32", "measured": 10.0, "predicted": 12.0, "batch": 20}
    network = line | {"kind": "dense", "name": "8-4-1"}
    step = line | {"inputs": 8, "outputs": 4, "nonzeros": 32, "kind": "dense", "share": 0.5}
    cost = {"value": 0.002, "unit": "us/vector", "meaning": "one"}
    native = {
        "batches": [20],
        "networks": [network, network | {"batch": 7, "predicted": 9.0}],
        "layers": [step, step | {"kind": "last", "share": 0.01}, step | {"kind": "rows"}],
        "costs": {"native-fp32": {"call": {"once": cost, "pieces": cost | {"value": 0.0}}}},
    }
    path = tmp_path / "validation.json"
    path.write_text(json.dumps({"native": native}))
    times = time_tables.times_table(path).set_index("what")
    # A step that is a trifle of its call is left out; a batch of one network alone has no number.
    assert list(times.index) == [
        "dense layers", "random networks", "random networks", "reading rows",
    ]  # fmt: skip
    assert times.loc["random networks", "median_error"].tolist() == pytest.approx([0.2, 0.1])
    assert times.loc["random networks", "batch"].isna().tolist() == [False, True]
    assert times.loc["dense layers", "worst"] == "8 words to 4"
    costs = time_tables.costs_table(path)
    assert costs[["cost", "unit"]].to_numpy().tolist() == [[2.0, "ns/vector"]]
    # A call's time becomes a document's.
    table = time_tables.predictor_table(path)
    assert table["set"].tolist() == [time_tables.LAYERS] + 2 * [time_tables.NETWORKS]
    assert table["measured"].tolist() == pytest.approx([0.5, 0.5, 10 / 7])


def test_no_predictions_are_told(tmp_path):
    (tmp_path / "validation.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no predictions"):
        time_tables.predictor_table(tmp_path / "validation.json")


ROUGH = {"precision": "bf16", "exact": False}


def checked(tmp_path, model, **losses):
    """A parity file of ``model``; each engine named gets its loss."""
    content = parity(model, [])
    content["engines"] += [
        {"engine": name.replace("_", "-"), "status": "passed", "quality": each}
        for name, each in losses.items()
    ]
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
    path.write_text(json.dumps(content))
    return path


def test_low_precision_against_the_same_scorer_in_fp32(tmp_path):
    plain, tuned = (network("A", 0.95, recipe=recipe) for recipe in ("plain", "tuned"))
    tuned["precision"] = "int8"
    lines = (
        measurement("native-fp32", [1.0, 2.0, 3.0]),
        measurement("native-bf16", [0.5, 0.5, 0.5], **ROUGH),
        measurement("faster-csr", 0.4, sparse=True),
    )
    worse = loss(-0.01, p_value=0.01, tau=0.9)
    paths = [
        checked(tmp_path, tuned, native_bf16=loss()),
        checked(tmp_path, plain, native_bf16=worse, absent_int8=loss()),
        checked(tmp_path, network("A", 0.95, recipe="plain", seed=2), native_bf16=loss()),
        checked(tmp_path, network("C", 0.95), native_bf16=loss()),
    ]
    jobs = timings(job(plain, *lines), job(tuned, *lines[1:]))
    table = tables.precision_table(paths, jobs, 256)
    # Neither another seed nor a model without a timing job has a line.
    assert table["name"].tolist() == ["large/A/plain 95 %"] * 2 + ["large/A/tuned 95 %"]
    assert table["tuned_for"].tolist() == ["fp32", "fp32", "int8"]
    first, untimed, other = table.to_dict("records")
    assert first["base_engine"] == "native-fp32" and first["base_us"] == 2.0
    assert [first[name] for name in ("speedup_q1", "speedup", "speedup_q3")] == [3.0, 4.0, 5.0]
    assert (first["ndcg_exact"], first["ndcg@10"], first["mark"]) == (0.5, 0.49, "worse")
    assert (first["kendall_tau"], first["kendall_tau_overall"]) == (0.9, 0.905)
    assert untimed["engine"] == "absent-int8" and math.isnan(untimed["us"])
    assert math.isnan(untimed["speedup"]) and untimed["batch"] == 256
    assert other["base_engine"] == "faster-csr", "the fastest faithful engine where fp32 is absent"
    assert other["speedup"] == pytest.approx(0.4 / 0.5) and other["mark"] == ""
