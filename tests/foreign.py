"""Forests of other libraries, each made with its own, and what that library says they score.

Run with a Python that has them all (`pip install xgboost-cpu==3.2.0 catboost==1.2.10
scikit-learn==1.9.1 skl2onnx==1.20.0`), it writes the files of tests/data/forests anew.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "data" / "forests"
FEATURES = 5
Score = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Maker:
    """How a forest is made: ``make(file, generator, **settings)`` returns its own scoring."""

    module: str
    file: str
    make: Callable[..., Score]
    settings: dict[str, Any]
    nan: bool = True


def rows_and_target(generator: np.random.Generator, nan: bool) -> tuple[np.ndarray, np.ndarray]:
    """400 rows: many equal values, zeros, giants and, if ``nan``, missing values in column 1."""
    rows = generator.normal(size=(400, FEATURES)).astype(np.float32)
    rows[:, ::2] = np.round(rows[:, ::2], 1)
    rows[:, 3] *= np.float32(1e30)
    target = np.sin(3 * rows[:, 0]) + np.sign(rows[:, 3]) + rows[:, 1] + 0.5 * (rows[:, 4] > 0)
    if nan:
        rows[::7, 1] = np.nan
    return rows, target


def xgboost_forest(file: Path, generator: np.random.Generator, nan: bool, **settings) -> Score:
    import xgboost

    rows, target = rows_and_target(generator, nan)
    if settings.get("objective", "").startswith(("binary", "count", "reg:gamma")):
        target = (target > 0).astype(float) + 0.5 * settings["objective"].startswith("reg:gamma")
    names = settings.pop("names", None)
    data = xgboost.DMatrix(rows, target, feature_names=names)
    if settings.get("objective", "").startswith("rank"):
        data = xgboost.DMatrix(rows, np.digitize(target, [0, 1, 2]), group=[20] * 20)
    trained = {"max_depth": 3, "nthread": 1, "eta": 0.3, "seed": 1} | settings
    booster = xgboost.train(trained, data, 4)
    booster.save_model(file)
    return lambda rows: booster.predict(
        xgboost.DMatrix(rows, feature_names=names), output_margin=True
    )


def catboost_forest(file: Path, generator: np.random.Generator, nan: bool, **settings) -> Score:
    import catboost

    rows, target = rows_and_target(generator, nan)
    trained = {"iterations": 4, "depth": 3, "thread_count": 1, "verbose": 0} | settings
    model = catboost.CatBoost({"loss_function": "RMSE", "allow_writing_files": False} | trained)
    model.fit(catboost.Pool(rows, target))
    model.save_model(str(file), format="json")
    return lambda rows: model.predict(rows, prediction_type="RawFormulaVal", thread_count=1)


def sklearn_forest(file: Path, generator: np.random.Generator, nan: bool, kind: str) -> Score:
    import onnx
    from skl2onnx import to_onnx
    from sklearn import ensemble

    rows, target = rows_and_target(generator, nan)
    settings = {
        "GradientBoostingRegressor": {"n_estimators": 4, "max_depth": 3, "random_state": 1},
        "RandomForestRegressor": {"n_estimators": 4, "max_depth": 3, "random_state": 1},
        "HistGradientBoostingRegressor": {"max_iter": 4, "max_leaf_nodes": 8, "random_state": 1},
    }[kind]
    model = getattr(ensemble, kind)(**settings).fit(rows, target)
    make_attribute = onnx.helper.make_attribute

    def with_integers(key: str, value: Any, *others: Any, **named: Any) -> Any:
        """Booleans as integers, as onnx wants them since skl2onnx 1.20 was made."""
        if isinstance(value, list) and value and not isinstance(value[0], str | bytes):
            value = [int(each) if isinstance(each, bool | np.integer) else each for each in value]
        return make_attribute(key, value, *others, **named)

    onnx.helper.make_attribute = with_integers
    try:
        exported = to_onnx(model, rows[:1])
    finally:
        onnx.helper.make_attribute = make_attribute
    file.write_bytes(exported.SerializeToString())
    if kind == "HistGradientBoostingRegressor":
        # skl2onnx rounds its thresholds to the nearest float32: the export is what is carried.
        return _onnx_scores(file)
    return model.predict


def _onnx_scores(file: Path) -> Score:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {"X": rows})[0].ravel()


def lightgbm_forest(file: Path, generator: np.random.Generator, nan: bool, **settings) -> Score:
    import lightgbm

    rows, target = rows_and_target(generator, nan)
    trained = {"num_leaves": 12, "min_data_in_leaf": 1, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(trained | settings, lightgbm.Dataset(rows, target), 8)
    if file.suffix == ".json":
        file.write_text(json.dumps(booster.dump_model(), default=float))
    else:
        booster.save_model(file)
    return lambda rows: booster.predict(rows, raw_score=True)


_BOOSTED, _BINNED, _RANDOM = (
    {"kind": f"{kind}Regressor"}
    for kind in ("GradientBoosting", "HistGradientBoosting", "RandomForest")
)
MAKERS = {
    "lightgbm-text": Maker("lightgbm", "lightgbm.txt", lightgbm_forest, {}),
    "lightgbm-json": Maker("lightgbm", "lightgbm.json", lightgbm_forest, {}),
    "lightgbm-json-zero": Maker(
        "lightgbm", "lightgbm-zero.json", lightgbm_forest, {"zero_as_missing": True}
    ),
    "xgboost-json": Maker("xgboost", "xgboost.json", xgboost_forest, {}),
    "xgboost-ubj": Maker("xgboost", "xgboost.ubj", xgboost_forest, {}),
    "xgboost-dart": Maker(
        "xgboost", "xgboost-dart.json", xgboost_forest, {"booster": "dart", "rate_drop": 0.5}
    ),
    "xgboost-lossguide": Maker(
        "xgboost", "xgboost-lossguide.json", xgboost_forest,
        {"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0, "gamma": 0.1},
    ),
    **{
        f"xgboost-{objective.replace(':', '-')}": Maker(
            "xgboost", f"xgboost-{objective.replace(':', '-')}.json", xgboost_forest,
            {"objective": objective} | more,
        )
        for objective, more in {
            "rank:ndcg": {}, "rank:pairwise": {}, "binary:logistic": {"base_score": 0.3},
            "binary:logitraw": {"base_score": 0.3}, "count:poisson": {}, "reg:gamma": {},
            "reg:absoluteerror": {}, "reg:pseudohubererror": {}, "binary:hinge": {},
        }.items()
    },
    "catboost-symmetric": Maker("catboost", "catboost.json", catboost_forest, {}),
    "catboost-nan-max": Maker(
        "catboost", "catboost-nan-max.json", catboost_forest, {"nan_mode": "Max"}
    ),
    "catboost-depthwise": Maker(
        "catboost", "catboost-depthwise.json", catboost_forest, {"grow_policy": "Depthwise"}
    ),
    "sklearn-boosted": Maker("skl2onnx", "sklearn-boosted.onnx", sklearn_forest, _BOOSTED, False),
    "sklearn-binned": Maker("skl2onnx", "sklearn-binned.onnx", sklearn_forest, _BINNED),
    "sklearn-random": Maker("skl2onnx", "sklearn-random.onnx", sklearn_forest, _RANDOM, False),
}  # fmt: skip


# Whose files and scores are in tests/data/forests.
COMMITTED = [
    *("xgboost-json", "xgboost-ubj", "xgboost-dart", "xgboost-binary-logistic"),
    *("xgboost-count-poisson", "catboost-symmetric", "catboost-nan-max", "catboost-depthwise"),
    *("sklearn-boosted", "sklearn-binned", "sklearn-random"),
]


def probes(
    generator: np.random.Generator, thresholds: list[np.ndarray], nan: bool, count: int = 400
) -> np.ndarray:
    """Rows, (count, features) float32, of every threshold, its neighbours, 0, giants and NaN."""
    columns = []
    for values in thresholds:
        edges = values[np.abs(values) <= np.finfo(np.float32).max].astype(np.float32)
        ends = np.float32([-np.inf, np.inf])
        near = [edges, np.nextafter(edges, ends[0]), np.nextafter(edges, ends[1])]
        special = np.float32([0.0, -0.0, 1, -1, 3e38, -3e38] + [np.nan] * nan)
        # What LightGBM takes for 0 is told apart elsewhere.
        known = np.concatenate([*near, special, generator.normal(size=20).astype(np.float32)])
        known[(np.abs(known) <= np.float32(1e-35)) | np.isinf(known)] = 0
        rows = generator.choice(known, count)
        rows[: min(count, len(known))] = known[:count]
        columns.append(generator.permutation(rows))
    return np.stack(columns, axis=1).astype(np.float32)


def _shorten(file: Path) -> None:
    """Leave out what CatBoost writes of the training, four fifths of the file."""
    model = json.loads(file.read_text())
    del model["model_info"]
    file.write_text(json.dumps(model, separators=(",", ":")) + "\n")


def main() -> None:
    from distilrank.readers import read_forest

    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in COMMITTED:
        maker = MAKERS[name]
        generator, file = np.random.default_rng(0), FOLDER / maker.file
        score = maker.make(file, generator, maker.nan, **maker.settings)
        if maker.module == "catboost":
            _shorten(file)
        rows = probes(generator, read_forest(file).thresholds(), maker.nan, 60)
        scores = np.asarray(score(rows), np.float64)
        told = {
            "version": sys.modules[maker.module].__version__,
            "rows": [[None if np.isnan(x) else float(str(x)) for x in row] for row in rows],
            "scores": scores.tolist(),
        }
        (FOLDER / f"{name}.expected.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
