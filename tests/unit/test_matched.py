"""The matched speed-up on hand-made cases, one for each branch of the verdict."""

import json
from pathlib import Path

import numpy as np
import pytest

from distilrank.matched import (
    Rules,
    about,
    headline,
    judge,
    match_forest,
    match_forests,
    speedup,
    times_faster,
)
from distilrank.results import Key, Quality, Timing, read_quality, read_timing
from distilrank.significance import Comparison
from tests.result_files import forest, measurement, network, quality, timing

RULES = Rules(batch=256, margin=0.005, permutations=2000)
FOREST = forest()
# Alternating signs: mean 0 and a spread of about 0.002, far below the margin for 40 queries.
TIGHT = np.tile([0.002, -0.002], 20)
BASE = np.linspace(0.2, 0.8, 40)


def case(model, shift=0.0, noise=TIGHT, vali_shift=None, folds=None):
    """One model's quality: the base plus a shift plus per-query noise."""
    vali = BASE + (shift if vali_shift is None else vali_shift) + noise
    return Quality(Key.of(model), [quality(model, vali.tolist(), (BASE + shift + noise).tolist())])


def job(model, *lines, reference_us=4.0, path="timing/x.json"):
    return Timing(Path(path), timing(model, lines, reference_us))


def run(networks, jobs, forest_noise=0.0):
    teacher = case(FOREST, noise=np.full(40, forest_noise))
    timings = {one.key: one for one in jobs}
    return match_forest(teacher, networks, timings, RULES)


FOREST_JOB = job(FOREST, measurement("qs", 4.0), path="timing/forest.json")


def test_equal_quality_is_shown_with_its_speedup():
    model = network("A", 0.95)
    match = run([case(model)], [FOREST_JOB, job(model, measurement("torch", 1.0))])
    assert match.verdict == "shown"
    assert match.network == Key.of(model)
    assert match.speedup == pytest.approx(4.0 / 1.0)
    assert headline(match, 0.005) == "4.0 times faster"


def test_each_time_is_normalised_by_the_reference_of_its_own_job():
    model = network("A", 0.95)
    # The network's job ran on a machine that was slow by half: its reference took 6, not 4.
    slow = job(model, measurement("torch", 1.5), reference_us=6.0)
    match = run([case(model)], [FOREST_JOB, slow])
    assert match.speedup == pytest.approx((4.0 / 4.0) / (1.5 / 6.0))


def test_without_a_reference_in_one_job_times_are_compared_as_they_are():
    model = network("A", 0.95)
    bare = job(model, measurement("torch", 1.5), reference_us=6.0)
    bare.content["measurements"] = bare.content["measurements"][:1]
    assert run([case(model)], [FOREST_JOB, bare]).speedup == pytest.approx(4.0 / 1.5)


def test_the_spread_runs_from_the_worst_to_the_best_quartiles():
    model = network("A")
    fast = job(model, measurement("torch", [0.8, 1.0, 1.2]), path="timing/net.json")
    base = job(FOREST, measurement("qs", [3.0, 4.0, 5.0]), path="timing/forest.json")
    ratio, (low, high) = speedup(fast, fast.fastest(256), base, base.fastest(256))
    assert ratio == pytest.approx(4.0 / 1.0)
    # The quartiles of three samples lie half way between neighbours; the reference cancels.
    assert (low, high) == pytest.approx((3.5 / 1.1, 4.5 / 0.9))


def test_rounds_are_normalised_one_by_one():
    model = network("A")
    # The machine was ten times slower in two of three rounds, for everything.
    content = timing(model, [measurement("torch", [10.0, 1.0, 10.0])], [40.0, 4.0, 40.0])
    busy = Timing(Path("timing/net.json"), content)
    base = job(FOREST, measurement("qs", [3.0, 4.0, 5.0]), reference_us=[3.0, 4.0, 5.0])
    ratio, (low, high) = speedup(busy, busy.fastest(256), base, base.fastest(256))
    assert (low, ratio, high) == pytest.approx((4.0, 4.0, 4.0))


def test_the_fastest_of_the_networks_equal_on_vali_is_chosen():
    slow, fast, bad = network("A"), network("A", 0.9), network("C")
    jobs = [
        job(slow, measurement("torch", 2.0)),
        job(fast, measurement("torch", 1.0)),
        job(bad, measurement("torch", 0.5)),
    ]
    networks = [case(slow), case(fast), case(bad, vali_shift=-0.006, shift=0.0)]
    assert run(networks, [FOREST_JOB, *jobs]).network == Key.of(fast)


def test_test_quality_has_no_part_in_the_choice():
    lucky, fast = network("A"), network("C")
    networks = [case(lucky, shift=0.1, vali_shift=0.0), case(fast, shift=-0.1, vali_shift=0.0)]
    jobs = [job(lucky, measurement("torch", 2.0)), job(fast, measurement("torch", 1.0))]
    match = run(networks, [FOREST_JOB, *jobs])
    assert (match.network, match.verdict) == (Key.of(fast), "worse")


def test_a_loss_of_just_the_margin_on_vali_is_still_equal():
    model = network("A")
    match = run([case(model, vali_shift=-0.0049)], [FOREST_JOB, job(model, measurement("t", 1.0))])
    assert match.verdict != "no-network"
    assert match.vali_difference == pytest.approx(-0.0049)


def test_no_network_near_enough_on_vali_names_the_nearest():
    near, far = network("A"), network("C")
    jobs = [job(near, measurement("torch", 1.0)), job(far, measurement("torch", 1.0))]
    match = run([case(near, -0.01), case(far, -0.05)], [FOREST_JOB, *jobs])
    assert (match.verdict, match.network, match.test) == ("no-network", Key.of(near), None)
    assert "no network within 0.005" in headline(match, 0.005)


def test_a_network_without_a_time_is_no_candidate():
    assert run([case(network("A"))], [FOREST_JOB]).verdict == "no-network"


def test_too_few_queries_tells_how_many_are_needed():
    model = network("A")
    noise = np.tile([0.1, -0.1], 20)
    match = run([case(model, noise=noise)], [FOREST_JOB, job(model, measurement("torch", 1.0))])
    assert match.verdict == "too-few-queries"
    # n with (z(0.975) + z(0.8)) s / sqrt(n) = margin, where s is 0.1 sqrt(40 / 39).
    assert match.needed == pytest.approx((2.80 * 0.1 / 0.005) ** 2 * 40 / 39, rel=0.01)
    assert headline(match, 0.005) == f"not shown (40 queries; about {about(match.needed)} needed)"


def test_significantly_worse_is_said_and_not_blamed_on_the_queries():
    model = network("A")
    noise = np.tile([0.1, -0.1], 20)
    match = run(
        [case(model, shift=-0.1, vali_shift=0.0, noise=noise)],
        [FOREST_JOB, job(model, measurement("torch", 1.0))],
    )
    assert match.verdict == "worse"
    assert "significantly worse" in headline(match, 0.005)


@pytest.mark.parametrize(
    ("difference", "interval", "p_value", "verdict"),
    [
        (0.000, (-0.0049, 0.0049), 0.9, "shown"),
        (0.020, (-0.0049, 0.0449), 0.04, "shown"),
        (0.000, (-0.0050, 0.0050), 0.9, "beyond-margin"),
        (-0.004, (-0.0085, 0.0005), 0.08, "beyond-margin"),
        (0.000, (-0.0200, 0.0200), 0.9, "too-few-queries"),
        (-0.002, (-0.0030, -0.0010), 0.01, "worse"),
        (-0.002, (-0.0048, 0.0008), 0.05, "shown"),
    ],
)
def test_the_verdict(difference, interval, p_value, verdict):
    assert judge(Comparison(difference, interval, p_value, 40, 2000), 0.005) == verdict


def test_a_forest_counts_only_its_exact_engines():
    model = network("A")
    quantised = measurement("quantised", 0.5, exact=False, precision="int8")
    base = job(FOREST, quantised, measurement("qs", 4.0), path="timing/forest.json")
    match = run([case(model)], [base, job(model, measurement("torch", 1.0))])
    assert (match.forest_line["engine"], match.speedup) == ("qs", pytest.approx(4.0))
    only = job(FOREST, quantised, path="timing/forest.json")
    match = run([case(model)], [only, job(model, measurement("torch", 1.0))])
    assert match.verdict == "not-timed"
    assert "not timed" in headline(match, 0.005)


def test_a_network_counts_only_engines_with_the_scores_that_were_evaluated():
    model = network("A")
    lines = [measurement("int8", 0.2, exact=False, precision="int8"), measurement("torch", 1.0)]
    assert run([case(model)], [FOREST_JOB, job(model, *lines)]).network_line["engine"] == "torch"


def test_seeds_are_averaged_for_each_query():
    runs = [network("A", seed=seed) for seed in (1, 2)]
    noise = np.tile([0.1, -0.1], 20)
    contents = [case(runs[0], noise=noise).runs[0], case(runs[1], noise=-noise).runs[0]]
    both = Quality(Key.of(runs[0]), contents)
    match = run([both], [FOREST_JOB, job(runs[0], measurement("torch", 1.0))])
    # Each query's mean over the two seeds is the forest's value: nothing is left to differ.
    assert match.test.interval == pytest.approx((0.0, 0.0), abs=1e-12)
    assert match.verdict == "shown"


def test_folds_are_pooled():
    def folded(kind, **more):
        contents = [case(kind(fold=fold, **more)).runs[0] for fold in (1, 2)]
        return Quality(Key.of(contents[0]["model"]), contents)

    teacher, student = folded(forest), folded(network)
    timings = {one.key: one for one in (FOREST_JOB, job(network(), measurement("torch", 1.0)))}
    assert match_forest(teacher, [student], timings, RULES).test.queries == 2 * 40


def test_different_folds_cannot_be_compared():
    other = network("A", fold=2)
    with pytest.raises(ValueError, match="different folds or queries"):
        run([case(other)], [FOREST_JOB, job(other, measurement("torch", 1.0))])


def test_a_network_of_another_forest_is_a_candidate_and_of_another_data_set_is_not():
    near, foreign = network("A", teacher="small"), network("C", dataset="elsewhere")
    qualities = {q.key: q for q in (case(FOREST), case(near), case(foreign))}
    jobs = [FOREST_JOB, job(near, measurement("t", 2.0)), job(foreign, measurement("t", 0.1))]
    (match,) = match_forests(qualities, {one.key: one for one in jobs}, RULES)
    assert match.network == Key.of(near)


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (3.44, "3.4 times faster"),
        (1.06, "1.1 times faster"),
        (1.04, "as fast"),
        (0.97, "as fast"),
        (0.5, "2.0 times slower"),
    ],
)
def test_a_ratio_in_words(ratio, words):
    assert times_faster(ratio) == words


@pytest.mark.parametrize(
    ("count", "words"), [(7, "7"), (43, "43"), (1937, "1,900"), (99_600, "100,000")]
)
def test_a_count_to_two_digits(count, words):
    assert about(count) == words


def test_timings_of_two_machines_are_refused_and_the_fewer_are_named(tmp_path):
    for number, machine in enumerate(("aa", "aa", "bb")):
        content = timing(network("A", number / 10), [measurement("t", 1.0)], machine=machine)
        (tmp_path / f"{number}.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'again on aa, .*"--forcerun \S*2\.json"'):
        read_timing(tmp_path.glob("*.json"))


def test_only_the_first_fold_and_seed_of_a_model_is_its_timing(tmp_path):
    for seed in (2, 1):
        content = timing(network("A", seed=seed), [measurement("t", float(seed))])
        (tmp_path / f"{3 - seed}.json").write_text(json.dumps(content))
    (job_read,) = read_timing(tmp_path.glob("*.json")).values()
    assert job_read.fastest(256)["median"] == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["conventions"].update(no_relevant=0.0), "other conventions"),
        (lambda c: c["model"].update(seed=2, fold=2), r"expected each of \[\(1, 1\), \(1, 2\)"),
    ],
)
def test_quality_files_that_contradict_each_other_are_told(tmp_path, change, words):
    for number in range(2):
        content = json.loads(json.dumps(case(network("A")).runs[0]))
        if number:
            change(content)
        (tmp_path / f"{number}.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words):
        read_quality(tmp_path.glob("*.json"))
