"""The host's fingerprint: what a time depends on besides the program."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# The instruction sets that decide which kernel a scoring library picks.
_FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512bw", "avx512vl",
    "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8",
    "asimd", "sve", "bf16", "i8mm",
)  # fmt: skip
_LIBRARIES = (
    "numpy", "scipy", "torch", "onnxruntime", "openvino", "mkl", "onednn-cpu-gomp",
    "lightgbm", "ydf", "lleaves", "llvmlite", "tl2cgen", "treelite",
)  # fmt: skip
# The rules whose outputs are times of the machine they ran on.
MEASURING = ("time_teacher", "time_student", "time_kernels", "calibrate")
# What identifies the hardware; the rest (kernel, governor, versions) may change on one machine.
_STABLE = ("cpu", "family", "model", "stepping", "flags", "cores", "caches", "memory_gb", "virtual")


def fingerprint() -> dict[str, Any]:
    """Describe this host; ``id`` is a short hash of the hardware's stable part.

    What cannot be read on this system is null. Host names and serial numbers are left out.
    """
    cpu = parse_cpuinfo(_read("/proc/cpuinfo"))
    described: dict[str, Any] = {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "family": cpu.get("cpu family"),
        "model": cpu.get("model"),
        "stepping": cpu.get("stepping"),
        "flags": isa_flags(cpu.get("flags") or cpu.get("Features") or ""),
        "cores": os.cpu_count(),
        "caches": _caches(),
        "memory_gb": _memory_gb(_read("/proc/meminfo")),
        "virtual": "hypervisor" in cpu.get("flags", "").split(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "os": _os_name(_read("/etc/os-release")),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "libraries": library_versions(),
    }
    return {"id": hardware_id(described)} | described


def machine_line() -> str:
    """This host in a line, for the tables that benchmarks print."""
    host = fingerprint()
    return f"machine {host['id']}: {host['cpu']}, {host['cores']} cores, Python {host['python']}"


def check_one(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The one machine that everything was measured on.

    Args:
        measured: the machine's fingerprint by the file that was measured there.

    Raises:
        ValueError: if there are several; names the files to measure again, and how.
    """
    files: dict[str, list[str]] = {}
    for path, machine in measured.items():
        files.setdefault(str(machine["id"]), []).append(str(path))
    kept = max(files, key=lambda machine: len(files[machine]))
    fingerprints = {str(machine["id"]): dict(machine) for machine in measured.values()}
    if len(files) == 1:
        return fingerprints[kept]
    counts = ", ".join(
        f"{len(paths)} of {name} ({fingerprints[name].get('cpu', 'unknown processor')})"
        for name, paths in sorted(files.items())
    )
    others = [path for name, paths in files.items() if name != kept for path in paths]
    raise ValueError(
        f"times of {len(files)} machines cannot stand in one report; the files are {counts}. "
        f"Measure the fewer ones again on {kept}, with 'make report ARGS=\"--forcerun "
        f"{' '.join(others)}\"', or everything on another one, with 'make report "
        f'ARGS="--forcerun {" ".join(MEASURING)}"\''
    )


def hardware_id(described: dict[str, Any]) -> str:
    """Eight hexadecimal digits of the SHA-256 of the hardware's stable part."""
    stable = json.dumps({key: described.get(key) for key in _STABLE}, sort_keys=True)
    return hashlib.sha256(stable.encode()).hexdigest()[:8]


def parse_cpuinfo(text: str) -> dict[str, str]:
    """The first processor's ``key : value`` lines."""
    first = text.split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def isa_flags(text: str) -> list[str]:
    """Those of the flags that decide which kernels run, in a fixed order."""
    present = set(text.split())
    return [flag for flag in _FLAGS if flag in present]


def library_versions() -> dict[str, str]:
    """The versions of the scoring libraries that are installed, without importing them."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _caches() -> dict[str, str]:
    """Core 0's caches, such as ``{"L1d": "48K", "L2": "2048K"}``."""
    sizes = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = _read(folder / "level").strip(), _read(folder / "type").strip()
        suffix = {"Data": "d", "Instruction": "i"}.get(kind, "")
        sizes[f"L{level}{suffix}"] = _read(folder / "size").strip()
    return sizes


def _memory_gb(text: str) -> int | None:
    """Total memory in whole GB: the exact figure moves with the kernel's own reservations."""
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return round(int(line.split()[1]) * 1024 / 1e9)
    return None


def _os_name(text: str) -> str:
    for line in text.splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip().strip('"')
    return platform.system()


def _read(path: str | os.PathLike) -> str:
    """A small text file's content, empty where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
