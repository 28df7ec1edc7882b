"""The workflow as a `module:` of another one: its prefix, its config, its own files and folders."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_design_workflow import LISTS, calibrate

from distilrank.letor import Dataset

ROOT = Path(__file__).parents[2]
OUTER = f"""
configfile: "outer.yaml"

rule all:
    input: "done.json"

module distilrank:
    snakefile: "{ROOT}/Snakefile"
    config: config["ranking"]
    prefix: "ranking"

use rule * from distilrank as distilrank_*

rule take:
    input: "ranking/results/data/mine/fold1/train/meta.json"
    output: "done.json"
    shell: "cp {{input}} {{output}}"
"""
CONFIG = {
    "title": "a key of the other workflow's own",
    "ranking": {
        "datasets": {
            "mine": {
                "title": "Mine",
                "features": 3,
                "folder": "data",
                "feature_names": "names.txt",
                "files": {name: {"path": f"{name}.txt"} for name in ("train", "vali", "test")},
            }
        },
        "run": {"datasets": ["mine"], "students": ["C"], "teachers": ["lm-small"]},
    },
}


@pytest.fixture
def outer(tmp_path: Path, native_library: Path) -> Path:
    """Another workflow's folder, with data of its own; the parser is built already."""
    (tmp_path / "Snakefile").write_text(OUTER)
    configure(tmp_path, {})
    (tmp_path / "names.txt").write_text("length\nage\nclicks\n")
    (tmp_path / "data").mkdir()
    for number, split in enumerate(("train", "vali", "test")):
        lines = (f"{n % 3} qid:{100 * number + n // 5} 1:{n} 2:{n % 7} 3:1\n" for n in range(40))
        (tmp_path / "data" / f"{split}.txt").write_text("".join(lines))
    parser = tmp_path / "ranking/results/native/libdistilrank-letor.so"
    parser.parent.mkdir(parents=True)
    shutil.copyfile(native_library, parser)
    return tmp_path


def configure(folder: Path, ranking: dict) -> None:
    config = CONFIG | {"ranking": CONFIG["ranking"] | ranking}
    (folder / "outer.yaml").write_text(yaml.safe_dump(config))


def snakemake(folder: Path, *arguments: str) -> str:
    """What the other workflow says; it has to succeed."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def test_the_other_workflows_own_target_comes_first_and_gets_what_it_asks_for(outer: Path) -> None:
    """A persons's files start at the working folder, the workflow's own at the prefix."""
    assert "Parsing fold 1 of mine" in snakemake(outer)
    assert json.loads((outer / "done.json").read_text())["title"] == "Mine"
    train = Dataset.open(outer / "ranking/results/data/mine/fold1/train")
    assert (train.n_queries, train.n_features) == (8, 3)
    assert train.meta["feature_names"] == ["length", "age", "clicks"]
    assert (outer / "ranking/results/logs/parse_letor/mine/fold1.log").exists()
    assert not (outer / "results").exists()
    assert "Nothing to be done" in snakemake(outer)


def test_the_whole_plan_stays_under_the_prefix_with_the_defaults_that_are_not_changed(
    outer: Path,
) -> None:
    summary = snakemake(outer, "--summary", "distilrank_report")
    lines = [line.split("\t") for line in summary.splitlines() if line.count("\t") >= 5]
    header, *files = lines
    made = [file[header.index("output_file")] for file in files]
    assert len(made) > 100
    assert [path for path in made if not path.startswith("ranking/results/")] == []
    plan = snakemake(outer, "-n", "distilrank_report")
    counts = dict(re.findall(r"^distilrank_(\w+) +(\d+)$", plan, flags=re.MULTILINE))
    sparsities = yaml.safe_load((ROOT / "config/config.yaml").read_text())["run"]["sparsities"]
    assert counts["train_teacher"] == "1"
    assert counts["time_student"] == str(len(sparsities))
    assert "fetch_dataset" not in counts


def test_designs_are_made_and_used_under_the_prefix(outer: Path) -> None:
    configure(outer, {"design": {"budget_us": [0.2], "train": 1, "widths": [25, 50]}})
    calibrate(outer / "ranking")
    snakemake(outer, "distilrank_design", "--until", "distilrank_design_students")
    designs = outer / "ranking" / LISTS.replace("mslr-sample", "mine") / "designs.json"
    made = json.loads(designs.read_text())["designs"]
    assert made
    plan = snakemake(outer, "-n", "distilrank_design")
    counts = dict(re.findall(r"^distilrank_(\w+) +(\d+)$", plan, flags=re.MULTILINE))
    trained = [name for name, design in made.items() if design["rank"] == 1]
    assert counts["distil_student"] == counts["time_student"] == str(len(trained))
    assert "design_students" not in counts


def test_a_typo_in_the_modules_config_is_named(outer: Path) -> None:
    configure(outer, {"rum": {}})
    command = [sys.executable, "-m", "snakemake", "-n"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=outer)
    assert failed.returncode != 0
    assert "unknown key 'rum': did you mean 'run'?" in failed.stdout + failed.stderr
