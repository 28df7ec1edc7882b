"""Small model files of every kind, for the fuzz target: ``model_seeds.py FOLDER``."""

import sys
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
from tiny import random_student

from distilrank.forest_file import save_forest
from distilrank.lightgbm_text import read_lightgbm_text

FORESTS = {
    "plain": {"use_missing": False},
    "nan": {"use_missing": True},
    "zero": {"zero_as_missing": True},
    "stumps": {"num_leaves": 2},
}


def write_seeds(folder: Path) -> None:
    """Networks with and without a fill, forests with every kind of missing value."""
    generator = np.random.default_rng(0)
    for layers, widths in enumerate([(3, 1), (3, 2, 1), (5, 4, 3, 1)], 1):
        student = random_student(generator, widths, note='größer "x"\n')
        student.save(folder / f"network{layers}.safetensors")
        filling = replace(student, fill=student.mean.astype(np.float32))
        filling.save(folder / f"filling{layers}.safetensors")
    rows = generator.normal(size=(200, 4)).round(1)
    target = rows[:, 0] + rows[:, 1].round()
    rows[generator.random(rows.shape) < 0.2] = np.nan
    common = {"objective": "regression", "num_leaves": 4, "verbose": -1, "num_threads": 1}
    for name, parameters in FORESTS.items():
        booster = lightgbm.train(common | parameters, lightgbm.Dataset(rows, target), 2)
        booster.save_model(folder / f"{name}.txt")
        save_forest(read_lightgbm_text(folder / f"{name}.txt"), folder / f"{name}.safetensors")


if __name__ == "__main__":
    write_seeds(Path(sys.argv[1]))
