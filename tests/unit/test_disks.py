"""A full disk and a read-only folder, real ones: a sentence, and nothing half-written."""

import re

import pytest
from small_disks import on_a_disk, python, read_only

WRITERS = {
    "array": "import numpy as np; from distilrank.files import write_array\n"
    "write_array(path, np.zeros(100_000))",
    "JSON": "from distilrank.files import write_json\n"
    "write_json(path, {'a': list(range(100_000))})",
    "student": "import numpy as np; from tiny import random_student\n"
    "random_student(np.random.default_rng(0), (300, 300, 1)).save(path)",
    "forest": "import lightgbm, numpy as np; from distilrank.teacher import save_forest\n"
    "rows = np.random.default_rng(0).normal(size=(2000, 9))\n"
    "data = lightgbm.Dataset(rows, rows @ np.arange(9))\n"
    "quiet = {'verbose': -1, 'num_leaves': 63, 'num_threads': 1}\n"
    "save_forest(lightgbm.train(quiet, data, 60), path)",
}


@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, what):
    """LightGBM's own writer says nothing and leaves a file cut short."""
    disk = tmp_path / "disk"
    code = f"""
import os
path = {str(disk / "made.npy")!r}
try:
    exec({WRITERS[what]!r})
except OSError as error:
    print(error)
print(os.listdir({str(disk)!r}))
os.system("mount -o remount,size=64m {disk}")
exec({WRITERS[what]!r})
print(os.listdir({str(disk)!r}))
"""
    done = on_a_disk(disk, "size=64k", *python(code))
    assert done.returncode == 0, done.stderr
    said, left, then = done.stdout.splitlines()
    assert re.fullmatch(
        rf"no space left to write {disk}/made\.npy: 0\.\d MB are free there\. Free some, or "
        "enlarge the disk or the quota, and run again: what is done is kept",
        said,
    )
    assert (left, then) == ("[]", "['made.npy']")


def test_a_job_on_a_full_disk_fails_with_the_sentence(tmp_path):
    code = f"""
import numpy as np
from distilrank.files import write_array
from distilrank.job import job
with job("{tmp_path}/disk/job.log"):
    write_array("{tmp_path}/disk/made.npy", np.zeros(100_000))
"""
    done = on_a_disk(tmp_path / "disk", "size=64k", *python(code))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: no space left to write {tmp_path}/disk/made.npy: ")
    assert "Traceback" not in done.stderr


def test_a_read_only_results_folder_is_told_and_where_else_to_run(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    code = f"""
from distilrank.layout import claim
try:
    claim({str(results)!r})
except OSError as error:
    print(error)
"""
    done = read_only(results, *python(code))
    assert done.stdout == (
        f"{results}/ cannot be written to (Read-only file system). Results go there: make it "
        "writable, or run with 'snakemake --directory FOLDER'\n"
    ), done.stderr
