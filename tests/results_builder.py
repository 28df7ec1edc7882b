"""Small, made-up result files in the form docs/files.md gives them. Every number is synthetic."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.files import read_json, write_json

BATCHES = (1, 20, 256)
CONVENTIONS = {"gain": "exponential, 2^label - 1", "no_relevant": 1.0, "ties": "random order"}
MACHINE = {"id": "00000000", "cpu": "Synthetic CPU", "cores": 2, "flags": ["avx2", "avx512f"]}
REFERENCE = {"model": {"kind": "forest", "dataset": "toy", "fold": 1, "teacher": "large"}}
FACTS = {"leaves": 7, "depth": 4, "split_points": [2, 0, 4]}
WIDTHS = {"A": (400, 200, 200, 100), "C": (200, 100, 100, 50)}


def forest(teacher: str = "large", dataset: str = "toy", fold: int = 1) -> dict[str, Any]:
    """A forest's ``model`` object."""
    trees = {"large": 878, "small": 212}.get(teacher, 100)
    return {
        "kind": "forest",
        "dataset": dataset,
        "fold": fold,
        "teacher": teacher,
        "trees": trees,
        "max_leaves": 64,
    }


def network(
    student: str = "A",
    sparsity: float = 0.0,
    teacher: str = "large",
    dataset: str = "toy",
    fold: int = 1,
    seed: int = 1,
    recipe: str = "plain",
) -> dict[str, Any]:
    """A network's ``model`` object."""
    widths = WIDTHS.get(student, (50, 20))
    architecture = "-".join(map(str, (136, *widths, 1)))
    origin = {
        "architecture": architecture,
        "zeros": [round(sparsity * 136 * widths[0]), *[0] * len(widths)],
        "layers": [1],
    }
    return {
        "kind": "network",
        "dataset": dataset,
        "fold": fold,
        "teacher": teacher,
        "student": student,
        "recipe": recipe,
        "seed": seed,
        "sparsity": sparsity,
        "architecture": architecture,
        "layer_sparsity": [sparsity, *[0.0] * len(widths)],
    } | ({"pruned_from": origin} if sparsity else {})


def quality(
    model: dict[str, Any], vali: Sequence[float | None], test: Sequence[float | None]
) -> dict[str, Any]:
    """A quality file in which every metric has the given per-query values."""
    return {
        "model": model,
        "feature_use": [3, 0, 5],
        "conventions": CONVENTIONS,
        "splits": {"vali": _split(vali, 1000), "test": _split(test, 2000)},
    } | ({"forest": FACTS} if model["kind"] == "forest" else {})


def _split(values: Sequence[float | None], first_qid: int) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    metric = {"mean": float(np.mean(known)), "per_query": list(values)}
    metrics = dict.fromkeys(("ndcg@1", "ndcg@5", "ndcg@10", "map", "mrr"), metric)
    return {"qids": [first_qid + query for query in range(len(values))], "metrics": metrics}


def measurement(engine: str, us: float | Sequence[float], batch: int = 256, **more: Any) -> dict:
    """One line of ``measurements``: three rounds of ``us``, or the samples given."""
    samples = list(us) if isinstance(us, Sequence) else [us, us, us]
    q1, median, q3 = np.percentile(samples, [25, 50, 75])
    defaults = {"of": "model", "precision": "fp32", "exact": True, "sparse": False}
    times = {"samples": samples, "median": float(median), "q1": float(q1), "q3": float(q3)}
    return {"engine": engine, "batch": batch, "describe": {}, **defaults, **times, **more}


def timing(
    model: dict[str, Any],
    measurements: Sequence[dict],
    reference_us: float | Sequence[float] = 4.0,
    machine: str = "00000000",
    skipped: Sequence[dict] = (),
    batches: Sequence[int] = (256,),
) -> dict[str, Any]:
    """A timing file; the reference forest takes ``reference_us`` at every batch."""
    reference = [measurement("qs", reference_us, batch, of="reference") for batch in batches]
    target = {**REFERENCE["model"], "dataset": model["dataset"]}
    return {
        "model": model,
        "reference": {"model": target, "engine": "qs"},
        "machine": {**MACHINE, "id": machine},
        "settings": {"batches": list(batches), "rounds": 3, "threads": 1, "documents": "test"},
        "measurements": [*measurements, *reference],
        "skipped": list(skipped),
    }


def parity(model: dict[str, Any], engines: Sequence[str]) -> dict[str, Any]:
    """A parity file in which every engine passed, but for one that was skipped."""
    passed = {"status": "passed", "error": 2e-7, "tolerance": 1e-5, "kendall_tau": 1.0}
    lines = [{"engine": engine, "describe": {}, **passed} for engine in engines]
    for line in lines:
        line |= {"quality": loss()} if line["engine"].endswith("bf16") else {}
    skipped = {"engine": "absent", "status": "skipped", "reason": "absent is not installed"}
    return {"model": model, "documents": 4989, "engines": [*lines, skipped]}


def loss(difference: float = -0.001, p_value: float = 0.25, tau: float = 0.99) -> dict[str, Any]:
    """What an engine in low precision loses: ``quality`` of its line in a parity file."""
    half = 0.002
    return {
        "metric": "ndcg@10",
        "exact": 0.5,
        "engine": 0.5 + difference,
        "difference": difference,
        "interval": [difference - half, difference + half],
        "p_value": p_value,
        "queries": 43,
        "permutations": 10_000,
        "kendall_tau": tau,
        "kendall_tau_overall": tau + 0.005,
        "largest_error": 0.02,
        "mean_error": 0.003,
    }


def write_benchmark(path: Path, s="2.5", cpu_time="2.25", max_rss="150.0") -> None:
    """A benchmark file as Snakemake writes it."""
    values = {"s": s, "h:m:s": "0:00:02", "max_rss": max_rss, "mean_load": "90.0"}
    values["cpu_time"] = cpu_time
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\t".join(values) + "\n" + "\t".join(values.values()) + "\n")


def planned(budget: float, rank: int) -> dict[str, Any]:
    """One design of ``designs.json``."""
    time = budget * (0.93 - 0.01 * rank)
    return {
        "budget_us": budget,
        "rank": rank,
        "widths": [200, 100],
        "precision": "bf16",
        "architecture": "136-200-100-1",
        "sparsity": 0.95,
        "engine": "native-bf16",
        "predicted": time,
        "low": 0.96 * time,
        "high": 1.04 * time,
        "bound": 1.08 * time,
        "steps": [["rows", time]],
        "parameters": 47601,
        "multiply_adds": 21460,
        "capacity": 26000.0 / rank,
        "vali_ndcg": None,
    }


def place(root: Path, kind: str, model: dict[str, Any]) -> Path:
    """Where a model's ``kind`` file lies under ``root``."""
    folder = root / kind / model["dataset"] / f"fold{model['fold']}" / model["teacher"]
    if model["kind"] == "forest":
        return folder / "teacher.json"
    name = f"sp{round(1000 * model['sparsity'])}.json"
    return folder / model["student"] / model["recipe"] / f"seed{model['seed']}" / name


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
