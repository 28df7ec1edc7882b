"""The host's fingerprint."""

import json
import platform

from distilrank import machine

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
