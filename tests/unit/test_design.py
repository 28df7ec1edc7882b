"""distilrank.design: what keeps to a budget, ranked, and no two of it nearly equal."""

import math
import re
import time
from itertools import combinations, pairwise

import pytest

from distilrank.capacity import Capacity
from distilrank.design import (
    LISTED,
    Candidate,
    Plan,
    Space,
    designs,
    near,
    plan_all,
)
from distilrank.naming import budget_name
from distilrank.planned import Estimate

FEATURES = 136
SPACE = Space((1, 2, 3, 4), (25, 50, 75, 100, 150, 200, 300, 400), (0, 0.9, 0.98), ("fp32", "bf16"))
RATES = {"fp32": 1e-5, "bf16": 4e-6}  # microseconds a multiplication and addition


class Times:
    """Times in the shape of `planned.NativeTimes`, made of the multiplications alone."""

    def __init__(self, doubt: float = 0.02, call: float = 0.02) -> None:
        self.machine = {"id": "00000000"}
        self.doubt, self.call = doubt, call

    def estimate(self, widths, sparsity, precision, batch):
        shares = [1 - sparsity, *[1.0] * (len(widths) - 2)]
        layers = [
            (f"layer {number}", RATES[precision] * share * inputs * outputs)
            for number, (share, (inputs, outputs)) in enumerate(
                zip(shares, pairwise(widths), strict=True), 1
            )
        ]
        steps = (*layers, ("call", self.call))
        total = sum(step for _, step in steps)
        return Estimate(steps, (1 - self.doubt) * total, (1 + self.doubt) * total)


def plans(times: Times | None = None, margin: float = 0.0, space: Space = SPACE) -> list[Plan]:
    return plan_all(space, FEATURES, times or Times(), 256, margin, Capacity())


def test_the_space_holds_every_narrowing_network_once():
    found = list(SPACE)
    assert len(found) == len(set(found)) == len(SPACE) == (8 + 36 + 120 + 330) * 3 * 2
    assert {len(each.widths) for each in found} == {1, 2, 3, 4}
    assert all(wide >= slim for each in found for wide, slim in pairwise(each.widths))
    assert Candidate((400, 200, 200, 100), 0.98, "bf16") in found


def test_thousands_are_planned_in_seconds():
    start = time.perf_counter()
    made = plans()
    for budget in (0.2, 0.5, 1.0):
        designs(made, budget)
    assert time.perf_counter() - start < 5


def test_parameters_and_multiply_adds_are_those_of_the_network():
    plan = Plan(Candidate((200, 50), 0.98, "fp32"), 136, Estimate((), 0, 0), 0.0, 0.0)
    weights = 136 * 200, 200 * 50, 50
    assert plan.architecture == "136-200-50-1"
    assert plan.parameters == sum(weights) + 200 + 50 + 1
    assert plan.multiply_adds == weights[0] - round(0.98 * weights[0]) + sum(weights[1:])


@pytest.mark.parametrize("budget", [0.1, 0.2, 0.5, 1.0])
def test_every_design_keeps_to_its_budget_and_the_first_holds_most(budget):
    made = plans(margin=0.05)
    chosen = designs(made, budget)
    assert 1 <= len(chosen) <= LISTED
    assert [design.rank for design in chosen] == list(range(1, len(chosen) + 1))
    for design in chosen:
        total = design.plan.estimate.total
        assert 1.05 * total <= design.plan.bound <= budget
        again = Times().estimate(
            (FEATURES, *design.plan.candidate.widths, 1),
            design.plan.candidate.sparsity, design.plan.candidate.precision, 256,
        )  # fmt: skip
        assert total == again.total
    most = max(plan.capacity for plan in made if plan.bound <= budget)
    assert chosen[0].plan.capacity == most


def test_the_wider_of_interval_and_margin_decides():
    for doubt, margin in ((0.02, 0.1), (0.1, 0.02)):
        for plan in plans(Times(doubt), margin, Space((1,), (100,), (0,), ("fp32",))):
            assert plan.bound == pytest.approx(1.1 * plan.estimate.total)


def test_a_measured_time_within_the_margin_keeps_the_promise():
    """Whatever is picked: with every time underestimated by less than the margin."""
    for budget in (0.2, 0.5, 1.0):
        for design in designs(plans(margin=0.08), budget):
            assert 1.079 * design.plan.estimate.total < budget


def test_no_two_designs_are_nearly_equal():
    chosen = designs(plans(), 0.5)
    for one, other in combinations(chosen, 2):
        assert not near(one.plan.candidate.widths, other.plan.candidate.widths)


@pytest.mark.parametrize(
    ("widths", "others", "expected"),
    [
        ((200, 100), (200, 100), True),
        ((200, 100), (300, 150), True),
        ((200, 100), (300, 151), False),
        ((200, 100), (100, 100), False),
        ((200,), (200, 100), False),
        ((200,), (200, 150), True),
        ((200, 25), (200, 25, 25, 25), True),
        ((200, 100, 50), (200, 100, 50, 25), False),
    ],
)
def test_what_nearly_equal_means(widths, others, expected):
    assert near(widths, others) is near(others, widths) is expected


def test_the_first_designs_differ_in_depth_where_that_costs_little_capacity():
    """The measure cannot say what a layer is worth; three of one depth would not tell either."""
    depths = [len(design.plan.candidate.widths) for design in designs(plans(), 0.5)]
    assert len(set(depths[:3])) == 3


def test_a_depth_that_holds_far_less_is_no_reason():
    space = Space((1, 4), (25, 400), (0,), ("fp32",))
    chosen = designs(plans(space=space), 100.0)
    assert [len(design.plan.candidate.widths) for design in chosen][:2] == [4, 4]


def test_a_budget_that_nothing_keeps_to_is_told_with_the_floor_and_its_steps():
    least = min(plan.bound for plan in plans(margin=0.08))
    with pytest.raises(ValueError, match=r"the floor is") as raised:
        designs(plans(margin=0.08), 0.9 * least)
    said = str(raised.value)
    assert f"the floor is {least:.3g} us" in said
    assert "136-25-1 (98 % zeros, bf16)" in said
    assert re.search(r"\(layer 1 [\d.e-]+, layer 2 [\d.e-]+, call 0.02\)", said)
    assert "raise the budget" in said
    assert designs(plans(margin=0.08), 1.001 * least)[0].plan.bound == least


def test_too_large_a_space_is_refused_before_it_is_planned():
    space = Space((4,), range(1, 60), (0,), ("fp32",))
    with pytest.raises(ValueError, match="give fewer widths, depths or sparsities"):
        plans(space=space)


def test_a_design_is_named_by_its_budget_in_nanoseconds_and_its_rank():
    assert [budget_name(budget) for budget in (0.2, 0.5, 1.0, 0.57, 1.25)] == [
        "200ns", "500ns", "1000ns", "570ns", "1250ns",
    ]  # fmt: skip
    first, second = designs(plans(), 0.5)[:2]
    assert (first.name, second.name) == ("design-500ns-1", "design-500ns-2")


def test_what_is_written_of_a_design_is_plain_json():
    design = designs(plans(), 0.5)[0]
    line = design.as_json(Capacity())
    assert line["predicted"] == pytest.approx(sum(us for _, us in line["steps"]))
    assert line["low"] < line["predicted"] < line["high"] <= line["bound"]
    assert line["engine"] == f"native-{line['precision']}"
    assert line["vali_ndcg"] is None
    learnt = design.as_json(Capacity(0.5, "", 0.4, 0.01, 0.001))
    assert learnt["vali_ndcg"] == pytest.approx(0.4 + 0.01 * math.log10(line["capacity"]))
