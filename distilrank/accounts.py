"""What a run cost: the benchmark files of its jobs, which Snakemake writes beside the results."""

import csv
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from distilrank.results import Paths

TOTAL = "all jobs"
_LONGEST = 15
# The benchmark of the job that made `<kind>/<job>.json` is `<script>/<job>.tsv`.
_SCRIPTS = {
    "quality": "evaluate_ranking",
    "parity": "check_parity",
    "timing": "time_model",
    "sensitivity": "analyse_sensitivity",
}
Job = tuple[str, ...]


def jobs_that_made(files: Paths, results: str | os.PathLike) -> list[Job]:
    """The jobs that made these files of the folder ``results``, each once.

    A job is the name of its benchmark file below ``benchmarks/``, without the suffix; several
    names where either of two rules can have made the file.
    """
    names = (Path(path).relative_to(results).with_suffix("").parts for path in files)
    return list(dict.fromkeys(_job(*parts) for parts in names))


def _job(kind: str, *parts: str) -> Job:
    if kind == "data":
        return ("/".join(["parse_letor", *parts[:-2]]),)
    if kind == "students" and parts[-1] == "sp0":
        return tuple("/".join([rule, *parts[:-1]]) for rule in ("distil_student", "share_student"))
    script = "prune_student" if kind == "students" else _SCRIPTS[kind]
    return ("/".join([script, *parts]),)


def read_jobs(folder: str | os.PathLike, jobs: Iterable[Job]) -> pd.DataFrame:
    """One line a job: ``rule``, ``job``, ``seconds``, ``cpu_seconds``, ``peak_mb``.

    Args:
        folder: ``results/benchmarks``; of a job's names the one that was written last counts.

    Returns:
        ``seconds`` by the wall clock, ``cpu_seconds`` of processor time and ``peak_mb`` (2^20
        bytes) of resident memory, as Snakemake sampled them; all NaN for a job without a file
        that can be read.
    """
    lines = []
    for names in jobs:
        found = [path for name in names if (path := Path(folder, f"{name}.tsv")).exists()]
        path = max(found, key=lambda path: path.stat().st_mtime, default=None)
        name = names[0] if path is None else path.relative_to(folder).with_suffix("").as_posix()
        rule, _, job = name.partition("/")
        lines.append((rule, job, *_cost(path)))
    return pd.DataFrame(lines, columns=["rule", "job", "seconds", "cpu_seconds", "peak_mb"])


def _cost(path: Path | None) -> tuple[float, float, float]:
    nothing = (float("nan"),) * 3
    if path is None:
        return nothing
    try:
        with path.open(encoding="utf-8", newline="") as file:
            line = next(csv.DictReader(file, delimiter="\t"))
        # A job that ends before it is looked at has "NA" in place of what was not measured.
        values = [line[name] for name in ("s", "cpu_time", "max_rss")]
        seconds, cpu, peak = (float("nan") if each == "NA" else float(each) for each in values)
    except (StopIteration, KeyError, TypeError, ValueError):
        logging.warning("%s is no benchmark file; the job counts as one without a record", path)
        return nothing
    return seconds, cpu, peak


def accounts_table(jobs: pd.DataFrame) -> pd.DataFrame:
    """What each rule cost, the dearest first, and in the last line all of them.

    Args:
        jobs: as ``read_jobs`` returns them.

    Returns:
        ``rule``, ``jobs``, ``without_record`` of them, sums of ``seconds`` and ``cpu_seconds``
        over those with a record, the largest ``peak_mb``, ``longest_seconds`` of one job.
    """
    rules = pd.DataFrame([_cost_of(rule, own) for rule, own in jobs.groupby("rule")])
    rules = rules.sort_values(["seconds", "rule"], ascending=[False, True])
    return pd.concat([rules, pd.DataFrame([_cost_of(TOTAL, jobs)])], ignore_index=True)


def _cost_of(rule: str, jobs: pd.DataFrame) -> dict[str, str | int | float]:
    return {
        "rule": rule,
        "jobs": len(jobs),
        "without_record": int(jobs["seconds"].isna().sum()),
        "seconds": jobs["seconds"].sum(),
        "cpu_seconds": jobs["cpu_seconds"].sum(),
        "peak_mb": jobs["peak_mb"].max(),
        "longest_seconds": jobs["seconds"].max(),
    }


def longest_table(jobs: pd.DataFrame, count: int = _LONGEST) -> pd.DataFrame:
    """The ``count`` jobs that took longest, with the columns of ``read_jobs``."""
    known = jobs.dropna(subset="seconds")
    return known.sort_values(["seconds", "job"], ascending=[False, True]).head(count)


def cost_tables(
    benchmarks: str | os.PathLike, made: Sequence[Paths], earlier: Iterable[str]
) -> dict[str, pd.DataFrame]:
    """The tables ``accounts`` and ``longest`` of the jobs of one selection.

    Args:
        benchmarks: ``results/benchmarks``.
        made: the files that the selection's jobs have made, in any number of lists.
        earlier: the jobs whose files are not among them, named as in ``jobs_that_made``.
    """
    results = Path(benchmarks).parent
    names = [(name,) for name in earlier]
    names += [job for files in made for job in jobs_that_made(files, results)]
    jobs = read_jobs(benchmarks, dict.fromkeys(names))
    return {"accounts": accounts_table(jobs), "longest": longest_table(jobs)}
