"""What share of a run's wall time no job was at work: planning, scheduling, starting jobs.

    python benchmarks/overhead.py            # of the last run in this folder that ran jobs

A job's benchmark file is written as it ends and holds the seconds it took, so that the times
between are known without a trace. Starting Python is the job's, since Snakemake measures it so.
"""

import argparse
import csv
from datetime import datetime
from pathlib import Path

# Snakemake's log file is named for the moment when it was opened.
_STAMP = "%Y-%m-%dT%H%M%S.%f"


def jobs_within(folder: Path, start: float, end: float) -> list[tuple[float, float]]:
    """Start and end of each job that ended between ``start`` and ``end`` (seconds since 1970)."""
    found = []
    for path in folder.rglob("*.tsv"):
        done = path.stat().st_mtime
        if start <= done <= end:
            with path.open(encoding="utf-8", newline="") as stream:
                took = float(next(csv.DictReader(stream, delimiter="\t"))["s"])
            found.append((max(start, done - took), done))
    return sorted(found)


def busy(jobs: list[tuple[float, float]]) -> float:
    """The seconds in which at least one of the ``jobs``, sorted by start, was at work."""
    total, reached = 0.0, float("-inf")
    for start, end in jobs:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def last_run(folder: Path) -> tuple[float, float, list[tuple[float, float]]]:
    """Start, end and jobs of the last run in ``folder`` that ran jobs.

    Raises:
        ValueError: if there is none.
    """
    logs = (folder / ".snakemake" / "log").glob("*.snakemake.log")
    for log in sorted(logs, reverse=True):
        start = datetime.strptime(log.name.removesuffix(".snakemake.log"), _STAMP).timestamp()
        end = log.stat().st_mtime
        jobs = jobs_within(folder / "results" / "benchmarks", start, end)
        if jobs:
            return start, end, jobs
    raise ValueError(
        f"no log in {folder / '.snakemake' / 'log'} is of a run whose jobs' benchmark files are "
        "still there: run `make report` first, or name the folder it ran in"
    )


def _told(folder: Path) -> None:
    start, end, jobs = last_run(folder)
    wall, worked = end - start, sum(done - begun for begun, done in jobs)
    idle = wall - busy(jobs)
    print(f"{len(jobs)} jobs in {wall:.0f} s of wall time, {worked:.0f} s of work")
    print(f"no job at work: {idle:.0f} s, {idle / wall:.1%} of the wall time")
    print(f"jobs at work at a time: {worked / wall:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    try:
        _told(parser.parse_args().folder)
    except ValueError as error:
        raise SystemExit(str(error)) from None
