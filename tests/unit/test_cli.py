"""distilrank predict-time: what it prints, what it refuses, and its exit status."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from calibrated import write_calibration

from distilrank.cli import main, parse_architecture
from distilrank.machine import fingerprint
from distilrank.planned import NativeTimes

ROOT = Path(__file__).parents[2]
ARCH = "136-200-100-100-50-1"


def predict(calibration: Path, *more: str, arch: str = ARCH) -> int:
    return main(["predict-time", "--arch", arch, "--calibration", str(calibration), *more])


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    return write_calibration(tmp_path / "native.json")


def test_it_prints_every_step_and_the_total_with_its_interval(calibration, capsys):
    more = ("--sparsity", "0.98", "--precision", "bf16", "--batch", "100")
    assert predict(calibration, *more) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"{ARCH}, first layer 98 % zeros, bf16, batch 100\n")
    expected = NativeTimes.read(calibration).estimate(
        (136, 200, 100, 100, 50, 1), 0.98, "bf16", 100
    )
    for name, time in expected.steps:
        assert re.search(rf"^  {name} +{time:.4f} us/doc$", said.out, flags=re.MULTILINE), name
    total = rf"^  total +{expected.total:.4f} us/doc, {expected.low:.4f} to {expected.high:.4f}$"
    assert re.search(total, said.out, flags=re.MULTILINE)
    assert f"calibrated on machine {fingerprint()['id']}" in said.out


def test_without_options_it_is_dense_fp32_at_batch_256(calibration, capsys):
    assert predict(calibration) == 0
    assert f"{ARCH}, first layer dense, fp32, batch 256" in capsys.readouterr().out


def test_another_machines_calibration_is_used_and_said_so(tmp_path, capsys):
    other = write_calibration(tmp_path / "native.json", machine="0badcafe")
    assert predict(other) == 3
    said = capsys.readouterr()
    assert "total" in said.out
    assert "warning: the calibration is another machine's, 0badcafe" in said.err
    assert (
        f"this one is {fingerprint()['id']}" in said.err
        and "results/predictor/native.json" in said.err
    )


def test_another_build_of_the_library_is_said_so(tmp_path, capsys, monkeypatch):
    calibration = write_calibration(tmp_path / "native.json", library={"abi": 1, "sha256": "0"})
    monkeypatch.chdir(tmp_path)
    assert predict(calibration) == 0, "no library here: nothing to compare"
    (tmp_path / "results/native").mkdir(parents=True)
    (tmp_path / "results/native/libdistilrank.so").write_bytes(b"built anew")
    assert predict(calibration) == 3
    assert "warning: the native library is another build" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arch", "said"),
    [
        ("136", "--arch is '136': expected widths from features to output, such as 136-200-100-1"),
        ("", "--arch is '': expected widths"),
        ("136-200x100-1", "'200x100' is no width"),
        ("136,200,1", "expected widths"),
        ("136--1", "expected widths"),
        ("136-1e3-1", "'1e3' is no width"),
        ("136-²-1", "'²' is no width"),
        ("136-200-0-1", "no layer can have 0 outputs"),
        ("136-200-100", "ends in one output: 136-200-100-1?"),
    ],
)
def test_a_wrong_architecture_is_named(calibration, capsys, arch, said):
    assert predict(calibration, arch=arch) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error


def test_an_architecture_is_its_widths():
    assert parse_architecture(ARCH) == [136, 200, 100, 100, 50, 1]
    assert parse_architecture("5-1") == [5, 1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--sparsity", "98"), "--sparsity is 98, expected a share from 0 to below 1"),
        (("--sparsity", "1"), "98 % zeros are 0.98"),
        (("--sparsity", "-0.5"), "--sparsity is -0.5"),
        (("--sparsity", "nan"), "--sparsity is nan"),
        (("--batch", "0"), "--batch is 0, expected documents a call from 1"),
    ],
)
def test_a_wrong_number_is_named(calibration, capsys, more, said):
    assert predict(calibration, *more) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "more", [("--precision", "fp16"), ("--sparsity", "much"), ("--batch", "1.5"), ("--speed",)]
)
def test_what_argparse_refuses_has_the_same_status(calibration, more):
    with pytest.raises(SystemExit) as ended:
        predict(calibration, *more)
    assert ended.value.code == 2


def test_without_a_calibration_it_says_what_to_run(tmp_path, capsys):
    assert predict(tmp_path / "none.json") == 2
    assert "run 'snakemake results/predictor/native.json'" in capsys.readouterr().err


def test_another_file_is_no_calibration(tmp_path, capsys):
    for content in ("{}", "no JSON", "[]"):
        (tmp_path / "other.json").write_text(content)
        assert predict(tmp_path / "other.json") == 2
        assert "other.json" in capsys.readouterr().err


def test_it_runs_as_a_module_and_looks_into_the_results(tmp_path):
    write_calibration(tmp_path / "results/predictor/native.json")
    done = subprocess.run(
        [sys.executable, "-m", "distilrank", "predict-time", "--arch", "136-50-1"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "total" in done.stdout


def test_help_tells_the_exit_statuses(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["predict-time", "--help"])
    assert ended.value.code == 0
    assert "exit status: 0" in " ".join(capsys.readouterr().out.split())
