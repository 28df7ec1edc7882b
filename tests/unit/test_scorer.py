"""distilrank.Scorer as people outside the workflow meet it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import random_student

import distilrank
from distilrank import scorer as module

ROOT = Path(__file__).parents[2]
WIDTHS = (5, 4, 1)
ROWS = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)


@pytest.fixture
def scorer(native_library):
    student = random_student(np.random.default_rng(0), WIDTHS)
    with distilrank.Scorer(student, library=native_library) as made:
        yield made


def test_the_package_offers_one_class():
    assert distilrank.Scorer is module.Scorer
    with pytest.raises(AttributeError, match="has no attribute 'Ranker'"):
        distilrank.Ranker  # noqa: B018


def only_numpy(folder: Path, code: str, native_library: Path) -> str:
    """Run ``code`` in a Python that has this package and NumPy, and nothing else."""
    numpy = Path(np.__file__).parent
    for package in (numpy, numpy.with_name("numpy.libs"), ROOT / "distilrank"):
        if package.exists():
            (folder / package.name).symlink_to(package)
    (folder / "results" / "native").mkdir(parents=True)
    (folder / "results" / "native" / "libdistilrank.so").symlink_to(native_library)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )  # fmt: skip
    return done.stdout + done.stderr


def test_scoring_needs_numpy_alone(tmp_path, native_library):
    random_student(np.random.default_rng(0), WIDTHS).save(tmp_path / "model.safetensors")
    code = (
        "import sys, distilrank; print(sorted(m for m in sys.modules if 'numpy' in m))\n"
        "import numpy\n"
        "print(distilrank.Scorer('model.safetensors').score(numpy.zeros((2, 5), 'f4')).shape)\n"
        "from distilrank.cli import main\n"
        "main(['predict-time', '--arch', '5-4-1', '--calibration', 'model.safetensors'])\n"
    )
    assert only_numpy(tmp_path, code, native_library).splitlines() == [
        "[]",  # the import alone is light
        "(2,)",
        "error: this command needs the package safetensors, which is not installed; run it in the "
        "project's environment",
    ]


def test_calls_of_every_kind_after_each_other(scorer):
    """What is kept from call to call is right for the next one, whatever that brings."""
    wide = np.repeat(ROWS, 2, axis=1)
    expected = scorer.clone().score(ROWS)
    out, frozen = np.empty(9, np.float32), ROWS.copy()
    frozen.flags.writeable = False
    wide[:, 3:8] = ROWS
    calls = [
        (ROWS, None, 9), (ROWS, out, 9), (ROWS.copy(), out, 9), (wide[:, 3:8], out, 9),
        (ROWS, np.empty(9, np.float32), 9), (ROWS[:4], None, 4), (frozen, out, 9), (ROWS, out, 9),
        (ROWS[:0], None, 0), (ROWS[:1], out[:1], 1),
        (ROWS, out, 9),
    ]  # fmt: skip
    for rows, given, count in calls:
        out[:] = np.nan
        found = scorer.score(rows, given)
        assert given is None or found is given
        np.testing.assert_allclose(found, expected[:count], rtol=1e-4)


def test_an_array_that_was_fine_is_looked_at_again(scorer):
    scorer.score(ROWS)
    with pytest.raises(ValueError, match=r"rows of float64 and shape \(9, 5\) given, float32 of"):
        scorer.score(ROWS.astype(np.float64))
    with pytest.raises(ValueError, match="rows with strides of"):
        scorer.score(np.asfortranarray(ROWS))
    with pytest.raises(ValueError, match=r"rows of >f4|rows of float32"):
        scorer.score(ROWS.astype(">f4"))
    with pytest.raises(ValueError, match="out has room for 3 scores, 9 rows given"):
        scorer.score(ROWS, np.empty(3, np.float32))
    assert scorer.score(ROWS).shape == (9,)


def test_what_is_no_array_is_refused(scorer):
    with pytest.raises(ValueError, match="rows is a list, expected a NumPy array"):
        scorer.score([[1.0] * 5])


def test_a_closed_scorer_scores_nothing_that_it_knows(native_library):
    scorer = distilrank.Scorer(
        random_student(np.random.default_rng(0), WIDTHS), library=native_library
    )
    scorer.score(ROWS)
    scorer.close()
    with pytest.raises(ValueError, match="the scorer is closed"):
        scorer.score(ROWS)
