"""scripts/design_students.py: lists, names and refusals, from files alone."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from calibrated import write_calibration

from distilrank.files import write_json
from distilrank.machine import fingerprint
from distilrank.planned import NativeTimes
from scripts.design_students import design_students

DESIGN = {
    "budget_us": [0.2, 0.5],
    "batch": 256,
    "depths": [1, 2, 3],
    "widths": [25, 50, 100, 200],
    "sparsities": [0, 0.98],
    "precisions": ["fp32", "bf16"],
    "margin": 0.08,
}
MACHINE = fingerprint()["id"]


def run(folder: Path, quality: list[Path] | None = None, machine: str = MACHINE, **design) -> None:
    times = folder / "native.json"
    if not times.exists():
        write_calibration(times)
    settings = DESIGN | design
    ranked = [folder / f"ranked-{round(1000 * us)}ns.csv" for us in settings["budget_us"]]
    design_students(
        times, quality or [], folder / "students.yaml", folder / "designs.json", ranked,
        machine=machine, dataset="toy", features=136, design=settings,
    )  # fmt: skip


def quality_files(folder: Path) -> list[Path]:
    """Of trained networks for which pruning costs nothing, so that zeros are free capacity."""
    made = []
    for index, widths in enumerate(((200, 100), (100, 50), (50, 25))):
        for sparsity in (0.0, 0.9, 0.98):
            sizes = (136 * widths[0], widths[0] * widths[1], widths[1])
            model = {
                "architecture": f"136-{widths[0]}-{widths[1]}-1",
                "layer_sparsity": [sparsity, 0.0, 0.0],
            }
            vali = {"metrics": {"ndcg@10": {"mean": 0.3 + sum(sizes) ** 0.5 / 1e4}}}
            path = folder / f"quality-{index}-{sparsity}.json"
            # A test split that nothing can read: looking at it would raise.
            write_json(path, {"model": model, "splits": {"vali": vali, "test": None}})
            made.append(path)
    return made


def test_lists_catalogue_and_details_agree(tmp_path):
    run(tmp_path)
    students = yaml.safe_load((tmp_path / "students.yaml").read_text())["students"]
    content = json.loads((tmp_path / "designs.json").read_text())
    lists = [pd.read_csv(tmp_path / f"ranked-{budget}.csv") for budget in ("200ns", "500ns")]
    assert list(students) == [name for table in lists for name in table["name"]]
    assert content["machine"]["id"] == MACHINE and content["candidates"] == (4 + 10 + 20) * 4
    for budget, table in zip((0.2, 0.5), lists, strict=True):
        assert list(table["rank"]) == list(range(1, len(table) + 1))
        assert (table["bound"] <= budget).all() and (table["high"] <= table["bound"]).all()
        for line in table.to_dict("records"):
            design = content["designs"][line["name"]]
            widths = "-".join(map(str, students[line["name"]]))
            assert line["architecture"] == design["architecture"] == f"136-{widths}-1"
            assert line["predicted"] == pytest.approx(design["predicted"])
            assert design["budget_us"] == budget


def test_the_promise_is_what_the_calibration_says(tmp_path):
    run(tmp_path)
    times = NativeTimes.read(tmp_path / "native.json")
    for design in json.loads((tmp_path / "designs.json").read_text())["designs"].values():
        widths = (136, *design["widths"], 1)
        estimate = times.estimate(widths, design["sparsity"], design["precision"], 256)
        assert design["predicted"] == pytest.approx(estimate.total)
        assert [tuple(step) for step in design["steps"]] == list(estimate.steps)


def test_the_same_again_gives_the_same_bytes_whatever_is_trained(tmp_path):
    """A second budget more leaves the first one's designs as they were."""
    run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    run(tmp_path, budget_us=[0.2, 0.5, 1.0])
    assert (tmp_path / "ranked-500ns.csv").read_bytes() == before["ranked-500ns.csv"]


def test_the_best_are_told_on_the_console(tmp_path, capsys):
    run(tmp_path)
    said = capsys.readouterr().out
    assert "architectures keep to it" in said
    assert "design-200ns-1: 136-" in said and "design-500ns-1: 136-" in said


def test_trained_networks_change_what_is_best(tmp_path):
    run(tmp_path)
    plain = pd.read_csv(tmp_path / "ranked-200ns.csv")
    run(tmp_path, quality_files(tmp_path))
    content = json.loads((tmp_path / "designs.json").read_text())
    assert content["capacity"]["exponent"] == 0
    assert "9 trained networks" in content["capacity"]["why"]
    learnt = pd.read_csv(tmp_path / "ranked-200ns.csv")
    # Zeros are free now: large pruned first layers hold most.
    assert (learnt["sparsity"].head(3) == 0.98).all()
    assert learnt["parameters"].head(3).sum() > plain["parameters"].head(3).sum()
    assert plain["vali_ndcg"].isna().all() and learnt["vali_ndcg"].between(0.3, 0.4).all()


def test_another_machines_calibration_is_refused(tmp_path):
    write_calibration(tmp_path / "native.json", machine="0badcafe")
    with pytest.raises(ValueError, match=r"native\.json was calibrated on machine 0badcafe"):
        run(tmp_path)
    assert not (tmp_path / "students.yaml").exists()
    run(tmp_path, machine="0badcafe")  # design.machine: for whoever plans elsewhere


def test_a_budget_below_the_floor_writes_no_catalogue(tmp_path):
    with pytest.raises(ValueError, match=r"holds 0.001 us, .* the floor is 0\.0\d+ us a document"):
        run(tmp_path, budget_us=[0.5, 0.001])
    assert not (tmp_path / "students.yaml").exists()


def test_a_calibration_that_is_none_is_named(tmp_path):
    (tmp_path / "native.json").write_text("{}")
    with pytest.raises(ValueError, match=r"native\.json"):
        run(tmp_path)
