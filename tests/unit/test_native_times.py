"""The native scorer's time model, on times made from known costs."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from tiny import random_student

from distilrank.blueprints import Blueprint, design, make_network, planned_masks
from distilrank.calibration import (
    Sample,
    check_quiet,
    nets_as_json,
    nets_from_json,
    samples_of,
    wide_points,
)
from distilrank.forest_times import ForestModel
from distilrank.native_bench import Bench
from distilrank.native_errors import cross_validated, intervals, layer_lines, network_lines
from distilrank.native_fit import CALL, NativeModel, call_counts, fit_native, worst_networks
from distilrank.native_net import BLOCK, FEW, ONE, PER_WORD, Geometry, NativeNet, pieces
from distilrank.planned import FORMAT, NativeTimes
from distilrank.residual import Residual, learn
from distilrank.scorer import Scorer
from distilrank.steps import cost, steps

AVX512 = Geometry.of("avx512", {"caches": {"L1d": "32K", "L2": "1024K"}})
GEOMETRIES = dict.fromkeys(PER_WORD, AVX512)
BATCHES = (1, 20, 100, 256)
SETTINGS = {
    "networks": 40, "refine": 2, "validate_share": 0.25, "features": [20, 136],
    "hidden_layers": [1, 4], "widths": [10, 200], "sparsities": [0.8, 0.99],
    "own_batches": [2, 90], "rounds": 3, "sample_ms": 0.01, "spread": 0.1, "busy_share": 0.2,
    "passes": 4, "seed": 3,
}  # fmt: skip
CLOCK = 0.03


def known_cost(name):
    """Some cost of each count, in microseconds; the same for every kind of step."""
    if name in ("once", "pieces", "prefetch"):
        return {"once": 2.0, "pieces": 0.1, "prefetch": 0.001}[name]
    return 1e-4 * (1 + sum(map(ord, name)) % 7)


def known_steps(net, batch):
    return [
        sum(known_cost(name) * count for name, count in step.counts.items())
        for step in steps(net, batch, AVX512)
    ]


def made_sample(blueprint, precision, batch, factors=(1, 1, 5)):
    """Three rounds of known times; the median ignores the one that is far too slow."""
    net = NativeNet.of_student(make_network(blueprint), precision, AVX512)
    inside = np.array(known_steps(net, batch))
    call = sum(known_cost(n) * c for n, c in call_counts(net, batch, AVX512).items())
    clock = CLOCK * len(pieces(batch, precision, AVX512))
    factors = np.array(factors)
    return Sample(
        blueprint.name, blueprint.part, net, batch, (inside.sum() + call) * factors,
        (inside + clock) * factors[:, None],
    )  # fmt: skip


@pytest.fixture(scope="module")
def samples():
    return [
        made_sample(blueprint, precision, batch)
        for blueprint in design(SETTINGS)
        for precision in PER_WORD
        for batch in sorted({*BATCHES, blueprint.batch})
    ]


@pytest.fixture(scope="module")
def model(samples):
    return fit_native(samples, GEOMETRIES)


@pytest.fixture
def times(model, tmp_path):
    path = tmp_path / "native.json"
    content = {
        "format": FORMAT, "machine": {"id": "here", "cpu": "some"},
        "library": {"abi": 4, "sha256": "ab"}, "model": model.as_json(),
        "forests": ForestModel(AVX512, {}).as_json(),
        "residual": {"kept": False},
        "intervals": {name: dict.fromkeys(("1-2", "3-63", "64 and more"), (0.9, 1.2))
                      for name in PER_WORD},
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return NativeTimes.read(path)


@pytest.mark.parametrize(
    ("batch", "cut"),
    [
        (1, [(ONE, 1, 1)]),
        (2, [(ONE, 1, 1), (ONE, 1, 1)]),
        (16, [(FEW, 16, 1)]),
        (20, [(FEW, 16, 1), (FEW, 4, 1)]),
        (28, [(BLOCK, 28, 2)]),
        (64, [(BLOCK, 64, 4)]),
        (100, [(BLOCK, 64, 4), (BLOCK, 32, 2), (FEW, 4, 1)]),
        (130, [(BLOCK, 64, 4), (BLOCK, 64, 4), (ONE, 1, 1), (ONE, 1, 1)]),
    ],
)
def test_calls_are_cut_as_the_kernels_cut_them(batch, cut):
    found = [(p.regime, p.documents, p.vectors) for p in pieces(batch, "fp32", AVX512)]
    assert found == cut


def test_tiles_leave_fewer_documents_to_rows():
    amx = Geometry.of("amx", {})
    assert [p.regime for p in pieces(16, "bf16", amx)] == [BLOCK]
    assert [p.regime for p in pieces(16, "fp32", amx)] == [FEW]


@pytest.mark.parametrize("precision", list(PER_WORD))
def test_networks_are_counted_as_the_library_runs_them(native_library, precision):
    """Neurons without a use are dropped, numbers stand in words, sparse layers are found."""
    for blueprint in design(SETTINGS)[:12]:
        student = make_network(blueprint)
        with Scorer(student, precision=precision, library=native_library) as scorer:
            described = scorer.describe()
        geometry = Geometry.of(described["level"], {})
        net = NativeNet.of_student(student, precision, geometry)
        for layer, ran in zip(net.layers, described["layers"], strict=True):
            assert layer.depth * PER_WORD[layer.numbers] == ran["inputs"]
            assert (layer.outputs, layer.sparse) == (ran["outputs"], ran["sparse"])
            if layer.sparse:
                assert layer.nonzeros == ran["non_zeros"]
        assert net.features == student.n_features


def test_weights_that_int8_rounds_to_zero_do_not_count():
    student = random_student(np.random.default_rng(0), (8, 16, 1))
    last = student.weights[1].copy()
    last[0, :4] = 1e-6
    faint = replace(student, weights=(student.weights[0], last))
    nets = {name: NativeNet.of_student(faint, name, AVX512) for name in ("fp32", "int8")}
    assert [net.layers[0].outputs for net in nets.values()] == [16, 12]


def test_known_costs_are_found_again(samples, model):
    for sample in samples:
        found = dict(model.steps(sample.net, sample.batch))
        # A held-out network may have work that no network of a fit this small has.
        off = 0.02 if sample.part == "fit" else 0.1
        assert sum(found.values()) == pytest.approx(sample.median, rel=off)
        # A step's error counts by its share of the whole.
        rows = known_steps(sample.net, sample.batch)[0]
        assert found["rows"] == pytest.approx(rows, abs=off * sample.median)
    assert model.clocks["fp32"] == pytest.approx(CLOCK, rel=0.05)
    assert model.costs["fp32"][CALL]["once"] == pytest.approx(2.0, rel=0.05)


def test_held_out_networks_have_no_influence(samples, model):
    wrong = [
        replace(sample, whole=sample.whole * 100) if sample.part == "validate" else sample
        for sample in samples
    ]
    assert fit_native(wrong, GEOMETRIES) == model


def test_fewer_samples_than_costs_are_an_error(samples):
    few = [sample for sample in samples if sample.part == "fit"][:4]
    with pytest.raises(ValueError, match=r"samples of '.*' to fit \d+ costs on.*networks under"):
        fit_native(few, {"fp32": AVX512})
    with pytest.raises(ValueError, match="there are no samples"):
        fit_native([], {"fp32": AVX512})
    with pytest.raises(ValueError, match="1 networks are too few"):
        cross_validated([s for s in samples if s.name == few[0].name], GEOMETRIES)


def test_a_step_that_no_network_had_is_an_error(model):
    lacking = NativeModel(
        model.geometries, {"fp32": {CALL: model.costs["fp32"][CALL]}}, model.clocks
    )
    net = NativeNet.of_masks([np.ones((1, 8), bool)], "fp32", AVX512)
    with pytest.raises(ValueError, match="no calibrated network had a step 'rows fp32'"):
        lacking.steps(net, 1)


def test_models_survive_json_with_units_and_meanings(model):
    content = json.loads(json.dumps(model.as_json()))
    assert NativeModel.from_json(content) == model
    product = content["costs"]["fp32"]["dense fp32"]["block.product"]
    assert product["unit"] == "us/vector" and "multiplication" in product["meaning"]
    assert cost("cold").unit == "us/line"


def test_intervals_hold_nine_of_ten_and_the_prediction_itself(samples):
    found = intervals([(sample, sample.median * 2) for sample in samples])
    low, high = found["bf16"]["64 and more"]
    assert low == pytest.approx(0.5) and high == 1.0


def test_validation_lines_are_of_held_out_networks_alone(samples, times):
    held_out = {sample.name.partition("#")[0] for sample in samples if sample.part == "validate"}
    lines = network_lines(times, samples)
    assert {line["name"] for line in lines} == held_out
    assert all(line["predicted"] == pytest.approx(line["measured"], rel=0.1) for line in lines)
    layers = layer_lines(times, samples)
    assert {line["kind"] for line in layers} == {"rows", "dense", "sparse", "last"}
    assert {line["regime"] for line in layers} == {ONE, FEW, BLOCK, "blocks and a rest"}


def test_trees_are_kept_where_they_help_and_only_there(samples, model):
    """Times beyond the costs that follow from the batch are learned; those of chance are not."""
    own = [sample for sample in samples if sample.part == "fit"]
    made = [model.steps(sample.net, sample.batch) for sample in own]
    slow = [replace(s, whole=s.whole * (1.2 if s.batch == 20 else 1.0)) for s in own]
    trees, factors, found = learn(list(zip(slow, made, strict=True)))
    assert found["kept"] and found["with"]["p95"] < found["without"]["p95"]
    at = next(index for index, sample in enumerate(own) if sample.batch == 20)
    assert factors[at] == pytest.approx(1.2, rel=0.05)
    net = own[at].net
    assert trees.factor(net, 20, made[at]) == pytest.approx(1.2, rel=0.05)
    assert Residual(trees.text).factor(net, 20, made[at]) == trees.factor(net, 20, made[at])
    chance = np.random.default_rng(0)
    noisy = [replace(s, whole=s.whole * np.exp(0.1 * chance.standard_normal())) for s in own]
    trees, factors, found = learn(list(zip(noisy, made, strict=True)))
    assert trees is None and not found["kept"] and set(factors) == {1.0}


def test_an_estimate_is_multiplied_by_what_the_trees_say(times, model):
    class Twice:
        def factor(self, net, batch, made):
            return 2.0

    every = {name: dict.fromkeys(("1-2", "3-63", "64 and more"), (1, 1)) for name in PER_WORD}
    twice = NativeTimes(model, every, {}, {}, Twice())
    asked = ((136, 60, 1), 0.9, "bf16", 64)
    assert twice.estimate(*asked).total == pytest.approx(2 * times.estimate(*asked).total)


def test_refining_starts_at_the_worst(samples, model):
    name = next(sample.name for sample in samples if sample.part == "fit")
    slow = [replace(s, whole=s.whole * 3) if s.name == name else s for s in samples]
    assert worst_networks(slow, model, 1) == [name]


# ---- Estimates ----


def test_an_estimate_is_a_documents_share_with_its_parts(times):
    widths = (136, 60, 30, 1)
    found = times.estimate(widths, 0.9, "fp32", 256)
    assert [name for name, _ in found.steps] == ["rows", "layer 1", "layer 2", "layer 3", "call"]
    net = NativeNet.of_masks(planned_masks(widths, 0.9), "fp32", AVX512)
    call = sum(known_cost(n) * c for n, c in call_counts(net, 256, AVX512).items())
    assert found.total == pytest.approx((sum(known_steps(net, 256)) + call) / 256, rel=0.03)
    assert (found.low, found.high) == pytest.approx((0.9 * found.total, 1.2 * found.total))


@pytest.mark.parametrize("precision", list(PER_WORD))
def test_estimates_cover_any_batch_and_grow_with_it(times, precision):
    calls = [
        batch * times.estimate((136, 100, 50, 1), 0.98, precision, batch).total
        for batch in (1, 2, 3, 17, 64, 100, 640, 1000, 5000)
    ]
    assert calls == sorted(calls)


def test_a_students_own_zeros_count(times):
    blueprint = Blueprint((136, 80, 40, 1), (0.97, 0.0, 0.0), 1.0, 0.0, 9, "fit", 5)
    student = make_network(blueprint)
    sample = made_sample(blueprint, "int8", 100)
    estimate = times.of_student(student, "int8", 100)
    assert estimate.total == pytest.approx(sample.median / 100, rel=0.05)
    assert times.runs_sparse(student, "int8")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"widths": (136, 2)}, "no network's widths"),
        ({"widths": (1,)}, "no network's widths"),
        ({"sparsity": 1.0}, "the sparsity is 1.0"),
        ({"precision": "fp64"}, "expected one of fp32, bf16, int8"),
        ({"batch": 0}, "the batch is 0"),
    ],
)
def test_what_cannot_be_estimated_is_said(times, wrong, sentence):
    right = {"widths": (136, 50, 1), "sparsity": 0.9, "precision": "fp32", "batch": 1}
    with pytest.raises(ValueError, match=sentence):
        times.estimate(**(right | wrong))


def test_another_library_is_named(times):
    times.check_library({"abi": 4, "sha256": "ab"})
    with pytest.raises(ValueError, match=r"version 4 \(ab\) and is now 5 \(cd\): delete"):
        times.check_library({"abi": 5, "sha256": "cd"})


def test_a_missing_or_foreign_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"none\.json is not there; to calibrate"):
        NativeTimes.read(tmp_path / "none.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match=r"other\.json has format None"):
        NativeTimes.read(tmp_path / "other.json")


# ---- What was measured ----


def line(name="a#1", number=1, time=1.0, of=1, batch=4):
    return {
        "network": name, "part": "fit", "precision": "fp32", "batch": batch, "pass": number,
        "round": of, "microseconds": time, "steps": f"{time / 2} {time / 4}",
    }  # fmt: skip


NETS = {"a#1": {"fp32": NativeNet.of_masks([np.ones((1, 8), bool)], "fp32", AVX512)}}


def test_of_two_passes_the_quieter_one_counts():
    noisy = [line(number=1, time=time, of=of) for of, time in enumerate((1.0, 2.0, 3.0))]
    quiet = [line(number=2, time=time, of=of) for of, time in enumerate((1.0, 1.01, 1.02))]
    (first,) = samples_of(noisy, NETS)
    assert wide_points([first], 0.1) == [("a#1", "fp32", 4)]
    (both,) = samples_of(noisy + quiet, NETS)
    assert both.median == 1.01 and wide_points([both], 0.1) == []
    np.testing.assert_allclose(both.steps[0], [0.5, 0.25])


def test_a_busy_machine_is_refused():
    check_quiet([("a#1", "fp32", 4)] * 2, 10, SETTINGS)
    with pytest.raises(ValueError, match=r"busy machine: 3 of 10 points.*a#1 in fp32 at batch 4"):
        check_quiet([("a#1", "fp32", 4)] * 3, 10, SETTINGS)


def test_networks_survive_json():
    nets = {"n": {name: NativeNet.of_student(
        make_network(design(SETTINGS)[1]), name, AVX512) for name in PER_WORD}}  # fmt: skip
    assert nets_from_json(json.loads(json.dumps(nets_as_json(nets)))) == nets


def test_every_point_is_measured_once_a_round(native_library, monkeypatch):
    monkeypatch.setattr("distilrank.native.find_library", lambda: native_library)
    small = SETTINGS | {"rounds": 2, "networks": 8}
    blueprints = design(small)[:2]
    bench = Bench(small, [1, 20])
    lines = bench.measure(blueprints)
    keys = {(each["network"], each["precision"], each["batch"], each["round"]) for each in lines}
    batches = sum(len({1, 20, blueprint.batch}) for blueprint in blueprints)
    assert len(keys) == len(lines) == 2 * 3 * batches
    for each in lines:
        assert each["microseconds"] > 0
        layers = len(each["network"].partition("#")[0].split("-")) - 1
        assert len(each["steps"].split()) == 1 + layers
    assert set(bench.levels) == set(PER_WORD)
    only = {(blueprints[0].name, "int8", 20)}
    again = bench.measure(blueprints, only)
    assert {(e["network"], e["precision"], e["batch"]) for e in again} == only


def test_geometries_know_the_caches():
    found = Geometry.of("avx2", {"caches": {"L1d": "48K", "L2": "2M"}})
    assert (found.width, found.l1, found.l2) == (8, 48 * 1024, 2 * 1024**2)
    assert asdict(Geometry.of("avx512", {}))["l2"] == 1024**2
