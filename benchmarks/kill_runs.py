"""Kill runs at random moments, start them again, and compare the results with a calm run's.

Each victim is the scheduler, a running job or all processes at once, killed by SIGKILL; then
``make report`` is called again. A run that finishes before there were enough kills is followed by
another one in a fresh folder. See docs/interruptions.md.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import psutil
from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from distilrank.compare import compare_results, is_passing  # noqa: E402 - found through the path set above
from distilrank.files import read_json  # noqa: E402

# Longest that processes may outlive whoever started them.
_ORPHANS_END_WITHIN = 10.0
# What a run makes; the rest of results/ is downloads, and what runs say.
_MADE = ("data", "generated", "teachers", "students", "quality", "parity", "sensitivity", "timing",
         "kernels", "calibration", "predictor", "native", "report")  # fmt: skip


class Run:
    """A checkout in a folder of its own, in which ``make report`` is called again and again."""

    def __init__(self, folder: Path, arguments: str) -> None:
        """Clone this repository's last commit; downloads and ``.venv/`` are this folder's."""
        self.folder, self._arguments = folder, arguments
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
        if (ROOT / "results/raw").exists():
            shutil.copytree(ROOT / "results/raw", folder / "results/raw")
        # Beside it: a disk that is full must not swallow what is said of it.
        self._said = Path(f"{folder}.log")

    def take_native(self, of: Path) -> None:
        """Have another run's compiled code, as if built just now."""
        shutil.copytree(
            of / "results/native", self.folder / "results/native", copy_function=shutil.copyfile
        )

    def start(self) -> psutil.Popen:
        """Call ``make report``."""
        # The set-up is done, and older than this clone's files.
        command = ["make", "--old-file=.venv/.installed", "report", f"ARGS={self._arguments}"]
        with self._said.open("w") as said:
            return psutil.Popen(command, cwd=self.folder, stdout=said, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        return self._said.read_text(errors="replace")

    def made(self) -> set[Path]:
        """The files that runs made so far, relative to ``results/``."""
        results = self.folder / "results"
        found = (path for kind in _MADE for path in (results / kind).rglob("*") if path.is_file())
        return {path.relative_to(results) for path in found}


def rule_of(process: psutil.Process) -> str | None:
    """The rule whose script a process runs; None if it runs none."""
    try:
        names = [Path(word).name for word in process.cmdline() if "/.snakemake/scripts/" in word]
    except psutil.Error:
        return None
    return names[0].split(".")[1] if names else None


def kill_one(make: psutil.Popen, chance: random.Random) -> tuple[str, str, list[psutil.Process]]:
    """Kill a victim of a run that goes on.

    Returns:
        Who it was, which rules were running, and the processes that must be gone soon.
    """
    family = make.children(recursive=True)
    jobs = {process: rule for process in family if (rule := rule_of(process))}
    schedulers = [process for process in family if process not in jobs and _is_scheduler(process)]
    running = ", ".join(sorted(jobs.values())) or "none"
    who = chance.choice(["scheduler", "job", "all"])
    if who == "job" and jobs:
        victim = chance.choice(sorted(jobs, key=lambda process: process.pid))
        who, victims = f"job {jobs[victim]}", [victim]
        dying = [victim, *_children(victim)]
    elif who == "all" or not schedulers:
        who, victims, dying = "all", [make, *family], family
    else:
        who, victims, dying = "scheduler", schedulers[:1], family
    dying = [process for process in dying if _writes_results(process)]
    for process in victims:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return who, running, dying


def kill_and_resume(
    run: Run, kills: int, waits: tuple[float, float], chance: random.Random, first: int
) -> tuple[int, list[str]]:
    """Kill a run until it has finished, but not more than ``kills`` times.

    A wait that was too short for anything to be made is followed by one of twice its range.

    Returns:
        How often it was killed, and what was wrong.
    """
    done, wrong, known, patience = 0, [], run.made(), 1
    began = time.monotonic()
    while True:
        make = run.start()
        wait = chance.uniform(waits[0], waits[1] * patience) if done < kills else None
        try:
            code = make.wait(timeout=wait)
        except psutil.TimeoutExpired:
            who, running, dying = kill_one(make, chance)
            make.wait()
            _, orphans = psutil.wait_procs(dying, timeout=_ORPHANS_END_WITHIN)
            done += 1
            patience, known = (1, now) if (now := run.made()) - known else (2 * patience, known)
            when = f"{time.monotonic() - began:.0f} s, after {wait:.1f} s"
            print(
                f"kill {first + done}, {when}: {who}; running: {running}; files made: "
                f"{len(known)}; this start had said: {_first_words(run.said)}",
                flush=True,
            )
            wrong += [f"{each} outlived the {who}" for each in orphans]
            continue
        if code == 0:
            print(f"finished after {done} kills and {time.monotonic() - began:.0f} s", flush=True)
            return done, wrong
        return done, [*wrong, f"a start that nobody disturbed failed: {run.said[-2000:]}"]


def unreadable(results: Path) -> Iterator[str]:
    """Files that cannot be read as what they are, and what should not have been left."""
    for kind in _MADE:
        for path in sorted((results / kind).rglob("*")):
            if is_passing(path) and path.name != ".snakemake_timestamp":
                yield f"{path} was left over"
            elif path.is_file() and (read := _READERS.get(path.suffix)):
                try:
                    read(path)
                except Exception as error:
                    yield f"{path} cannot be read: {error}"


def wrong_with(run: Run, calm: Path) -> list[str]:
    """What a finished run has that an undisturbed one has not, or otherwise."""
    wrong = list(unreadable(run.folder / "results"))
    for kind in compare_results(calm, run.folder):
        print(f"{kind.kind}: {kind.equal} files are equal", flush=True)
        for what in ("differing", "missing", "added"):
            wrong += [f"{path} is {what}" for path in getattr(kind, what)]
    return wrong


def _tensors(path: Path) -> None:
    with safe_open(path, framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            file.get_tensor(name)


_READERS = {
    ".json": read_json,
    ".csv": pd.read_csv,
    ".npy": lambda path: np.load(path, mmap_mode="r", allow_pickle=False),
    ".safetensors": _tensors,
    ".svg": ElementTree.parse,
}


def _is_scheduler(process: psutil.Process) -> bool:
    try:
        return any(Path(word).name == "snakemake" for word in process.cmdline())
    except psutil.Error:
        return False


def _writes_results(process: psutil.Process) -> bool:
    """A job or an engine's process; a compiler, which works in a temporary folder, does not."""
    try:
        return rule_of(process) is not None or "distilrank.worker" in process.cmdline()
    except psutil.Error:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _first_words(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "cut off" in line or "rror" in line or "xception" in line]
    return " | ".join(telling[:3] or lines[:1]) or "nothing yet"


def stress(options: argparse.Namespace, folder: Path) -> list[str]:
    """Run calmly and then with kills; what was wrong, empty if nothing was."""
    arguments = f"--cores {options.cores}"
    if options.config:
        arguments += f" --configfile {options.config.resolve()}"
    calm = options.calm
    if calm is None:
        run = Run(folder / "calm", arguments)
        if run.start().wait():
            return [f"the undisturbed run failed: {run.said[-2000:]}"]
        calm = run.folder
    chance, done, wrong, number = random.Random(options.seed), 0, [], 0
    while done < options.kills and not wrong:
        number += 1
        run = Run(folder / f"killed-{number}", arguments)
        if options.native:
            run.take_native(calm)
        count, wrong = kill_and_resume(run, options.kills - done, options.wait, chance, done)
        done += count
        wrong += wrong_with(run, calm)
        if not count and not wrong:
            return ["a run finished before anything was killed: shorten --wait"]
    print(f"{done} kills in {number} runs: {'; '.join(wrong) or 'nothing was wrong'}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, help="a configuration; else the default one")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of moments and victims")
    parser.add_argument("--wait", type=float, nargs=2, default=(2.0, 40.0), metavar="SECONDS")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--calm", type=Path, help="a checkout with an undisturbed run's results")
    parser.add_argument(
        "--native", action="store_true", help="compile in the undisturbed run alone"
    )
    parser.add_argument("--folder", type=Path, help="where to run; else a temporary folder")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kill-runs-"))
    print(f"running in {folder}", flush=True)
    return 1 if stress(options, folder) else 0


if __name__ == "__main__":
    sys.exit(main())
