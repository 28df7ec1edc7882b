"""A timing job on a small network and on the reference forest itself."""

import foreign
import numpy as np
import pytest
from tiny import random_student

from distilrank.files import read_json, write_json
from distilrank.lightgbm_text import write_lightgbm_text
from distilrank.readers import read_forest
from distilrank.worker import WorkerError
from scripts import time_model as script
from scripts.time_model import time_model

BATCHES = [1, 20]
OPTIONS = {"batches": BATCHES, "rounds": 3, "sample_ms": 0.2}


def parity(path, *passed, **skipped):
    lines = [{"engine": name, "status": "passed"} for name in passed]
    lines += [
        {"engine": name.replace("_", "-"), "status": "skipped", "reason": reason}
        for name, reason in skipped.items()
    ]
    write_json(path, {"engines": lines})
    return path


@pytest.fixture
def student(tmp_path):
    path = tmp_path / "sp0.safetensors"
    random_student(np.random.default_rng(2), dataset="tiny", student="S").save(path)
    return path


def test_a_network_is_timed_beside_the_reference_forest(student, fold, tmp_path):
    checked = parity(tmp_path / "parity.json", "numpy", torch="torch is not installed here")
    output = tmp_path / "timing.json"
    time_model(
        student, fold.model, fold.data["test"], checked, output,
        engines=["lightgbm", "numpy", "torch"], reference_engine="lightgbm", **OPTIONS,
    )  # fmt: skip
    content = read_json(output)
    rows = [(line["of"], line["engine"], line["batch"]) for line in content["measurements"]]
    assert rows == [
        ("model", "numpy", 1), ("model", "numpy", 20),
        ("reference", "lightgbm", 1), ("reference", "lightgbm", 20),
    ]  # fmt: skip
    for line in content["measurements"]:
        assert len(line["samples"]) == 3 and min(line["samples"]) > 0
        assert line["q1"] <= line["median"] == sorted(line["samples"])[1] <= line["q3"]
    first = content["measurements"][0]
    assert (first["precision"], first["exact"], first["sparse"]) == ("fp32", True, False)
    assert content["skipped"] == [{"engine": "torch", "reason": "torch is not installed here"}]
    assert content["reference"]["engine"] == "lightgbm"
    assert content["reference"]["model"]["teacher"] == "lm"
    assert content["model"]["student"] == "S"
    assert len(content["machine"]["id"]) == 8
    assert content["settings"]["documents"] == "test split, in query order"


def test_the_reference_forest_itself_is_timed_once_for_both_rows(fold, tmp_path):
    checked = parity(tmp_path / "parity.json", "lightgbm")
    output = tmp_path / "timing.json"
    time_model(
        fold.model, fold.model, fold.data["test"], checked, output,
        engines=["lightgbm", "numpy"], reference_engine="lightgbm", **OPTIONS,
    )  # fmt: skip
    measured = read_json(output)["measurements"]
    own, reference = measured[:2], measured[2:]
    assert [line["of"] for line in measured] == ["model"] * 2 + ["reference"] * 2
    assert [line["samples"] for line in own] == [line["samples"] for line in reference]


def test_a_reference_engine_that_cannot_run_is_named_not_swapped(
    student, fold, tmp_path, monkeypatch
):
    checked = parity(tmp_path / "parity.json", "numpy")

    class NoReference(script.Worker):
        def receive(self):
            answer = super().receive()
            return {"reason": "gone"} if self.name == "lightgbm" else answer

    monkeypatch.setattr(script, "Worker", NoReference)
    time_model(
        student, fold.model, fold.data["test"], checked, tmp_path / "timing.json",
        engines=["numpy"], reference_engine="lightgbm", **OPTIONS,
    )  # fmt: skip
    content = read_json(tmp_path / "timing.json")
    assert {line["of"] for line in content["measurements"]} == {"model"}
    assert content["skipped"] == [{"engine": "lightgbm", "of": "reference", "reason": "gone"}]


def test_a_reference_engine_for_other_forests_is_an_error_that_says_what_to_set(
    student, fold, tmp_path
):
    mine = tmp_path / "tiny" / "fold1" / "mine" / "model.txt"
    mine.parent.mkdir(parents=True)
    write_lightgbm_text(read_forest(foreign.FOLDER / "xgboost.json"), mine)
    checked = parity(tmp_path / "parity.json", "numpy")
    with pytest.raises(ValueError) as raised:
        time_model(
            student, mine, fold.data["test"], checked, tmp_path / "timing.json",
            engines=["numpy"], reference_engine="ydf-quickscorer", **OPTIONS,
        )  # fmt: skip
    assert str(raised.value).startswith(
        "config key 'timing.reference_engine' is 'ydf-quickscorer', which cannot score the forest "
        "'mine', the first of run.teachers: the forest routes missing values, "
    )


def test_an_engine_without_a_parity_line_is_never_timed(student, fold, tmp_path):
    checked = parity(tmp_path / "parity.json", "numpy")
    with pytest.raises(ValueError, match="no line for torch"):
        time_model(
            student, fold.model, fold.data["test"], checked, tmp_path / "timing.json",
            engines=["numpy", "torch"], reference_engine="lightgbm", **OPTIONS,
        )  # fmt: skip


def test_an_engine_that_passed_but_cannot_be_loaded_fails_the_job(student, fold, tmp_path):
    checked = parity(tmp_path / "parity.json", "scipy-csr+numpy")
    with pytest.raises(ValueError, match=r"scipy-csr\+numpy passed.*first layer is dense"):
        time_model(
            student, fold.model, fold.data["test"], checked, tmp_path / "timing.json",
            engines=["scipy-csr+numpy"], reference_engine="lightgbm", **OPTIONS,
        )  # fmt: skip
    assert not (tmp_path / "timing.json").exists()


def test_a_crashing_engine_fails_the_job_by_name(student, fold, tmp_path, monkeypatch):
    class Crashing(script.Worker):
        def send(self, do, **arguments):
            if do == "sample" and self.name == "numpy":
                self._process.kill()
                self._process.wait()
            super().send(do, **arguments)

    monkeypatch.setattr(script, "Worker", Crashing)
    checked = parity(tmp_path / "parity.json", "numpy")
    with pytest.raises(WorkerError, match="engine numpy died in 'sample' with signal SIGKILL"):
        time_model(
            student, fold.model, fold.data["test"], checked, tmp_path / "timing.json",
            engines=["numpy"], reference_engine="lightgbm", **OPTIONS,
        )  # fmt: skip
