"""The host's fingerprint."""

import json
import platform
import re
from pathlib import Path

import pytest

from distilrank import machine

ROOT = Path(__file__).parents[2]

CPUINFO = """processor\t: 0
model name\t: Example CPU @ 2.00GHz
cpu family\t: 6
flags\t\t: fpu sse4_2 hypervisor avx2 amx_tile avx512f fma

processor\t: 1
model name\t: Another
"""


def test_cpuinfo_is_read_from_the_first_processor():
    parsed = machine.parse_cpuinfo(CPUINFO)
    assert parsed["model name"] == "Example CPU @ 2.00GHz"
    assert parsed["cpu family"] == "6"


def test_only_flags_that_choose_kernels_are_kept_in_a_fixed_order():
    flags = machine.parse_cpuinfo(CPUINFO)["flags"]
    assert machine.isa_flags(flags) == ["sse4_2", "avx2", "fma", "avx512f", "amx_tile"]
    assert machine.isa_flags(" ".join(reversed(flags.split()))) == machine.isa_flags(flags)


def test_the_id_depends_on_hardware_only():
    described = machine.fingerprint()
    assert machine.hardware_id(described) == described["id"] == machine.fingerprint()["id"]
    software = described | {"kernel": "x", "governor": "x", "libraries": {}, "python": "x"}
    assert machine.hardware_id(software) == described["id"]
    for key in ("cpu", "flags", "cores", "caches", "memory_gb"):
        assert machine.hardware_id(described | {key: "other"}) != described["id"], key


def test_the_fingerprint_is_plain_json_without_the_hosts_name():
    text = json.dumps(machine.fingerprint())
    assert platform.node() not in json.loads(text).values()
    assert json.loads(text)["libraries"]["numpy"]
    assert len(json.loads(text)["id"]) == 8


def test_unreadable_files_are_empty_not_errors(tmp_path):
    assert machine._read(tmp_path / "missing") == ""
    assert machine._memory_gb("") is None
    assert machine._memory_gb("MemTotal:       16777216 kB\n") == round(16777216 * 1024 / 1e9)


def test_files_of_one_machine_are_of_that_machine():
    one = {"id": "aa", "cpu": "some", "cores": 2}
    assert machine.check_one({"a.json": one, "b.json": one | {"cores": 4}})["cpu"] == "some"


def test_files_of_two_machines_name_those_to_measure_again_and_how():
    measured = {f"{name}.json": {"id": "aa", "cpu": "some"} for name in "ab"}
    measured |= {"c.json": {"id": "bb", "cpu": "other"}, "d.csv": {"id": "cc"}}
    with pytest.raises(ValueError) as raised:
        machine.check_one(measured)
    assert str(raised.value) == (
        "times of 3 machines cannot stand in one report; the files are 2 of aa (some), 1 of bb "
        "(other), 1 of cc (unknown processor). Measure the fewer ones again on aa, with 'make "
        "report ARGS=\"--forcerun c.json d.csv\"', or everything on another one, with 'make "
        'report ARGS="--forcerun time_teacher time_student time_kernels calibrate"\''
    )


def test_the_rules_that_measure_are_those_that_are_alone_on_the_machine():
    """The sentence above names rules of the workflow."""
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    alone = set()
    for block in re.split(r"^(?=(?:use )?(?:rule|checkpoint) )", text, flags=re.MULTILINE):
        name = re.match(r"(?:use rule (?P<base>\w+) as|rule) (?P<name>\w+)", block)
        if name and ("machine=100" in block or name["base"] in alone):
            alone.add(name["name"])
    assert alone == set(machine.MEASURING)
