"""Small, made-up result files in the form docs/files.md gives them. Every number is synthetic."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

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
