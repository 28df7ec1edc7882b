"""A small kernel sweep."""

import csv

import pytest

from distilrank import sweep
from distilrank.files import read_json
from distilrank.machine import fingerprint
from scripts import time_kernels as script
from scripts.time_kernels import COLUMNS, time_kernels

SETTINGS = {
    "dense_points": 4, "sparse_points": 4, "validate_share": 0.25, "outputs": [5, 20],
    "inputs": [6, 12], "sparsities": [0.5, 0.9], "rounds": 2, "sample_ms": 0.01, "seed": 1,
}  # fmt: skip


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_kernel_times_every_layer_once_a_round(tmp_path, monkeypatch):
    monkeypatch.setitem(
        sweep.KERNELS, "sparse", {"scipy-csr": sweep.KERNELS["sparse"]["scipy-csr"]}
    )
    time_kernels(
        "sparse",
        tmp_path / "sparse.csv",
        tmp_path / "sparse.json",
        settings=SETTINGS,
        batches=[1, 5],
    )
    context = read_json(tmp_path / "sparse.json")
    assert context["settings"] == SETTINGS
    assert context["machine"]["id"] == fingerprint()["id"]
    lines = read(tmp_path / "sparse.csv")
    assert tuple(lines[0]) == COLUMNS
    assert len(lines) == 4 * 2 * 2
    keys = {
        (line["outputs"], line["inputs"], line["nonzeros"], line["batch"], line["round"])
        for line in lines
    }
    assert len(keys) == len(lines)
    assert sum(line["part"] == "validate" for line in lines) == len(lines) // 4
    for line in lines:
        assert float(line["microseconds"]) > 0
        zeros = 1 - int(line["nonzeros"]) / (int(line["outputs"]) * int(line["inputs"]))
        assert float(line["sparsity"]) == pytest.approx(zeros)
        assert int(line["active_rows"]) <= int(line["outputs"])


def test_reading_and_transposing_rows_are_swept_with_the_dense_kernels(tmp_path, monkeypatch):
    few = {name: sweep.KERNELS["dense"][name] for name in ("numpy", "fetch", "transpose")}
    monkeypatch.setitem(sweep.KERNELS, "dense", few)
    time_kernels(
        "dense", tmp_path / "dense.csv", tmp_path / "dense.json", settings=SETTINGS, batches=[3]
    )
    lines = read(tmp_path / "dense.csv")
    assert {line["kernel"] for line in lines} == set(few)
    orders = [[line["outputs"] for line in lines if line["round"] == number] for number in "01"]
    assert orders[0] != orders[1]


def test_no_kernel_at_all_is_an_error(tmp_path, monkeypatch):
    class Lacking(script.Worker):
        def receive(self):
            answer = super().receive()
            return {"reason": "not here"} if self._doing == "prepare_kernel" else answer

    monkeypatch.setattr(script, "Worker", Lacking)
    monkeypatch.setitem(sweep.KERNELS, "dense", {"numpy": sweep.KERNELS["dense"]["numpy"]})
    with pytest.raises(ValueError, match="no dense kernel can run here, of numpy"):
        time_kernels(
            "dense", tmp_path / "dense.csv", tmp_path / "dense.json", settings=SETTINGS, batches=[1]
        )
    assert not (tmp_path / "dense.csv").exists()
