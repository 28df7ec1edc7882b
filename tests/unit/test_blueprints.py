"""The random networks that the native scorer's time model is calibrated on."""

from dataclasses import replace

import pytest
from test_native_times import SETTINGS

from distilrank.blueprints import design, make_network, more_sparse, near
from distilrank.native_net import PER_WORD, Geometry, NativeNet
from distilrank.student import Student
from scripts.calibrate import Calibration


def test_the_design_is_seeded_within_range_and_holds_a_share_out():
    made = design(SETTINGS)
    assert made == design(SETTINGS) != design(SETTINGS | {"seed": 4})
    assert [blueprint.part for blueprint in made].count("validate") == 10
    for blueprint in made:
        assert blueprint.widths[0] in (20, 136) and blueprint.widths[-1] == 1
        assert 1 <= len(blueprint.widths) - 2 <= 4
        assert all(10 <= width <= 200 for width in blueprint.widths[1:-1])
        assert 2 <= blueprint.batch <= 90
        assert all(s == 0 or 0.8 <= s <= 0.99 for s in blueprint.sparsities)
    firsts = [blueprint.sparsities[0] for blueprint in made]
    assert min(firsts) == 0 and max(firsts) > 0.9
    assert any(any(blueprint.sparsities[1:]) for blueprint in made)


def test_made_networks_have_the_wanted_zeros():
    for blueprint in design(SETTINGS)[:6]:
        student = make_network(blueprint)
        assert isinstance(student, Student)
        for layer, sparsity in enumerate(blueprint.sparsities):
            assert student.sparsity(layer) == pytest.approx(sparsity, abs=0.005)


def test_a_near_network_is_of_the_fit_and_about_as_wide():
    blueprint = replace(design(SETTINGS)[0], part="validate")
    other = near(blueprint, 77)
    assert other.part == "fit" and other != blueprint
    for width, before in zip(other.widths[1:-1], blueprint.widths[1:-1], strict=True):
        assert width == pytest.approx(before, rel=0.25)


@pytest.mark.parametrize(("level", "precision"), [("amx", "bf16"), ("avx512", "int8")])
@pytest.mark.parametrize("widths", [[8, 80], [25, 600]])
def test_sparse_layers_behind_the_first_are_made_up_for(level, precision, widths):
    """Beside tiles a design has next to none, and nothing can be predicted of such a layer."""
    geometry, settings = Geometry.of(level, {}), SETTINGS | {"widths": widths}

    def behind(blueprints):
        nets = [NativeNet.of_student(make_network(b), precision, geometry) for b in blueprints]
        return nets, sum(any(layer.sparse for layer in net.layers[1:]) for net in nets)

    own = [blueprint for blueprint in design(settings) if blueprint.part == "fit"]
    fitted, few = behind(own)
    more = more_sparse(fitted, settings, precision, geometry, 500)
    assert {blueprint.part for blueprint in more} <= {"fit"}
    assert all(blueprint.widths[0] in (20, 136) for blueprint in more)
    added, found = behind(more)
    assert found == len(more) == max(0, 10 - few)
    assert more_sparse([*fitted, *added], settings, precision, geometry, 500) == []
    assert (level != "amx") or few < 3
    flat = settings | {"hidden_layers": [1, 1]}
    assert more_sparse(fitted, flat, precision, geometry, 500) == []
    assert len(more_sparse([], settings, precision, geometry, 500)) == 10


class NoisyBench:
    """Calls take 1, 2 and 3 microseconds, and all 1 from pass ``passes`` on."""

    def __init__(self, passes: int) -> None:
        self.levels = dict.fromkeys(PER_WORD, "avx512")
        self.noisy, self.asked = passes - 1, []

    def measure(self, blueprints, only=None):
        self.asked.append(only)
        points = only or {(each.name, name, 4) for each in blueprints for name in PER_WORD}
        parts = {each.name: each.part for each in blueprints}
        noise = len(self.asked) <= self.noisy
        return [
            {"network": name, "part": parts[name], "precision": precision, "batch": batch,
             "round": number, "microseconds": 1.0 + noise * number, "steps": "0.5"}
            for name, precision, batch in sorted(points) for number in range(3)
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("quiet_from", "passes", "spread"), [(1, 1, 0), (2, 2, 0), (4, 4, 0), (9, 4, 120)]
)
def test_what_spreads_is_measured_until_the_machine_is_quiet(quiet_from, passes, spread):
    calibration = Calibration(SETTINGS, (4,))
    calibration.bench = bench = NoisyBench(quiet_from)
    blueprints = design(SETTINGS)
    calibration.add(blueprints)
    wide = calibration.settle()
    assert len(bench.asked) == passes <= SETTINGS["passes"]
    assert len(wide) == spread
    assert {line["pass"] for line in calibration.lines} == set(range(1, passes + 1))
    assert all(only == {s.point for s in calibration.samples()} for only in bench.asked[1:])
