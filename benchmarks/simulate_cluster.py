"""Simulate a run on clusters of several sizes: how long it takes, and what it waits for.

    python benchmarks/simulate_cluster.py --configfile config/paper.yaml --nodes 1 8 64

The jobs and what they wait for are Snakemake's own plan of the whole grid, made in an empty
folder. How long each takes is assumed: `seconds` says from what. Nothing is run. docs/planning.md
says what was found.
"""

import argparse
import contextlib
import heapq
import io
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Millions of documents in the train split, and in all splits.
DOCUMENTS = {
    "mslr-sample": (0.004, 0.010),
    "mslr-sample-cv5": (0.006, 0.010),
    "mslr-web10k": (0.72, 1.2),
    "mslr-web30k": (2.27, 3.77),
    "istella-s": (2.04, 3.41),
    "istella": (5.9, 10.5),
}
# Core-seconds a million documents and epoch of network A (136 features) in fp32, as many synthetic
# documents beside them: docs/training.md, 72 s for 2.27 million on two cores, 84 % in the products.
EPOCH, PRODUCTS, WIDTHS = 2 * 72 / 2.27, 0.84, (136, 400, 200, 200, 100, 1)
BF16 = 55 / 72
# LightGBM, core-seconds a tree and million documents: its documentation's MS LTR experiment,
# 500 trees of 255 leaves on 2.27 million documents in 70 s on 16 threads.
TREE = 70 * 16 / 500 / 2.27
# Seconds a job of the default run takes (measured, two cores), and core-seconds a million documents
# of all splits beside them. Parsing: docs/data.md. The other rates are guesses.
MEASURED = {
    "fetch_dataset": (600, 0),
    "build_native": (38, 0),
    "build_parser": (7, 0),
    "build_teacher": (20, 0),
    "parse_letor": (1, 64),
    "cut_teacher": (1, 0),
    "score_documents": (1, 60),
    "share_student": (1, 0),
    "evaluate_teacher": (0.5, 20),
    "evaluate_student": (0.5, 20),
    "analyse_sensitivity": (5, 0),
    "check_parity_teacher": (3.5, 30),
    "check_parity_student": (3.5, 30),
    "time_teacher": (9, 5),
    "time_student": (9, 5),
    "time_kernels": (22, 0),
    "calibrate": (108, 0),
    "validate_predictor": (10, 0),
    "make_tables": (60, 0),
}
OTHER = 3.0
# What starting a job costs on SLURM beside its work: two starts of Snakemake.
START = 6.0


@dataclass
class Job:
    """One job of a plan; ``needs`` holds the numbers of the jobs it waits for."""

    rule: str
    name: str
    seconds: float
    cores: int = 1
    exclusive: bool = False
    needs: list[int] = field(default_factory=list)


@dataclass
class Run:
    """What a simulation found: seconds from start to end, and the share of the cores' time used."""

    makespan: float
    utilisation: float


def planned(configfiles: list[Path]) -> list[Job]:
    """The jobs of the whole grid as Snakemake plans them where no file exists yet."""
    # `_workflow` alone leads to the jobs; what Snakemake prints of them leaves wildcards out.
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

    quiet = OutputSettings(quiet={Quietness.ALL})
    with tempfile.TemporaryDirectory() as folder, SnakemakeApi(quiet) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=2),
            config_settings=ConfigSettings(configfiles=[path.resolve() for path in configfiles]),
            snakefile=ROOT / "Snakefile",
            workdir=Path(folder),
        )
        with contextlib.redirect_stdout(io.StringIO()):
            workflow.dag().printrulegraph()
        dag, config = workflow._workflow.dag, workflow._workflow.globals["config"]
        numbers = {job: number for number, job in enumerate(dag.jobs)}
        return [
            Job(
                job.rule.name,
                _named(job.rule.name, job.wildcards_dict),
                seconds(job.rule.name, job.wildcards_dict, config, job.threads),
                job.threads,
                job.resources.get("machine", 1) == 100,
                [numbers[needed] for needed in dag.dependencies[job]],
            )
            for job in numbers
        ]


def _named(rule: str, wildcards: Mapping[str, str]) -> str:
    return " ".join([rule, *wildcards.values()])


def seconds(
    rule: str, wildcards: Mapping[str, str], config: Mapping[str, Any], cores: int
) -> float:
    """How long a job is assumed to take on ``cores`` cores of the machine that was measured."""
    train, whole = _documents(wildcards.get("dataset"))
    if rule in ("tune_teacher", "train_teacher"):
        entry = config["teachers"][wildcards["teacher"]]
        trials = entry["tune"]["trials"] if rule == "tune_teacher" else 1
        return START + entry["trees"] * trials * TREE * train / cores
    if rule in ("distil_student", "prune_student"):
        schedule = config["recipes"][wildcards["recipe"]][rule.removesuffix("_student")]
        features = config["datasets"][wildcards["dataset"]].get("features", 136)
        widths = (features, *config["students"][wildcards["student"]], 1)
        return START + schedule["epochs"] * _epoch(schedule, widths) * train / cores
    fixed, rate = MEASURED.get(rule, (OTHER, 0))
    return START + fixed + rate * whole / cores


def _documents(dataset: str | None) -> tuple[float, float]:
    if dataset is None:
        return 0.0, 0.0
    if dataset not in DOCUMENTS:
        raise ValueError(
            f"nobody said how many documents '{dataset}' has: add it to DOCUMENTS in {__file__}"
        )
    return DOCUMENTS[dataset]


def _epoch(schedule: Mapping[str, Any], widths: tuple[int, ...]) -> float:
    """Core-seconds of an epoch over a million real documents."""
    products = PRODUCTS * _multiplications(widths) / _multiplications(WIDTHS)
    whole = EPOCH * (products + 1 - PRODUCTS)
    if schedule.get("learn_from") == "labels":
        return whole / 2  # no synthetic documents
    whole *= (1 + schedule.get("synthetic_per_real", 1)) / 2
    return whole * (BF16 if schedule.get("compute", "fp32") != "fp32" else 1)


def _multiplications(widths: tuple[int, ...]) -> int:
    return sum(left * right for left, right in pairwise(widths))


def ranks(jobs: list[Job]) -> tuple[list[float], list[int]]:
    """Of each job the seconds from its start to the end of all that waits for it, and the
    job that comes next on that longest way (-1 at the end)."""
    waiting, left, follower = defaultdict(list), [0.0] * len(jobs), [-1] * len(jobs)
    open_followers = Counter(need for job in jobs for need in job.needs)
    for number, job in enumerate(jobs):
        for need in job.needs:
            waiting[need].append(number)
    ready = [number for number in range(len(jobs)) if not open_followers[number]]
    while ready:
        number = ready.pop()
        after = max(waiting[number], key=left.__getitem__, default=-1)
        follower[number] = after
        left[number] = jobs[number].seconds + (left[after] if after >= 0 else 0)
        for need in jobs[number].needs:
            open_followers[need] -= 1
            if not open_followers[need]:
                ready.append(need)
    return left, follower


def critical_path(jobs: list[Job]) -> list[Job]:
    """The longest chain of jobs that wait for one another: no cluster is faster."""
    left, follower = ranks(jobs)
    number = max(range(len(jobs)), key=left.__getitem__)
    path = []
    while number >= 0:
        path.append(jobs[number])
        number = follower[number]
    return path


def simulate(jobs: list[Job], nodes: int, cores: int) -> Run:
    """List scheduling by the longest way to the end (Graham 1969; Kwok and Ahmad 1999, HLFET).

    Exclusive jobs run on the first node alone, one at a time. With several nodes others leave it
    free once such a job waits; on a single node such jobs wait until nothing else can be started.

    Raises:
        ValueError: if a job needs more cores than a node has.
    """
    widest = max(jobs, key=lambda job: job.cores)
    if widest.cores > cores:
        raise ValueError(f"{widest.name} takes {widest.cores} cores, and a node has {cores}")
    left, _ = ranks(jobs)
    missing, waiting = [len(job.needs) for job in jobs], defaultdict(list)
    for number, job in enumerate(jobs):
        for need in job.needs:
            waiting[need].append(number)
    free, ordinary, alone, running = [cores] * nodes, [], [], []

    def offer(number: int) -> None:
        heapq.heappush(alone if jobs[number].exclusive else ordinary, (-left[number], number))

    def start(number: int, node: int, taken: int) -> None:
        free[node] -= taken
        heapq.heappush(running, (now + jobs[number].seconds, number, node, taken))

    for number in range(len(jobs)):
        if not missing[number]:
            offer(number)
    now = 0.0
    while ordinary or alone or running:
        if alone and free[0] == cores and (nodes > 1 or not ordinary):
            start(heapq.heappop(alone)[1], 0, cores)
        first = 1 if alone and nodes > 1 else 0
        while ordinary:
            needed = jobs[ordinary[0][1]].cores
            node = max(range(first, nodes), key=free.__getitem__)
            if free[node] < needed:
                break
            start(heapq.heappop(ordinary)[1], node, needed)
        now, number, node, taken = heapq.heappop(running)
        free[node] += taken
        for follower in waiting[number]:
            missing[follower] -= 1
            if not missing[follower]:
                offer(follower)
    work = sum(job.seconds * job.cores for job in jobs)
    return Run(now, work / (now * nodes * cores))


def _told(jobs: list[Job], nodes: list[int], cores: int) -> None:
    counts, work = Counter(), Counter()
    for job in jobs:
        counts[job.rule] += 1
        work[job.rule] += job.seconds * job.cores / 3600
    print(f"{len(jobs)} jobs, {sum(work.values()):,.0f} core-hours")
    for rule, hours in work.most_common(8):
        print(f"  {rule:22} {counts[rule]:6} jobs {hours:10,.1f} core-hours")
    alone = sum(job.seconds for job in jobs if job.exclusive)
    print(f"one at a time on the timing node: {alone / 3600:.1f} h")
    path = critical_path(jobs)
    print(f"critical path: {sum(job.seconds for job in path) / 3600:.1f} h")
    for job in path:
        print(f"  {job.seconds / 3600:8.2f} h  {job.name}")
    for count in nodes:
        run = simulate(jobs, count, cores)
        print(
            f"{count:3} nodes of {cores} cores: {run.makespan / 3600:9.1f} h, "
            f"{run.utilisation:.0%} of the cores' time used"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", type=Path, nargs="+", default=[])
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--cores", type=int, default=32, help="of each node")
    options = parser.parse_args()
    _told(planned(options.configfile), options.nodes, options.cores)
