"""A disk of a test's own: full, or read-only, also for root; the machine sees none of it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def on_a_disk(disk: Path, options: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command for which a fresh tmpfs is mounted at ``disk`` with mount's ``options``.

    What is written there ends with the command. Skips the test where nobody may mount.
    """
    mount = f"mount -t tmpfs -o {shlex.quote(options)} none {shlex.quote(str(disk))}"
    return _mounted(f"mkdir -p {shlex.quote(str(disk))} && {mount}", *command)


def read_only(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command for which ``folder`` cannot be written to."""
    path = shlex.quote(str(folder))
    return _mounted(f"mount --bind {path} {path} && mount -o remount,bind,ro {path}", *command)


def python(code: str) -> list[str]:
    """The command that runs ``code`` with the package on its path."""
    return [sys.executable, "-c", code]


def _mounted(mount: str, *command: str) -> subprocess.CompletedProcess[str]:
    # In a name space of its own: a user who is not root may mount there, if the system lets them.
    apart = ["unshare", "--map-root-user", "--mount"]
    try:
        tried = subprocess.run([*apart, "sh", "-c", mount], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if tried.returncode:
        pytest.skip(f"nobody may mount here: {tried.stderr.decode(errors='replace').strip()}")
    return subprocess.run(
        [*apart, "sh", "-c", f"{mount} && exec {shlex.join(command)}"],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
    )  # fmt: skip
