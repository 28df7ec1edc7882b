"""Architectures for a time budget, before any of them is trained.

Every architecture within the config's limits gets a predicted time; those that keep to the budget
with room to spare are ranked by capacity (`distilrank.capacity`), and of nearly equal ones one is
kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb
from typing import Any

from distilrank.capacity import Capacity, layer_sizes
from distilrank.naming import budget_name, engine_of
from distilrank.planned import Estimate, NativeTimes

# Listed for each budget; what is trained is a part of it.
LISTED = 20
# Two architectures whose widths all lie within this ratio are nearly equal.
_NEAR = 1.5
# Another depth is preferred to one that is there already if it has this share of the best one's
# capacity: the measure does not know what a layer more is worth, so training is to tell.
_WORTHY = 0.5
_MOST = 200_000


@dataclass(frozen=True)
class Space:
    """The architectures in question: hidden widths never rise from one layer to the next.

    Attributes:
        depths: numbers of hidden layers.
        widths: of hidden layers.
        sparsities: shares of zeros of the first layer; the others are dense.
        precisions: ``fp32``, ``bf16`` or ``int8``.
    """

    depths: Sequence[int]
    widths: Sequence[int]
    sparsities: Sequence[float]
    precisions: Sequence[str]

    def __len__(self) -> int:
        shapes = sum(comb(len(self.widths) + depth - 1, depth) for depth in self.depths)
        return shapes * len(self.sparsities) * len(self.precisions)

    def __iter__(self) -> Iterator["Candidate"]:
        for depth in self.depths:
            for widths in combinations_with_replacement(sorted(self.widths, reverse=True), depth):
                for sparsity in self.sparsities:
                    for precision in self.precisions:
                        yield Candidate(widths, sparsity, precision)


@dataclass(frozen=True)
class Candidate:
    """One architecture: hidden widths, the first layer's share of zeros, and how it is scored."""

    widths: tuple[int, ...]
    sparsity: float
    precision: str

    def layers(self, features: int) -> list[tuple[int, float]]:
        """(weights, share of zeros) of each layer."""
        first, *others = layer_sizes((features, *self.widths, 1))
        return [(first, self.sparsity), *((size, 0.0) for size in others)]


@dataclass(frozen=True)
class Plan:
    """A candidate with what it would cost and hold.

    Attributes:
        estimate: its predicted time.
        bound: microseconds a document that it is expected to keep to.
        capacity: the measure of `distilrank.capacity`.
    """

    candidate: Candidate
    features: int
    estimate: Estimate
    bound: float
    capacity: float

    @property
    def architecture(self) -> str:
        """Widths from features to output, such as ``136-200-100-1``."""
        return "-".join(map(str, (self.features, *self.candidate.widths, 1)))

    @property
    def parameters(self) -> int:
        """Weights and biases before pruning."""
        sizes = layer_sizes((self.features, *self.candidate.widths, 1))
        return sum(sizes) + sum(self.candidate.widths) + 1

    @property
    def multiply_adds(self) -> int:
        """Multiplications and additions a document: the weights that are not 0."""
        layers = self.candidate.layers(self.features)
        return sum(size - round(sparsity * size) for size, sparsity in layers)


@dataclass(frozen=True)
class Design:
    """One line of a budget's list; ``rank`` counts from 1."""

    budget: float
    rank: int
    plan: Plan

    @property
    def name(self) -> str:
        """The student's key, such as ``design-500ns-1``."""
        return f"design-{budget_name(self.budget)}-{self.rank}"

    def as_json(self, capacity: Capacity) -> dict[str, Any]:
        """All of it, times in microseconds a document."""
        plan, chosen = self.plan, self.plan.candidate
        known = capacity.slope == capacity.slope
        return {
            "budget_us": self.budget,
            "rank": self.rank,
            "widths": list(chosen.widths),
            "architecture": plan.architecture,
            "sparsity": chosen.sparsity,
            "precision": chosen.precision,
            "engine": engine_of(chosen.precision),
            "predicted": plan.estimate.total,
            "low": plan.estimate.low,
            "high": plan.estimate.high,
            "bound": plan.bound,
            "steps": [list(step) for step in plan.estimate.steps],
            "parameters": plan.parameters,
            "multiply_adds": plan.multiply_adds,
            "capacity": plan.capacity,
            "vali_ndcg": capacity.ndcg(plan.capacity) if known else None,
        }


def plan_all(
    space: Space,
    features: int,
    times: NativeTimes,
    batch: int,
    margin: float,
    capacity: Capacity,
) -> list[Plan]:
    """Every candidate with its predicted time, the greatest capacity first.

    A candidate is expected to keep to the larger of its interval's upper end and its time plus
    ``margin`` (a fraction). The interval is the predictor's own doubt. The margin is for what no
    predictor sees, and for being picked: whoever takes the largest of thousands that fit takes
    those whose time is underestimated.

    Raises:
        ValueError: if there are too many candidates.
    """
    if len(space) > _MOST:
        raise ValueError(
            f"design: spans {len(space):,} architectures, at most {_MOST:,} can be planned; "
            "give fewer widths, depths or sparsities"
        )
    plans = []
    for candidate in space:
        estimate = times.estimate(
            (features, *candidate.widths, 1), candidate.sparsity, candidate.precision, batch
        )
        bound = max(estimate.high, (1 + margin) * estimate.total)
        measure = capacity.of(candidate.layers(features))
        plans.append(Plan(candidate, features, estimate, bound, measure))
    # The faster of two that hold as much.
    return sorted(plans, key=lambda plan: (-plan.capacity, plan.estimate.total))


def designs(plans: Sequence[Plan], budget: float, count: int = LISTED) -> list[Design]:
    """The list for one budget: at most ``count`` designs, no two of them nearly equal.

    The first has the greatest capacity of all that keep to the budget; then come other depths,
    each by the largest, and then all over again.

    Args:
        plans: as `plan_all` orders them.
        budget: microseconds a document.

    Raises:
        ValueError: if nothing keeps to the budget; names the least that is needed, and for what.
    """
    left = [plan for plan in plans if plan.bound <= budget]
    if not left:
        raise ValueError(_floor(plans, budget))
    picked: list[Plan] = []
    depths: set[int] = set()
    while left and len(picked) < count:
        fresh = [plan for plan in left if len(plan.candidate.widths) not in depths]
        best = left[0]
        if fresh and fresh[0].capacity >= _WORTHY * best.capacity:
            best = fresh[0]
        else:
            depths = set()
        picked.append(best)
        depths.add(len(best.candidate.widths))
        left = [plan for plan in left if not near(plan.candidate.widths, best.candidate.widths)]
    return [Design(budget, rank, plan) for rank, plan in enumerate(picked, 1)]


def near(widths: Sequence[int], others: Sequence[int]) -> bool:
    """Whether two architectures are nearly equal, whatever their sparsities and precisions.

    The shallower one's last width is repeated: layers that go on as narrow as the last one cost
    and hold next to nothing, so they make no other architecture.
    """
    depth = max(len(widths), len(others))
    pairs = zip(_deepened(widths, depth), _deepened(others, depth), strict=True)
    return all(max(pair) <= _NEAR * min(pair) for pair in pairs)


def _deepened(widths: Sequence[int], depth: int) -> list[int]:
    return [*widths, *[widths[-1]] * (depth - len(widths))]


def _floor(plans: Sequence[Plan], budget: float) -> str:
    least = min(plans, key=lambda plan: plan.bound)
    chosen, estimate = least.candidate, least.estimate
    steps = ", ".join(f"{name} {time:.3g}" for name, time in estimate.steps)
    zeros = f"{100 * chosen.sparsity:.3g} % zeros" if chosen.sparsity else "dense"
    return (
        f"config key 'design.budget_us' holds {budget:g} us, and none of {len(plans):,} "
        f"architectures keeps to it: the floor is {least.bound:.3g} us a document, that of "
        f"{least.architecture} ({zeros}, {chosen.precision}), whose predicted {estimate.total:.3g} "
        f"us ({steps}) need the margin too; raise the budget or design.batch, or add narrower "
        "design.widths"
    )


def space_of(settings: Mapping[str, Any]) -> Space:
    """The space that the config's ``design`` section spans."""
    return Space(*(settings[name] for name in ("depths", "widths", "sparsities", "precisions")))
