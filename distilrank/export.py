"""A model's folder to take away: it stands alone, and is scored from C, Python or ONNX Runtime."""

import os
import shutil
from pathlib import Path

import numpy as np

from distilrank.dependencies import shipped_files
from distilrank.engines import TOLERANCES, Model, load_model
from distilrank.engines.onnxruntime_net import onnx_bytes
from distilrank.files import replacing_folder
from distilrank.forest_file import save_forest
from distilrank.letor import MISSING
from distilrank.model_card import Facts, model_card
from distilrank.native import LIBRARY
from distilrank.parity import spread_of
from distilrank.scorer import Scorer
from distilrank.student import Student
from distilrank.synthetic import Midpoints

# In standard deviations of the scores, the largest difference: as the parity check has it.
TOLERANCE = TOLERANCES["fp32"]
DOCUMENTS = 100
# What the library opens; a forest is there as LightGBM text too.
MODEL, TEXT = "model.safetensors", "model.txt"
_MISSING_SHARE = 0.02
_SEED = 0


def export_model(
    model_path: str | os.PathLike,
    midpoints: str | os.PathLike,
    library: str | os.PathLike,
    facts: Facts,
    folder: str | os.PathLike,
) -> None:
    """Write a model's folder; docs/export.md lists what is in it.

    Args:
        model_path: a student's file or a forest as LightGBM text.
        midpoints: the teacher's, which test documents are drawn from.
        library: the native library.
        facts: for the model's card.
        folder: what is written; it appears when all of it is there and its scores are right.

    Raises:
        ValueError: if the library or the ONNX model scores otherwise than the model itself.
    """
    model = load_model(model_path)
    rows = made_up_rows(model, Midpoints.load(midpoints))
    expected = model.predict(rows)
    with replacing_folder(folder) as made:
        (made / "distilrank").mkdir()
        for place, source in shipped_files().items():
            shutil.copyfile(source, made / place)
        shutil.copyfile(library, made / "distilrank" / LIBRARY)
        if isinstance(model, Student):
            shutil.copyfile(model_path, made / MODEL)
            (made / "model.onnx").write_bytes(onnx_bytes(model))
        else:
            shutil.copyfile(model_path, made / TEXT)
            save_forest(model, made / MODEL)
        # Nine digits give back every float32.
        np.savetxt(made / "rows.csv", rows, "%.9g", delimiter=",")
        np.savetxt(made / "scores.txt", expected, "%.9g")
        check_scores(made, model, rows, expected)
        (made / "model_card.md").write_text(model_card(facts), encoding="utf-8")
        (made / "README.md").write_text(_readme(model, expected), encoding="utf-8")


def made_up_rows(model: Model, midpoints: Midpoints) -> np.ndarray:
    """(documents, features) float32: made up, so that no document of the data leaves with a model.

    Where the model fills in missing values some are missing.
    """
    generator = np.random.default_rng(_SEED)
    rows = midpoints.draw(DOCUMENTS, generator)
    if isinstance(model, Student) and model.fill is not None:
        rows[generator.random(rows.shape) < _MISSING_SHARE] = MISSING
    return rows


def check_scores(folder: Path, model: Model, rows: np.ndarray, expected: np.ndarray) -> None:
    """Raise ``ValueError`` unless a folder's own files give the expected scores of ``rows``."""
    library = folder / "distilrank" / LIBRARY
    found = {}
    for name in (MODEL,) if isinstance(model, Student) else (MODEL, TEXT):
        with Scorer(folder / name, library=library) as scorer:
            found[f"{LIBRARY} with {name}"] = scorer.score(rows)
    if isinstance(model, Student):
        found["model.onnx"] = _scored_by_onnx(folder / "model.onnx", rows)
    for name, scores in found.items():
        error = np.abs(scores - expected).max()
        # NaN compares false.
        if not error <= tolerance(expected):
            raise ValueError(
                f"{name} gives scores that are off by up to {error:.2g}, expected at most "
                f"{tolerance(expected):.2g}; nothing is exported"
            )


def tolerance(expected: np.ndarray) -> float:
    """How far scores may be from the ``expected`` ones."""
    return TOLERANCE * spread_of(expected)


def _scored_by_onnx(path: Path, rows: np.ndarray) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(["scores"], {"rows": rows})[0][:, 0]


def _readme(model: Model, expected: np.ndarray) -> str:
    files = {
        **(_network_files(model) if isinstance(model, Student) else _FOREST_FILES),
        "distilrank/": f"the library `{LIBRARY}`, its C header `distilrank.h`, and its Python "
        "package, which needs NumPy alone",
        "score.c": "an example in C",
        "score.py": "an example in Python",
        "rows.csv": f"{DOCUMENTS} made-up documents, none of the data",
        "scores.txt": "the scores they must get, computed in double precision",
        "model_card.md": "what the model is, how well it ranks, how fast, whose data",
        "LICENSE": "of all that is not the model: Apache-2.0",
    }
    listed = "\n".join(f"| `{name}` | {what} |" for name, what in files.items())
    return _README.format(
        files=listed, model=MODEL, features=model.n_features,
        onnx=_ONNX.format(features=model.n_features) if isinstance(model, Student) else "",
        within=f"{tolerance(expected):.2g}", share=f"{TOLERANCE:g}",
    )  # fmt: skip


def _network_files(student: Student) -> dict[str, str]:
    return {
        MODEL: "the network: weights, biases, the z-score of its features, its widths",
        "model.onnx": f"the same network for ONNX Runtime: `rows` (n, {student.n_features}) "
        "float32 to `scores` (n, 1); the z-score is folded into the first layer, and pruned "
        "weights are stored as zeros, dense",
    }


_FOREST_FILES = {
    MODEL: "the forest: its trees' numbers, and the features' names",
    TEXT: "the same forest as LightGBM text, for LightGBM and others; the library reads it "
    "too, taking longer",
}
_README = """# An exported model

| file | what |
|---|---|
{files}

A document is {features} numbers (float32), in the order of the features that the model learnt
from. One call scores all documents of a query. `{model}` is data alone: nothing in it is run.

From C:

```sh
cc -std=c99 -O2 score.c -Idistilrank -Ldistilrank -ldistilrank \\
  -Wl,-rpath,'$ORIGIN/distilrank' -o score
./score {model} rows.csv
```

From Python, where the package is installed or the program lies beside `distilrank/`:

```python
import distilrank

scorer = distilrank.Scorer("{model}")
scores = scorer.score(rows)  # (n, {features}) float32; another thread takes scorer.clone()
```
{onnx}
Each of these gives the scores of `scores.txt` within {within}, which is {share} of their standard
deviation.
"""
_ONNX = """
From Python with ONNX Runtime, without the library:

```python
session = onnxruntime.InferenceSession("model.onnx")
scores = session.run(["scores"], {{"rows": rows}})[0][:, 0]  # (n, {features}) float32
```
"""
