"""Fitting and validating the time predictors on sweeps made from known costs."""

import csv

import numpy as np
import pytest
from tiny import random_student

from distilrank.files import read_json, write_json
from distilrank.identity import model_identity
from distilrank.sweep import design, layer_facts, make_weight
from scripts.fit_predictor import fit_predictor
from scripts.time_kernels import COLUMNS
from scripts.validate_predictor import validate_predictor

SETTINGS = {
    "dense_points": 30, "sparse_points": 30, "validate_share": 0.2, "outputs": [5, 60],
    "inputs": [6, 60], "sparsities": [0.5, 0.95], "seed": 1,
}  # fmt: skip
BATCHES = (1, 20, 256)
KERNELS = {"dense": ("numpy", "fetch", "transpose"), "sparse": ("scipy-csr",)}


def known_time(kernel, facts, batch):
    """Microseconds: a call, and each product or moved value."""
    if kernel in ("fetch", "transpose"):
        return 1.0 + 0.001 * batch * facts["inputs"]
    return 3.0 + 0.002 * batch * facts["nonzeros"]


def write_sweep(path, kind, points):
    """Three rounds: the known time, and one round far too slow that the median ignores."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for kernel in KERNELS[kind]:
            for point in points:
                facts = layer_facts(make_weight(point))
                for batch in BATCHES:
                    time = known_time(kernel, facts, batch)
                    line = facts | {"kernel": kernel, "kind": kind, "part": point.part}
                    for number, factor in enumerate((1, 9, 1)):
                        writer.writerow(
                            line | {"batch": batch, "round": number, "microseconds": time * factor}
                        )
    return path


def context(folder, machine="here"):
    path = folder / f"context-{machine}.json"
    write_json(path, {"machine": {"id": machine}, "settings": {}})
    return path


@pytest.fixture
def sweeps(tmp_path):
    return {
        kind: write_sweep(tmp_path / f"{kind}.csv", kind, design(kind, SETTINGS))
        for kind in KERNELS
    }


@pytest.fixture
def fitted(sweeps, tmp_path):
    paths = {kind: tmp_path / f"{kind}-predictor.json" for kind in sweeps}
    for kind, path in paths.items():
        fit_predictor(sweeps[kind], context(tmp_path), path)
    return paths


def test_a_fit_gives_the_known_costs_with_units(fitted):
    content = read_json(fitted["dense"])
    costs = content["kernels"]["numpy"]["matrix"]
    assert costs["product"]["value"] == pytest.approx(0.002, rel=0.01)
    assert costs["product"]["unit"] == "us/product"
    assert content["fit"]["numpy"]["p95_abs_error"] < 0.01
    assert content["machine"] == {"id": "here"}


def test_a_sweep_that_is_too_small_is_refused(tmp_path):
    few = design("dense", SETTINGS | {"dense_points": 2, "validate_share": 0.0})
    path = write_sweep(tmp_path / "few.csv", "dense", few)
    with pytest.raises(ValueError, match="dense_points"):
        fit_predictor(path, context(tmp_path), tmp_path / "few.json")
    assert not (tmp_path / "few.json").exists()


def timing_of(model, lines, machine="here"):
    return {"model": model, "machine": {"id": machine}, "measurements": lines}


def test_times_from_another_machine_are_refused(fitted, sweeps, tmp_path):
    timing = tmp_path / "timing.json"
    write_json(timing, timing_of({"kind": "forest"}, [], machine="elsewhere"))
    output = tmp_path / "validation.json"
    with pytest.raises(ValueError, match=r'again on here, .*"--forcerun \S*timing\.json"'):
        validate_predictor(*fitted.values(), sweeps.values(), [timing], [], output)
    assert not output.exists()


def test_validation_sets_predictions_beside_measurements(fitted, sweeps, tmp_path):
    student = random_student(np.random.default_rng(0), (8, 6, 5, 1), student="S", sparsity=0.5)
    path = tmp_path / "sp500.safetensors"
    student.save(path)
    # fetch + three layers with all their weights; the file's time is twice that, a document.
    weights = 8 * 6 + 6 * 5 + 5
    expected = (1.0 + 0.001 * 20 * 8 + 3 * 3.0 + 0.002 * 20 * weights) / 20
    lines = [
        {"engine": name, "of": of, "batch": 20, "median": 2 * expected}
        for name, of in [("numpy", "model"), ("openvino", "model"), ("numpy", "reference")]
    ]
    timing = tmp_path / "timing.json"
    write_json(timing, timing_of(model_identity(path, student), lines))
    forest = tmp_path / "forest.json"
    write_json(forest, timing_of({"kind": "forest"}, lines))
    validate_predictor(
        fitted["dense"], fitted["sparse"], sweeps.values(), [timing, forest], [path],
        tmp_path / "validation.json",
    )  # fmt: skip
    content = read_json(tmp_path / "validation.json")
    assert content["machine"] == {"id": "here"}
    (found,) = content["students"]
    assert found["model"] == model_identity(path, student)
    assert found["measured"] == 2 * expected
    assert found["predicted"] == pytest.approx(expected, rel=0.02)
    held_out = round(0.2 * 30) * len(BATCHES)
    assert len(content["layers"]) == 2 * held_out
    assert {line["kernel"] for line in content["steps"]} == {"fetch", "transpose"}
    accuracy = {(line["what"], line["kernel_or_engine"]): line for line in content["accuracy"]}
    assert set(accuracy) == {
        ("dense layers", "numpy"), ("sparse layers", "scipy-csr"), ("reading rows", "fetch"),
        ("reading rows", "transpose"), ("students", "numpy"),
    }  # fmt: skip
    assert accuracy["sparse layers", "scipy-csr"]["median_abs_error"] < 0.05
    assert accuracy["students", "numpy"]["median_abs_error"] == pytest.approx(0.5, abs=0.02)
    assert content["coefficients"]["dense"]["numpy"]["matrix"]["product"]["unit"] == "us/product"
