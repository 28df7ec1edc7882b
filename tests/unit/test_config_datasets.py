"""distilrank.config on data sets: every slip is named in one sentence."""

import copy
from pathlib import Path
from typing import Any

import pytest
from config_slips import DEFAULT, FOLDER, Slip, check_slip, merged, slips

from distilrank.config import check_config, folder_files


def generated(config: dict[str, Any]) -> dict[str, Any]:
    """How the generated data set is made, once it is selected."""
    config["run"]["datasets"] = ["mslr-generated"]
    return config["datasets"]["mslr-generated"]["generate"]


def selected(config: dict[str, Any]) -> dict[str, Any]:
    """Istella-S, once it is selected."""
    config["run"]["datasets"] = ["istella-s"]
    return config["datasets"]["istella-s"]


CASES: list[Slip] = [
    # what, the slip, and what the sentence must say
    (
        "a data set from nowhere",
        lambda c: c["datasets"]["mslr-sample"].pop("package"),
        ["config key 'datasets.mslr-sample' is", "a source: either package", "or archive"],
    ),
    (
        "a data set from two places",
        lambda c: c["datasets"]["mslr-sample"].update(
            archive=c["datasets"]["istella-s"]["archive"]
        ),
        ["config key 'datasets.mslr-sample' is", "a source: either package", "or archive"],
    ),
    (
        "a generated data set that is also downloaded",
        lambda c: c["datasets"]["mslr-generated"].update(
            archive=c["datasets"]["istella-s"]["archive"]
        ),
        ["config key 'datasets.mslr-generated' is", "or generate (made from another data set)"],
    ),
    (
        "generated from an unknown data set",
        lambda c: generated(c).update({"from": "mslr-sampel"}),
        ["config key 'datasets.mslr-generated.generate.from' names unknown 'mslr-sampel': "
         "did you mean 'mslr-sample'?"],
    ),
    (
        "generated from itself",
        lambda c: generated(c).update({"from": "mslr-generated"}),
        ["config key 'datasets.mslr-generated.generate.from' names unknown 'mslr-generated'",
         "known are istella, istella-s, istella-x, mslr-sample"],
    ),
    (
        "generated with features that its sample has not",
        lambda c: (generated(c), c["datasets"]["mslr-generated"].update(features=220)),
        ["config key 'datasets.mslr-generated.features' is 220, expected 136 as 'mslr-sample'"],
    ),
    (
        "generated folds",
        lambda c: (generated(c), c["datasets"]["mslr-generated"].update(folds=[1, 2])),
        ["config key 'datasets.mslr-generated.folds' is [1, 2], expected [1]"],
    ),
    (
        "generated queries that are dealt",
        lambda c: (generated(c), c["datasets"]["mslr-generated"].update(folds="cv5")),
        ["config key 'datasets.mslr-generated.folds' is cv5, expected [1]"],
    ),
    (
        "a fold beyond those that queries are dealt into",
        lambda c: c["run"].update(datasets=["mslr-sample-cv5"], folds=[6]),
        ["config key 'run.folds' is [6] and the data set 'mslr-sample-cv5' has none of them",
         "it has [1, 2, 3, 4, 5]"],
    ),
    (
        "no queries to generate",
        lambda c: generated(c)["queries"].update(vali=0),
        ["config key 'datasets.mslr-generated.generate.queries.vali' is wrong",
         "a whole number of queries from 1"],
    ),
    (
        "less than a document for each query",
        lambda c: generated(c).update(documents_per_query=0.5),
        ["config key 'datasets.mslr-generated.generate.documents_per_query' is wrong", "from 1"],
    ),
    (
        "a misspelt key of generate",
        lambda c: generated(c).update(sead=1),
        ["config key 'datasets.mslr-generated.generate' has the unknown key 'sead': did you mean "
         "'seed'?"],
    ),
    (
        "a checksum cut short",
        lambda c: c["datasets"]["istella-s"]["archive"].update(sha256="41b21116"),
        ["config key 'datasets.istella-s.archive.sha256' is '41b21116'", "64 lower-case"],
    ),
    (
        "a checksum that YAML took for a number",
        lambda c: c["datasets"]["istella-s"]["archive"].update(sha256=int("1" * 64)),
        ["config key 'datasets.istella-s.archive.sha256' is 1111", "in quotes"],
    ),
    (
        "an archive of nowhere",
        lambda c: c["datasets"]["istella-s"].update(archive={"name": "x.zip"}),
        ["config key 'datasets.istella-s.archive' is {'name': 'x.zip'}",
         "either path or name, sha256"],
    ),
    (
        "a folder in place of what is generated",
        lambda c: c["datasets"]["mslr-generated"].update(folder="x"),
        ["config key 'datasets.mslr-generated' is", "beside package or archive"],
    ),
    (
        "a size of nothing",
        lambda c: c["datasets"]["istella-s"]["archive"].update(bytes=0),
        ["config key 'datasets.istella-s.archive.bytes' is wrong", "a whole number from 1"],
    ),
    (
        "a limit of nothing",
        lambda c: c["datasets"]["istella-s"].update(largest_file_gb=0),
        ["config key 'datasets.istella-s.largest_file_gb' is wrong", "GB above 0"],
    ),
    (
        "an own archive that is not there",
        lambda c: (selected(c)["archive"].update(path="no/such.tar.gz")),
        ["config key 'datasets.istella-s.archive.path' needs no/such.tar.gz, which is not there: "
         f"relative paths start at {Path.cwd()}"],
    ),
    (
        "an own folder that is not there",
        lambda c: selected(c).update(folder="~/no/such"),
        [f"config key 'datasets.istella-s.folder' needs {Path.home()}/no/such, which is not there"],
    ),
    (
        "an own folder without the files",
        lambda c: selected(c).update(folder=str(FOLDER)),
        [f"config key 'datasets.istella-s.folder' needs {FOLDER}/sample/train.txt, which is not"],
    ),
]  # fmt: skip


@slips(CASES)
def test_a_slip_in_a_data_set_is_named(change, said):
    check_slip(change, said)


def test_an_own_copy_may_stand_for_a_download(tmp_path):
    """A folder may also stand beside the catalogue's archive, since configs are merged deeply."""
    (tmp_path / "Fold1").mkdir()
    for split in ("train", "vali", "test"):
        (tmp_path / "Fold1" / f"{split}.txt").write_bytes(b"")
    (tmp_path / "x.zip").write_bytes(b"")
    run = {"datasets": ["mslr-web30k"]}
    for copies in ({"folder": str(tmp_path)}, {"archive": {"path": str(tmp_path / "x.zip")}}):
        check_config(merged(DEFAULT, {"datasets": {"mslr-web30k": copies}, "run": run}))
    dataset = DEFAULT["datasets"]["mslr-web30k"] | {"folder": str(tmp_path)}
    assert folder_files(dataset, 1) == [
        tmp_path / "Fold1" / f"{split}.txt" for split in ("train", "vali", "test")
    ]
    alone = {key: DEFAULT["datasets"]["mslr-web30k"][key] for key in ("features", "folds", "files")}
    config = copy.deepcopy(DEFAULT)
    config["datasets"]["mine"] = {"title": "Mine", **alone, "folder": str(tmp_path)}
    config["run"]["datasets"] = ["mine"]
    check_config(config)


@pytest.mark.parametrize("name", ["mslr-web30k", "mslr-web10k"])
def test_the_folds_checksums_follow_the_rotation_of_the_folds(name):
    """Each fold's vali file is the test file of the fold before: a slip in one would show."""
    files = DEFAULT["datasets"][name]["files"]
    for fold in range(1, 6):
        before = (fold - 2) % 5 + 1
        assert files["vali"]["sha256"][fold] == files["test"]["sha256"][before]
    assert len({*files["train"]["sha256"].values(), *files["test"]["sha256"].values()}) == 10
