"""benchmarks/simulate_cluster.py and benchmarks/overhead.py: on plans small enough to know."""

import os
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks.overhead import busy, last_run
from benchmarks.simulate_cluster import (
    EPOCH,
    START,
    TREE,
    Job,
    critical_path,
    seconds,
    simulate,
)

CONFIG = {
    "datasets": {"mslr-web30k": {"features": 136}},
    "teachers": {"t": {"trees": 100, "tune": {"trials": 20}}},
    "students": {"A": [400, 200, 200, 100]},
    "recipes": {
        "r": {"distil": {"epochs": 10}, "prune": {"epochs": 5, "learn_from": "labels"}},
    },
}


def job(length: float, *needs: int, cores: int = 1, exclusive: bool = False) -> Job:
    return Job("rule", f"of {length} s", length, cores, exclusive, list(needs))


def test_jobs_that_wait_for_nothing_share_the_cores():
    jobs = [job(10) for _ in range(8)]
    for nodes, cores, makespan in [(1, 1, 80), (1, 4, 20), (2, 4, 10), (4, 4, 10)]:
        run = simulate(jobs, nodes, cores)
        assert run.makespan == makespan
        assert run.utilisation == pytest.approx(80 / (makespan * nodes * cores))


def test_the_longest_way_to_the_end_goes_first():
    """Two cores, and a chain of 5 + 5 beside two jobs of 5: 10 s only if the chain starts first."""
    assert simulate([job(5), job(5), job(5), job(5, 2)], nodes=1, cores=2).makespan == 10


def test_the_critical_path_is_the_longest_chain_and_bounds_every_cluster():
    jobs = [job(3), job(1), job(4, 1), job(2, 0, 2)]
    assert [each.seconds for each in critical_path(jobs)] == [1, 4, 2]
    assert simulate(jobs, nodes=64, cores=8).makespan == 7


def test_wide_jobs_take_their_cores_of_one_node():
    jobs = [job(10, cores=3), job(10, cores=3)]
    assert simulate(jobs, nodes=1, cores=4).makespan == 20
    assert simulate(jobs, nodes=2, cores=4).makespan == 10
    with pytest.raises(ValueError, match="of 10 s takes 3 cores, and a node has 2"):
        simulate(jobs, nodes=9, cores=2)


@pytest.mark.parametrize(("nodes", "makespan"), [(1, 30 + 10), (2, 30), (9, 30)])
def test_exclusive_jobs_run_one_at_a_time_on_one_node(nodes, makespan):
    """Three of 10 s, and four cores' worth of 10 s beside them."""
    jobs = [job(10, exclusive=True) for _ in range(3)] + [job(10) for _ in range(4)]
    assert simulate(jobs, nodes, cores=4).makespan == makespan


def test_what_a_job_is_assumed_to_take():
    of = {"dataset": "mslr-web30k", "teacher": "t", "student": "A", "recipe": "r"}
    assert seconds("tune_teacher", of, CONFIG, 2) == START + 20 * 100 * TREE * 2.27 / 2
    assert seconds("train_teacher", of, CONFIG, 1) == START + 100 * TREE * 2.27
    assert seconds("distil_student", of, CONFIG, 1) == pytest.approx(START + 10 * EPOCH * 2.27)
    # Labels alone: no synthetic documents.
    assert seconds("prune_student", of, CONFIG, 1) == pytest.approx(START + 5 * EPOCH / 2 * 2.27)
    assert seconds("parse_letor", of, CONFIG, 1) == START + 1 + 64 * 3.77


def test_an_unknown_data_set_is_named():
    with pytest.raises(ValueError, match="how many documents 'mine' has: add it to DOCUMENTS"):
        seconds("parse_letor", {"dataset": "mine"}, CONFIG, 1)


def test_the_time_in_which_any_job_is_at_work():
    assert busy([]) == 0
    assert busy([(0, 10), (2, 5), (8, 12), (20, 21)]) == 12 + 1


def test_the_last_run_that_ran_jobs_is_told_from_logs_and_benchmark_files(tmp_path: Path):
    logs, benchmarks = tmp_path / ".snakemake/log", tmp_path / "results/benchmarks/rule"
    logs.mkdir(parents=True), benchmarks.mkdir(parents=True)
    with pytest.raises(ValueError, match="run `make report` first"):
        last_run(tmp_path)
    begun = datetime(2026, 1, 2, 3, 4, 5).timestamp()
    log = logs / "2026-01-02T030405.000000.snakemake.log"
    empty = logs / "2026-01-03T030405.000000.snakemake.log"  # such as of a dry run
    for path in (log, empty):
        path.touch()
        os.utime(path, (0, begun + 100 + 86400 * (path == empty)))
    for name, took, ended in [("a", 10, 30), ("b", 5, 40), ("earlier", 9, -50)]:
        path = benchmarks / f"{name}.tsv"
        path.write_text(f"s\th:m:s\n{took}\t0:00:{took}\n")
        os.utime(path, (0, begun + ended))
    start, end, jobs = last_run(tmp_path)
    assert (start, end) == (begun, begun + 100)
    assert jobs == [(begun + 20, begun + 30), (begun + 35, begun + 40)]
