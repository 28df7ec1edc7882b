"""On a real SLURM: the same models and metrics as a local run, byte for byte. `make test-slurm`.

`PROFILE` of the environment names a profile of one's own, with partition and account.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from distilrank.compare import compare_results

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "workflow" / "small.yaml"
PROFILE = os.environ.get("PROFILE") or "profiles/slurm"
# One timed network beside all quality: its jobs are a group that has a node for itself.
TIMED = "results/timing/mslr-sample/fold1/small/narrow/quick/seed1/sp950.json"
ON_SLURM = ("--workflow-profile", PROFILE)
HERE = ("--cores", "2")


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return subprocess.run(
        [*command, "--directory", str(folder), "--configfile", str(SMALL), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.environ["PLUGIN"]},
    )  # fmt: skip


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local")
    done = snakemake(folder, *HERE, "--", "quality")
    assert done.returncode == 0, done.stdout[-8000:]
    return folder


@pytest.fixture(scope="module")
def cluster(local: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive is not fetched twice."""
    folder = tmp_path_factory.mktemp("slurm")
    shutil.copytree(local / "results/raw", folder / "results/raw")
    done = snakemake(folder, *ON_SLURM, "--", "quality", TIMED)
    assert done.returncode == 0, done.stdout[-8000:]
    assert "has been submitted with SLURM jobid" in done.stdout
    return folder


def test_models_and_metrics_are_the_same_bytes(local: Path, cluster: Path) -> None:
    found = compare_results(local, cluster)
    assert [each.kind for each in found if not each.same] == []
    assert all(each.equal for each in found), "every kind has files"


def test_a_network_is_timed_on_a_node(cluster: Path) -> None:
    timing = json.loads((cluster / TIMED).read_text())
    assert timing["measurements"] and timing["machine"]["id"]


def test_a_second_run_submits_nothing(cluster: Path) -> None:
    again = snakemake(cluster, *ON_SLURM, "--", "quality", TIMED)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout


def test_a_partition_that_does_not_exist_is_named(tmp_path: Path) -> None:
    nowhere = ("--default-resources", "slurm_partition=nowhere", "mem_mb=500", "runtime=5")
    failed = snakemake(tmp_path, *ON_SLURM, *nowhere, "--retries", "0", "--", "native")
    assert failed.returncode != 0
    assert "invalid partition specified: nowhere" in failed.stdout
    assert "Traceback" not in failed.stdout
