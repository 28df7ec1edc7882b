"""What every rule says and records, read from the rules' text."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
START = r"^(?:rule|checkpoint|use rule \w+ as) (\w+)(?::| with:)\n((?:(?: .*)?\n)+)"
BLOCKS = {
    name: block
    for file in FILES
    for name, block in re.findall(START, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
}
DERIVED = {"check_archive", "check_parity_student", "time_student"}
WITH_SCRIPT = [name for name in BLOCKS if "    script:" in BLOCKS[name] or name in DERIVED]


def part(block: str, name: str) -> str:
    """One directive of a rule; "" where it has none."""
    found = re.search(rf"^    {name}:.*\n((?:        .*\n)*)", block, flags=re.MULTILINE)
    return found.group(0) if found else ""


def test_all_rules_are_found():
    assert len(BLOCKS) > 35
    assert set(WITH_SCRIPT) > DERIVED and "design_students" in WITH_SCRIPT


@pytest.mark.parametrize("rule", BLOCKS)
def test_every_rule_has_a_message(rule):
    assert re.search(r'"\S', part(BLOCKS[rule], "message")), f"give {rule} a message"


@pytest.mark.parametrize("rule", WITH_SCRIPT)
def test_every_job_has_a_benchmark_of_its_logs_name(rule):
    """The accounts are read from them: tests/unit/test_accounts.py."""
    block = BLOCKS[rule]
    files = [re.findall(r'"results/(?:logs|benchmarks)/(\S+)\.(?:log|tsv)"', part(block, name))
             for name in ("log", "benchmark")]  # fmt: skip
    assert len(files[1]) == 1, f"give {rule} a benchmark file below results/benchmarks"
    assert rule == "check_archive" or files[0] == files[1]


@pytest.mark.parametrize("rule", BLOCKS)
def test_no_parameter_is_a_path_of_results(rule):
    """As a module the workflow has a prefix, which Snakemake puts before files alone."""
    assert "results/" not in part(BLOCKS[rule], "params")
