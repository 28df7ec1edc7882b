"""The time model of networks in the native scorer: fitted costs of counted work.

A call's time is the sum of its steps' times and of the call itself. Each step's time is a sum of
counts (`steps.steps`) by non-negative costs, fitted for each precision and kind of step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distilrank.calibration import Sample
from distilrank.native_net import Geometry, NativeNet, pieces
from distilrank.predictor import non_negative
from distilrank.steps import cost, steps

CALL = "call"
# A step's error counts relative to its own time, but for steps below this share of the whole.
_SMALL = 0.03
BATCH_CLASSES = ("1-2", "3-63", "64 and more")
Costs = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class NativeModel:
    """Costs in microseconds by precision, group of steps and name of the count.

    Attributes:
        geometries: by precision, of the kernels that run.
        costs: ``costs[precision][group][count]``; the group ``call`` is the call itself.
        clocks: by precision, what reading the clock once costs in a profile.
    """

    geometries: Mapping[str, Geometry]
    costs: Mapping[str, Costs]
    clocks: Mapping[str, float]

    def steps(self, net: NativeNet, batch: int) -> list[tuple[str, float]]:
        """Microseconds a call of each step and of the ``call`` itself.

        Raises:
            ValueError: if no calibrated network had such a step.
        """
        geometry, costs = self.geometries[net.precision], self.costs[net.precision]
        made = []
        for step in steps(net, batch, geometry):
            if step.group not in costs:
                raise ValueError(
                    f"no calibrated network had a step '{step.group}' in {net.precision}; raise "
                    "networks under calibration: in the config"
                )
            made.append((step.name, _sum(costs[step.group], step.counts)))
        return [*made, (CALL, _sum(costs[CALL], call_counts(net, batch, geometry)))]

    def as_json(self) -> dict[str, Any]:
        """Costs with their units and meanings."""
        costs = {
            precision: {
                group: {name: {"value": value} | asdict(cost(name)) for name, value in own.items()}
                for group, own in groups.items()
            }
            for precision, groups in self.costs.items()
        }
        geometries = {name: asdict(geometry) for name, geometry in self.geometries.items()}
        return {"costs": costs, "geometries": geometries, "clocks": dict(self.clocks)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "NativeModel":
        """What ``as_json`` gave."""
        costs = {
            precision: {
                group: {name: entry["value"] for name, entry in own.items()}
                for group, own in groups.items()
            }
            for precision, groups in content["costs"].items()
        }
        geometries = {name: Geometry(**own) for name, own in content["geometries"].items()}
        return cls(geometries, costs, content["clocks"])


def batch_class(batch: int) -> str:
    """Batches that err alike: one or two documents, less than a block, blocks."""
    return BATCH_CLASSES[0 if batch <= 2 else 1 if batch < 64 else 2]


def call_counts(net: NativeNet, batch: int, geometry: Geometry) -> dict[str, float]:
    """What a call costs outside its steps."""
    cut = pieces(batch, net.precision, geometry)
    ahead = batch - cut[0].documents
    return {"once": 1, "prefetch": ahead * -(-net.features // 16), "pieces": len(cut)}


def _sum(costs: Mapping[str, float], counts: Mapping[str, float]) -> float:
    return float(sum(costs.get(name, 0.0) * count for name, count in counts.items()))


def fit_native(samples: Sequence[Sample], geometries: Mapping[str, Geometry]) -> NativeModel:
    """Costs by non-negative least squares on the relative error, from the part ``fit``.

    Raises:
        ValueError: if some kind of step has fewer samples than costs.
    """
    costs, clocks = {}, {}
    for precision, geometry in geometries.items():
        own = [s for s in samples if s.net.precision == precision and s.part == "fit"]
        if not own:
            raise ValueError(f"there are no samples in {precision} to fit costs on")
        costs[precision], clocks[precision] = _fit_precision(own, precision, geometry)
    return NativeModel(dict(geometries), costs, clocks)


def _fit_precision(
    samples: Sequence[Sample], precision: str, geometry: Geometry
) -> tuple[dict[str, dict[str, float]], float]:
    call, clock = _fit_call(samples, geometry)
    rows: dict[str, list[tuple[Mapping[str, float], float, float]]] = {}
    for sample in samples:
        counted = steps(sample.net, sample.batch, geometry)
        for step, time in zip(counted, step_times(sample, clock, geometry), strict=True):
            scale = max(time, _SMALL * sample.median)
            rows.setdefault(step.group, []).append((step.counts, time, scale))
    costs = {CALL: call}
    for group, found in sorted(rows.items()):
        names = sorted({name for counts, *_ in found for name, count in counts.items() if count})
        if len(found) < len(names):
            raise ValueError(
                f"{precision} has {len(found)} samples of '{group}' to fit {len(names)} costs on; "
                "raise networks under calibration: in the config"
            )
        counts = np.array([[counts.get(name, 0.0) for name in names] for counts, *_ in found])
        times, scale = np.array([[time, scale] for _, time, scale in found]).T
        solution = non_negative(counts, times, scale)
        costs[group] = dict(zip(names, solution.tolist(), strict=True))
    return costs, clock


def worst_networks(samples: Sequence[Sample], model: NativeModel, count: int) -> list[str]:
    """The names of the ``count`` networks of the fit that it is furthest off at."""
    errors: dict[str, list[float]] = {}
    for sample in samples:
        if sample.part == "fit":
            total = sum(time for _, time in model.steps(sample.net, sample.batch))
            errors.setdefault(sample.name, []).append(abs(np.log(total / sample.median)))
    # Few of its points are enough: a model that is wrong somewhere is so for some batch.
    worst = {name: float(np.quantile(own, 0.8)) for name, own in errors.items()}
    return sorted(worst, key=lambda name: -worst[name])[:count]


def step_times(sample: Sample, clock: float, geometry: Geometry) -> np.ndarray:
    """(1 + layers,) microseconds a call: medians over rounds, without the clock's own cost."""
    middle = np.median(sample.steps, axis=0)
    count = len(pieces(sample.batch, sample.net.precision, geometry))
    return np.maximum(middle - clock * count, 0.1 * middle + 1e-4)


def _fit_call(samples: Sequence[Sample], geometry: Geometry) -> tuple[dict[str, float], float]:
    """The call's costs, and the clock's: what the whole has beyond its steps, or they beyond it."""
    counts = [call_counts(sample.net, sample.batch, geometry) for sample in samples]
    names = list(counts[0])
    whole = np.array([sample.median for sample in samples])
    inside = np.array([np.median(sample.steps, axis=0).sum() for sample in samples])
    reads = [c["pieces"] * (1 + len(s.net.layers)) for c, s in zip(counts, samples, strict=True)]
    matrix = np.array([[*(c[n] for n in names), -r] for c, r in zip(counts, reads, strict=True)])
    solution = non_negative(matrix, whole - inside, whole)
    return dict(zip(names, solution[:-1].tolist(), strict=True)), float(solution[-1])
