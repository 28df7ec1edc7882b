"""A made-up folder of results, of the files in `result_files`. Every number is synthetic."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.files import read_json, write_json
from tests.result_files import (
    BATCHES,
    MACHINE,
    WIDTHS,
    forest,
    measurement,
    network,
    parity,
    place,
    planned,
    quality,
    timing,
    write_benchmark,
)


class Results:
    """A folder of results like a small run's: two forests, two students, some sparsities.

    Each recipe is 0.01 nDCG@10 better than the one before.

    Attributes:
        root: the folder that takes the place of ``results/``.
        datasets: their keys; a quarter of the values of ``other`` is missing in train and test.
    """

    def __init__(
        self,
        root: Path,
        datasets: Sequence[str] = ("toy",),
        sparsities: Sequence[float] = (0.0, 0.95),
        queries: int = 43,
        folds: Sequence[int] = (1,),
        seeds: Sequence[int] = (1,),
        noise: float = 0.05,
        recipes: Sequence[str] = ("plain",),
    ) -> None:
        self.root, self.generator = root, np.random.default_rng(7)
        self.recipes = recipes
        self.queries = self._sizes(queries)
        for dataset in datasets:
            for fold in folds:
                self._fold(dataset, fold, queries, sparsities, seeds, noise)
        self._validation()
        self._benchmarks()

    def paths(self, kind: str) -> list[Path]:
        """All files of one kind: quality, parity, timing, meta, history or sensitivity."""
        pattern = {"meta": "data/**/meta.json", "history": "students/**/*.csv"}
        return sorted(self.root.glob(pattern.get(kind, f"{kind}/**/*.json")))

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs of ``make_tables`` but for the published figures."""
        kinds = ("quality", "parity", "timing", "meta", "history", "sensitivity")
        validation = self.root / "predictor" / "validation.json"
        designs = sorted(self.root.glob("design/*/*/designs.json"))
        found = {kind: self.paths(kind) for kind in kinds}
        more = {"designs": designs, "benchmarks": self.root / "benchmarks"}
        return found | {"validation": validation} | more

    def design(self, dataset: str = "toy", machine: str = "00000000") -> None:
        """Two designs for each of two budgets, the first of each trained; 0.4 us takes too long."""
        designs = {}
        for budget, delivered in ((0.4, 0.43), (0.9, 0.8)):
            for rank in (1, 2):
                line = planned(budget, rank)
                designs[f"design-{round(1000 * budget)}ns-{rank}"] = line
            model = network(f"design-{round(1000 * budget)}ns-1", 0.95, dataset=dataset)
            lines = [
                measurement(engine, self._samples(us), **more)
                for engine, us, more in (
                    ("native-bf16", delivered, {"precision": "bf16", "exact": False}),
                    ("native-fp32", 2 * delivered, {}),
                )
            ]
            truth = {split: self.generator.beta(3, 3, n) for split, n in self.queries.items()}
            self._model(model, truth, -0.004, 0.05, lines, True)
            self._history(model)
        content = {
            "dataset": dataset,
            "machine": {**MACHINE, "id": machine},
            "settings": {"batch": 256, "margin": 0.08},
            "candidates": 4940,
            "capacity": {"exponent": 0.5, "why": "no trained networks were asked", "from": []},
            "designs": designs,
        }
        write_json(self.root / "design" / machine / dataset / "designs.json", content)

    def _fold(
        self,
        dataset: str,
        fold: int,
        queries: int,
        sparsities: Sequence[float],
        seeds: Sequence[int],
        noise: float,
    ) -> None:
        truth = {split: self.generator.beta(3, 3, n) for split, n in self._sizes(queries).items()}
        for split, values in truth.items():
            self._meta(dataset, fold, split, len(values))
        for teacher, level, time in (("small", -0.01, 1.3), ("large", 0.0, 4.0)):
            model = forest(teacher, dataset, fold)
            self._model(model, truth, level, noise, self._forest_lines(time), fold == 1)
            for student, sparsity, recipe, seed in product(WIDTHS, sparsities, self.recipes, seeds):
                model = network(student, sparsity, teacher, dataset, fold, seed, recipe)
                loss = level - 0.004 - 0.02 * (sparsity > 0.98) - 0.006 * (student == "C")
                loss += 0.01 * self.recipes.index(recipe)
                lines = self._network_lines(student, sparsity)
                timed = fold == 1 and seed == seeds[0]
                self._model(model, truth, loss, noise, lines, timed)
                self._history(model)
                if timed and not sparsity:
                    self._sensitivity(model)

    def _sizes(self, queries: int) -> dict[str, int]:
        return {"train": 3 * queries // 4, "vali": max(2, queries // 4), "test": queries}

    def _model(
        self,
        model: dict[str, Any],
        truth: dict[str, np.ndarray],
        level: float,
        noise: float,
        lines: list[dict],
        timed: bool,
    ) -> None:
        values = {
            split: np.clip(base + level + self.generator.normal(0, noise, len(base)), 0, 1)
            for split, base in truth.items()
        }
        content = quality(model, values["vali"].tolist(), values["test"].tolist())
        write_json(place(self.root, "quality", model), content)
        engines = sorted({line["engine"] for line in lines})
        write_json(place(self.root, "parity", model), parity(model, engines))
        if timed:
            reference = [4.0 * factor for factor in self.generator.normal(1, 0.004, 9)]
            skipped = [{"engine": "absent", "reason": "absent is not installed: see the README"}]
            job = timing(model, lines, reference, skipped=skipped, batches=BATCHES)
            write_json(place(self.root, "timing", model), job)

    def _forest_lines(self, us: float) -> list[dict]:
        engines = {"lightgbm": 7.0, "ydf-quickscorer": 1.0}
        return [
            measurement(engine, self._samples(us * slower * (1 + 3 / batch)), batch)
            for engine, slower in engines.items()
            for batch in BATCHES
        ]

    def _network_lines(self, student: str, sparsity: float) -> list[dict]:
        first, rest = {"A": (0.9, 2.2), "C": (0.45, 0.6)}[student]
        dense = {"torch": 1.25, "onnxruntime": 1.0, "numpy": 1.2, "native-bf16": 0.5}
        rough = {"precision": "bf16", "exact": False}
        lines = [
            measurement(
                engine, self._samples((first + rest) * slower * (1 + 8 / batch)), batch,
                **(rough if engine.endswith("bf16") else {}),
            )
            for engine, slower in dense.items()
            for batch in BATCHES
        ]  # fmt: skip
        sparse = {"scipy-csr+numpy": 8.0, "mkl-csr+numpy": 5.0} if sparsity else {}
        for engine, cost in sparse.items():
            us = rest * 1.05 + first * (0.1 + cost * (1 - sparsity))
            lines += [
                measurement(engine, self._samples(us * (1 + 8 / batch)), batch, sparse=True)
                for batch in BATCHES
            ]
        return lines

    def _samples(self, us: float, rounds: int = 9) -> list[float]:
        return (us * self.generator.normal(1, 0.01, rounds)).tolist()

    def _meta(self, dataset: str, fold: int, split: str, queries: int) -> None:
        counts = {"documents": 116 * queries, "queries": queries, "features": 136}
        if dataset == "other" and split != "vali":
            missing = counts["documents"] * counts["features"] // 4
            counts |= {"missing": {"value": 3.4028234663852886e38, "count": missing}}
        path = self.root / "data" / dataset / f"fold{fold}" / split / "meta.json"
        write_json(path, counts | {"labels": [60 * queries, 40 * queries, 16 * queries]})

    def _history(self, model: dict[str, Any]) -> None:
        folder = place(self.root, "students", model).parent
        folder.mkdir(parents=True, exist_ok=True)
        phase = "prune" if model["sparsity"] else "distil"
        lines = ["epoch,phase,loss,ndcg_vali,learning_rate,seconds"]
        for epoch in range(1, 41):
            loss = 0.5 * epoch**-0.7 * (1 + model["sparsity"])
            ndcg = 0.5 - 0.1 / epoch - 0.01 * model["sparsity"] + self.generator.normal(0, 0.002)
            lines.append(f"{epoch},{phase},{loss:.6g},{ndcg:.6g},0.001,0.2")
        path = folder / f"sp{round(1000 * model['sparsity'])}.csv"
        path.write_text("\n".join(lines) + "\n")

    def _sensitivity(self, model: dict[str, Any]) -> None:
        points = [
            {"layer": layer, "weights": 1000, "sparsity": level, "us": 3.0 - 2 * level,
             "ndcg@10": 0.5 - 0.1 * level / layer, "error": level / layer}
            for layer in (1, 2) for level in (0.0, 0.9)
        ]  # fmt: skip
        found = {name: points[1][name] for name in ("us", "ndcg@10", "error")}
        spread = found | {"sparsities": [0.7, 0.8]}
        lines = [{"sparsity": 0.9, "alone": found, "spread": spread}]
        content = {"model": model, "batch": 256, "points": points, "allocations": lines}
        path = place(self.root, "sensitivity", model).parent.with_suffix(".json")
        write_json(path, content)

    def _validation(self) -> None:
        layers = []
        for kind, kernel, sparsity in (("dense", "numpy", 0.0), ("sparse", "mkl-csr", 0.95)):
            for width in range(50, 550, 50):
                call = 0.02 * width * (1 - sparsity)
                shape = {"outputs": width, "inputs": 136, "sparsity": sparsity}
                line = {"kernel": kernel, "kind": kind, "batch": 256, **shape}
                layers.append(line | {"measured": call, "predicted": self._off(call)})
        students = []
        for path in self.paths("timing"):
            content = read_json(path)
            for line in content["measurements"]:
                if content["model"]["kind"] == "network" and line["engine"] == "numpy":
                    times = {"measured": line["median"], "predicted": self._off(line["median"])}
                    where = {"engine": "numpy", "batch": line["batch"], "model": content["model"]}
                    students.append(where | times)
        content = {"layers": layers, "students": students, "native": self._native()}
        write_json(self.root / "predictor" / "validation.json", content)

    def _native(self) -> dict[str, Any]:
        """Random networks in the native scorer, two steps each."""
        networks, steps = [], []
        for width in range(50, 350, 50):
            line = {"engine": "native-fp32", "batch": 256}
            call = 0.5 * width
            times = {"measured": call, "predicted": self._off(call)}
            networks.append(line | times | {"kind": "dense", "name": f"136-{width}-1"})
            shape = {"inputs": 136, "outputs": width, "nonzeros": 136 * width}
            step = line | shape | {"numbers": "fp32", "regime": "block"}
            steps.append(step | times | {"kind": "dense", "share": 0.8})
            steps.append(step | times | {"kind": "last", "share": 0.01})
        cost = {"value": 3e-4, "unit": "us/vector", "meaning": "one multiplication"}
        costs = {"native-fp32": {"dense fp32": {"block.product": cost}}}
        return {"batches": [256], "networks": networks, "layers": steps, "costs": costs}

    def _benchmarks(self) -> None:
        """Of the jobs that evaluate models; the others have none."""
        for path in self.paths("quality"):
            name = path.relative_to(self.root / "quality").with_suffix(".tsv")
            write_benchmark(self.root / "benchmarks" / "evaluate_ranking" / name)

    def _off(self, time: float) -> float:
        return time * float(np.exp(self.generator.normal(0, 0.1)))
