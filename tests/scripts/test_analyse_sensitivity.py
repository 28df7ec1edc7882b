"""scripts/analyse_sensitivity.py: a dense student's file to one JSON file."""

import json

import numpy as np
from calibrated import write_calibration
from tiny import FEATURES, random_student

from distilrank.planned import NativeTimes
from distilrank.sensitivity import pruned_at
from scripts.analyse_sensitivity import analyse_sensitivity


def test_points_and_allocations_of_a_student(fold, tmp_path):
    meta = {"dataset": "tiny", "fold": 1, "teacher": "lm", "student": "S", "recipe": "quick",
            "seed": 3, "sparsity": 0.0}  # fmt: skip
    dense = random_student(np.random.default_rng(0), (FEATURES, 30, 20, 1), **meta)
    dense.save(tmp_path / "sp0.safetensors")
    predictor = write_calibration(tmp_path / "native.json")
    outputs = [tmp_path / name for name in ("a.json", "b.json")]
    for output in outputs:
        analyse_sensitivity(
            tmp_path / "sp0.safetensors", fold.data["vali"], predictor, output, batch=64
        )
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    found = json.loads(outputs[0].read_text())
    assert found["model"]["architecture"] == f"{FEATURES}-30-20-1" and found["batch"] == 64
    point = next(p for p in found["points"] if (p["layer"], p["sparsity"]) == (2, 0.9))
    pruned = pruned_at(dense, [0.0, 0.9, 0.0])
    assert point["us"] == NativeTimes.read(predictor).of_student(pruned, "fp32", 64).total
    assert {line["sparsity"] for line in found["allocations"]} <= {
        0.5,
        0.7,
        0.8,
        0.9,
        0.95,
        0.98,
        0.99,
    }
    assert all(len(line["spread"]["sparsities"]) == 3 for line in found["allocations"])
