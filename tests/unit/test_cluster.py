"""What jobs ask a cluster for, and the profile that asks: whole, and in step with the rules."""

import re
from pathlib import Path

import pytest
import yaml

from distilrank.demand import data_mb, demand

ROOT = Path(__file__).parents[2]
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
RULES = {
    name: text
    for file in (ROOT / "rules").glob("*.smk")
    for name, text in re.findall(
        r"^(?:checkpoint|rule) (\w+):\n(.*?)(?=^\S|\Z)", file.read_text(), re.M | re.S
    )
}
INHERITED = {
    new: old
    for file in (ROOT / "rules").glob("*.smk")
    for old, new in re.findall(r"^use rule (\w+) as (\w+) with", file.read_text(), re.M)
}
GROUPS = dict(entry.split("=") for entry in PROFILE["groups"])


def test_every_rule_says_what_memory_and_time_it_needs():
    assert len(RULES) > 25
    for name, text in RULES.items():
        for resource in ("mem_mb", "runtime"):
            assert f"{resource}=growing(" in text, f"rule {name} needs '{resource}=growing(...)'"


def test_the_profile_names_rules_that_exist():
    named = {*GROUPS, *PROFILE["set-resources"]}
    assert named <= {*RULES, *INHERITED}, "profiles/slurm/config.yaml"


def test_whatever_is_timed_has_a_node_for_itself_and_all_of_one_type():
    alone = {name for name, text in RULES.items() if "machine=100" in text}
    alone |= {new for new, old in INHERITED.items() if old in alone}
    assert len(alone) == 4
    asked = PROFILE["set-resources"]
    # A group is one submission: what is timed with it asks for the same.
    together = {name for name in GROUPS if GROUPS[name] in {GROUPS[rule] for rule in alone}}
    assert alone < together == set(asked)
    assert all(asked[name] == asked["time_student"] for name in asked)
    assert asked["time_student"]["slurm_extra"] == "'--exclusive'"


def test_the_plug_in_is_pinned_and_stays_out_of_the_lock():
    lines = (ROOT / "requirements/slurm.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins and all(re.fullmatch(r"[a-z-]+==[\d.]+", line) for line in pins)
    assert "executor-plugin-slurm" not in (ROOT / "requirements/locked.txt").read_text()


def test_the_size_is_that_of_float32_features():
    assert data_mb({"documents": 10_000, "features": 136}) == 10_000 * 136 * 4 / 1e6
    made = {"queries": {"train": 30, "vali": 10, "test": 10}, "documents_per_query": 20.5}
    assert data_mb({"features": 4, "generate": made}) == (30 + 10 + 10) * 20.5 * 4 * 4 / 1e6


def test_a_data_set_that_does_not_tell_is_taken_for_a_large_one():
    assert data_mb({}) == 1_000_000 * 200 * 4 / 1e6


@pytest.mark.parametrize(("attempt", "times"), [(1, 1), (2, 2), (3, 4)])
def test_each_new_try_gets_twice_as_much(attempt, times):
    assert demand(500, 1.5, 100, attempt) == (500 + 1.5 * 100) * times
