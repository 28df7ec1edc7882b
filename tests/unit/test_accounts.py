"""distilrank.accounts: what the selection's jobs cost, and which have no record."""

import math
import os

import pytest

from distilrank.accounts import cost_tables, jobs_that_made, longest_table, read_jobs
from tests.result_files import write_benchmark

RUN = "toy/fold1/large/A/plain/seed1"


@pytest.mark.parametrize(
    ("file", "job"),
    [
        ("quality/toy/fold1/large/teacher.json", "evaluate_ranking/toy/fold1/large/teacher"),
        (f"quality/{RUN}/sp950.json", f"evaluate_ranking/{RUN}/sp950"),
        (f"parity/{RUN}/sp950.json", f"check_parity/{RUN}/sp950"),
        (f"timing/{RUN}/sp0.json", f"time_model/{RUN}/sp0"),
        (f"sensitivity/{RUN}.json", f"analyse_sensitivity/{RUN}"),
        (f"students/{RUN}/sp950.csv", f"prune_student/{RUN}/sp950"),
        ("data/toy/fold1/vali/meta.json", "parse_letor/toy/fold1"),
    ],
)
def test_a_file_tells_its_job(tmp_path, file, job):
    assert jobs_that_made([tmp_path / file], tmp_path) == [(job,)]


def test_a_job_counts_once_however_many_files_it_made(tmp_path):
    files = [tmp_path / f"data/toy/fold1/{split}/meta.json" for split in ("train", "vali", "test")]
    assert jobs_that_made(files, tmp_path) == [("parse_letor/toy/fold1",)]


def test_of_the_two_rules_that_make_a_dense_network_the_later_counts(tmp_path):
    (names,) = jobs_that_made([tmp_path / f"students/{RUN}/sp0.csv"], tmp_path)
    old, new = (tmp_path / f"benchmarks/{name}.tsv" for name in names)
    write_benchmark(old, s="100.0")
    os.utime(old, (1, 1))
    write_benchmark(new, s="0.5")
    assert read_jobs(tmp_path / "benchmarks", [names])["seconds"].tolist() == [0.5]
    new.unlink()
    (line,) = read_jobs(tmp_path / "benchmarks", [names]).to_dict("records")
    assert (line["rule"], line["job"], line["seconds"]) == ("distil_student", RUN, 100.0)


def test_rules_add_up_and_what_is_not_selected_does_not_count(tmp_path):
    benchmarks = tmp_path / "benchmarks"
    for sparsity, seconds, peak in (
        (950, "30.0", "400.0"),
        (980, "12.5", "500.0"),
        (990, "7", "9"),
    ):
        write_benchmark(benchmarks / f"prune_student/{RUN}/sp{sparsity}.tsv", seconds, "10.0", peak)
    write_benchmark(benchmarks / "calibrate.tsv", "100.0", "99.0", "300.0")
    made = [tmp_path / f"students/{RUN}/sp{sparsity}.csv" for sparsity in (950, 980)]
    tables = cost_tables(benchmarks, [made], ["calibrate"])
    accounts = tables["accounts"].set_index("rule")
    assert accounts.index.tolist() == ["calibrate", "prune_student", "all jobs"]
    assert accounts["jobs"].tolist() == [1, 2, 3]
    assert accounts["seconds"].tolist() == [100.0, 30.0 + 12.5, 100.0 + 30.0 + 12.5]
    assert accounts["cpu_seconds"].tolist() == [99.0, 10.0 + 10.0, 99.0 + 10.0 + 10.0]
    assert accounts["peak_mb"].tolist() == [300.0, 500.0, 500.0]
    assert accounts["longest_seconds"].tolist() == [100.0, 30.0, 100.0]
    assert accounts["without_record"].tolist() == [0, 0, 0]
    assert tables["longest"]["job"].tolist() == ["", f"{RUN}/sp950", f"{RUN}/sp980"]


@pytest.mark.parametrize("content", ["", "s\th:m:s\n", "s\th:m:s\n1.0\t0:00:01\n", "\0\0", "a\nb"])
def test_a_benchmark_that_is_missing_or_cut_off_is_said_and_left_out(tmp_path, content):
    benchmarks = tmp_path / "benchmarks"
    write_benchmark(benchmarks / "calibrate.tsv", "5.0")
    (benchmarks / "fit_native.tsv").write_text(content)
    tables = cost_tables(benchmarks, [], ["calibrate", "fit_native", "validate_predictor"])
    accounts = tables["accounts"].set_index("rule")
    assert accounts["without_record"].to_dict() == {
        "calibrate": 0, "fit_native": 1, "validate_predictor": 1, "all jobs": 2,
    }  # fmt: skip
    assert accounts.loc["all jobs", ["jobs", "seconds"]].tolist() == [3, 5.0]
    assert accounts["longest_seconds"].isna().tolist() == [False, True, True, False]
    assert len(tables["longest"]) == 1


def test_a_job_too_short_to_be_looked_at_counts_its_time_alone(tmp_path):
    write_benchmark(tmp_path / "calibrate.tsv", "0.1", "NA", "NA")
    (line,) = read_jobs(tmp_path, [("calibrate",)]).to_dict("records")
    assert line["seconds"] == 0.1 and math.isnan(line["cpu_seconds"])
    accounts = cost_tables(tmp_path, [], ["calibrate"])["accounts"]
    assert accounts["without_record"].tolist() == [0, 0]


def test_a_run_without_any_record_has_accounts_all_the_same(tmp_path):
    tables = cost_tables(tmp_path / "benchmarks", [], ["calibrate"])
    assert tables["accounts"]["without_record"].tolist() == [1, 1]
    assert tables["longest"].empty


def test_the_longest_lead(tmp_path):
    for number in range(20):
        write_benchmark(tmp_path / f"time_kernels/{number}.tsv", str(float(number)))
    jobs = read_jobs(tmp_path, [(f"time_kernels/{number}",) for number in range(20)])
    assert longest_table(jobs, 3)["seconds"].tolist() == [19.0, 18.0, 17.0]
