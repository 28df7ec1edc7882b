"""distilrank.letor: what parses, what is refused and named, and how a split is divided."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import names

from distilrank.letor import MISSING, SPLIT_FILES, Dataset, parse_letor

FEATURES = 4
FLOAT32_MAX = float(np.finfo(np.float32).max)
FLOAT64_MAX = float(np.finfo(np.float64).max)


def parse(text: str, n_features: int = FEATURES) -> Dataset:
    return parse_letor(text.encode().splitlines(keepends=True), "train.txt", n_features)


@st.composite
def documents(draw) -> list[tuple[int, int, dict[int, float]]]:
    """Label, qid and named features of some documents, query after query."""
    qids = draw(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True))
    values = st.floats(width=32, allow_nan=False, allow_infinity=False)
    features = st.dictionaries(st.integers(1, FEATURES), values)
    return [
        (draw(st.integers(0, 255)), qid, draw(features))
        for qid in qids
        for _ in range(draw(st.integers(1, 4)))
    ]


@given(found=documents(), end=st.sampled_from(["\n", "\r\n"]), data=st.data())
def test_what_was_written_comes_back(found, end, data):
    lines = []
    for label, qid, features in found:
        lines += data.draw(st.lists(st.sampled_from(["", "  ", "# a comment: 9 qid:1 1:x"])))
        named = " ".join(f"{key}:{value!r}" for key, value in features.items())
        lines.append(f"{label} qid:{qid}\t{named} # docid = {qid} 4:x")
    dataset = parse(end.join(lines) + data.draw(st.sampled_from(["", end])))
    expected = [[f.get(column, 0.0) for column in range(1, FEATURES + 1)] for _, _, f in found]
    assert dataset.features.dtype == np.float32
    assert dataset.features.tolist() == expected
    assert dataset.labels.tolist() == [label for label, _, _ in found]
    assert dataset.labels.dtype == np.uint8
    qids = list(dict.fromkeys(qid for _, qid, _ in found))
    assert dataset.qids.tolist() == qids
    assert dataset.group_sizes.tolist() == [
        sum(qid == each for _, qid, _ in found) for each in qids
    ]
    assert dataset.offsets[0] == 0
    assert dataset.offsets.dtype == dataset.qids.dtype == np.int64


def test_more_documents_than_one_block():
    count = 2 * 4096 + 1
    dataset = parse("".join(f"{n % 5} qid:{n // 10} 2:{n}\n" for n in range(count)))
    assert dataset.features[:, 1].tolist() == list(range(count))
    assert dataset.labels.tolist() == [n % 5 for n in range(count)]
    assert dataset.n_queries == -(-count // 10)


def test_the_largest_numbers_of_float32_are_taken():
    dataset = parse(f"0 qid:1 1:{FLOAT32_MAX!r} 2:-3.4028234663852886e+38 3:1e-60\n")
    assert dataset.features.tolist() == [[FLOAT32_MAX, -FLOAT32_MAX, 0.0, 0.0]]


@pytest.mark.parametrize(
    "text",
    # The largest double as %r, %.20e and %f write it, and what is nearer to it than to any other.
    [repr(FLOAT64_MAX), f"{FLOAT64_MAX:.20e}", f"{FLOAT64_MAX:f}", f"+{int(FLOAT64_MAX)}",
     "1.7976931348623157E308", "1.79769313486231575e308", "0.17976931348623157e309"],
)  # fmt: skip
def test_a_missing_value_becomes_the_largest_float32(text):
    found = parse(f"0 qid:1 1:{text}\n").features
    assert found[0, 0] == MISSING == np.float32(FLOAT32_MAX)


@pytest.mark.parametrize(
    "text",
    [repr(-FLOAT64_MAX), repr(float(np.nextafter(FLOAT64_MAX, 0))), "1.797693134862316e308"],
)
def test_what_is_next_to_the_missing_value_is_refused(text):
    with pytest.raises(ValueError, match="expected a finite number within float32"):
        parse(f"0 qid:1 1:{text}\n")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1 qid:7 2:0.5x", "feature '2:0.5x', expected <id>:<number>"),
        ("1 qid:7 2:1_0", "feature '2:1_0', expected <id>:<number>"),
        ("1 qid:7 2:", "feature '2:', expected <id>:<number>"),
        ("1 qid:7 2", "feature '2', expected <id>:<number>"),
        ("1 qid:7 2:1 3:1 2:1", "a feature id stands twice, expected each at most once"),
        ("1 qid:7 0:1", "feature '0:1', expected an id from 1 to 4"),
        ("1 qid:7 5:1", "feature '5:1', expected an id from 1 to 4"),
        ("1 qid:7 -1:1", "feature '-1:1', expected an id from 1 to 4"),
        ("1 qid:7 a:1", "feature 'a:1', expected an id from 1 to 4"),
        ("1 qid:7 2:nan", "feature '2:nan', expected a finite number within float32"),
        ("1 qid:7 2:-inf", "feature '2:-inf', expected a finite number within float32"),
        ("1 qid:7 2:3.5e38", "feature '2:3.5e38', expected a finite number within float32"),
        ("1 qid:7 2:1.797e308", "feature '2:1.797e308', expected a finite number within float32"),
        ("-1 qid:7 2:1", "label '-1', expected a whole number from 0 to 255"),
        ("2.5 qid:7 2:1", "label '2.5', expected a whole number from 0 to 255"),
        ("256 qid:7 2:1", "label '256', expected a whole number from 0 to 255"),
        ("qid:7 2:1", "label 'qid:7', expected a whole number from 0 to 255"),
        ("1 2:1 qid:7", "'2:1' after the label, expected qid:<whole number>"),
        ("1", "nothing after the label, expected qid:<whole number>"),
        ("1 qid: 2:1", "'qid:' after the label, expected qid:<whole number>"),
        ("1 qid:-7 2:1", "'qid:-7' after the label, expected qid:<whole number>"),
        ("1 qid:7.0 2:1", "'qid:7.0' after the label, expected qid:<whole number>"),
        (f"1 qid:{2**63} 2:1", f"'qid:{2**63}' after the label, expected qid:<whole number>"),
        ("<html><body>Forbidden", "label '<html><body>Forbidden', expected a whole number"),
        ("9" * 100 + " qid:7 2:1", f"label '{'9' * 40}', expected a whole number from 0 to 255"),
    ],
)
def test_a_wrong_line_is_named(line, sentence):
    with pytest.raises(ValueError) as raised:
        parse(f"# a header\n\n1 qid:7 1:0.5\n{line}\n0 qid:7 1:1\n")
    assert str(raised.value).startswith(f"train.txt, line 4: {sentence}")


def test_a_query_that_comes_back_is_named_by_its_line():
    with pytest.raises(ValueError) as raised:
        parse("0 qid:7 1:1\n\n# between\n1 qid:8 1:1\n2 qid:7 1:1\n")
    assert str(raised.value) == (
        "train.txt, line 5: query 7 comes back after other queries; sort the file by query, or set "
        "group_queries: true"
    )


def test_a_query_may_come_back_where_that_is_asked_for():
    text = b"0 qid:7 1:1\n1 qid:7 1:2\n2 qid:8 1:3\n3 qid:7 1:4\n"
    dataset = parse_letor(text.splitlines(), "train.txt", FEATURES, returning=True)
    assert dataset.qids.tolist() == [7, 8, 7]
    assert dataset.offsets.tolist() == [0, 2, 3, 4]
    assert dataset.features[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_a_file_without_documents_is_refused(text):
    with pytest.raises(ValueError, match=r"train\.txt holds no document"):
        parse(text)


def dataset_of(sizes: list[int]) -> Dataset:
    """A split whose first feature is a document's number and whose second is its query's id."""
    total = sum(sizes)
    qids = 1000 + 7 * np.arange(len(sizes))
    features = np.zeros((total, 3), np.float32)
    features[:, 0] = np.arange(total)
    features[:, 1] = np.repeat(qids, sizes)
    labels = (np.arange(total) % 5).astype(np.uint8)
    return Dataset(features, labels, np.cumsum([0, *sizes]), qids, {"file": "f"})


def check_whole_queries(part: Dataset, whole: Dataset) -> None:
    """Every query has exactly its own documents, in order, with their own labels."""
    for place, qid in enumerate(part.qids):
        at = int(np.flatnonzero(whole.qids == qid)[0])
        mine = slice(part.offsets[place], part.offsets[place + 1])
        its = slice(whole.offsets[at], whole.offsets[at + 1])
        assert part.features[mine].tolist() == whole.features[its].tolist()
        assert part.labels[mine].tolist() == whole.labels[its].tolist()
    assert part.offsets[-1] == part.n_documents == len(part.features)


def divided(
    whole: Dataset, share: float, generator: np.random.Generator
) -> tuple[Dataset, Dataset]:
    rest, drawn = whole.draw(share, generator)
    return whole.select(rest), whole.select(drawn)


SIZES = st.lists(st.integers(1, 6), min_size=2, max_size=20)


@given(sizes=SIZES, share=st.floats(0.01, 0.99), seed=st.integers(0, 2**32))
def test_dividing_partitions_the_queries(sizes, share, seed):
    whole = dataset_of(sizes)
    wanted = max(1, round(share * len(sizes)))
    if wanted == len(sizes):
        with pytest.raises(ValueError, match="leaves an empty split"):
            divided(whole, share, np.random.default_rng(seed))
        return
    rest, drawn = divided(whole, share, np.random.default_rng(seed))
    assert drawn.n_queries == wanted
    assert sorted([*rest.qids, *drawn.qids]) == whole.qids.tolist()
    assert rest.n_documents + drawn.n_documents == whole.n_documents
    for part in (rest, drawn):
        check_whole_queries(part, whole)
        assert part.qids.tolist() == sorted(part.qids), "both keep the file's order"
    again = divided(whole, share, np.random.default_rng(seed))[1]
    assert again.qids.tolist() == drawn.qids.tolist()


def test_another_seed_divides_differently():
    whole = dataset_of([2] * 50)
    drawn = [divided(whole, 0.5, np.random.default_rng(seed))[1].qids.tolist() for seed in (0, 1)]
    assert drawn[0] != drawn[1]


@given(sizes=SIZES, data=st.data())
def test_selecting_takes_queries_in_the_given_order(sizes, data):
    whole = dataset_of(sizes)
    chosen = data.draw(st.permutations(range(len(sizes))))[: data.draw(st.integers(1, len(sizes)))]
    part = whole.select(np.array(chosen))
    assert part.qids.tolist() == [int(whole.qids[query]) for query in chosen]
    check_whole_queries(part, whole)


def test_the_parts_of_a_split_have_notes_of_their_own():
    whole = dataset_of([1, 1])
    rest, drawn = divided(whole, 0.5, np.random.default_rng(0))
    rest.meta["split"] = "train"
    assert drawn.meta == whole.meta == {"file": "f"}


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, -0.2, 0.99])
def test_a_share_that_empties_a_side_is_refused(share):
    with pytest.raises(ValueError) as raised:
        divided(dataset_of([1, 1]), share, np.random.default_rng(0))
    assert str(raised.value).startswith(f"a share of {share} of 2 queries leaves an empty split")
    assert "vali_share" in str(raised.value)


def test_a_split_on_disk_comes_back(tmp_path):
    whole = dataset_of([3, 1, 2])
    whole.save(tmp_path / "train")
    assert names(tmp_path / "train") == sorted(SPLIT_FILES)
    opened = Dataset.open(tmp_path / "train")
    for name in ("features", "labels", "offsets", "qids"):
        assert np.array_equal(getattr(opened, name), getattr(whole, name))
    assert isinstance(opened.features, np.memmap)
    arrays = {
        name: hashlib.sha256((tmp_path / "train" / name).read_bytes()).hexdigest()
        for name in ("features.npy", "labels.npy", "offsets.npy", "qids.npy")
    }
    assert opened.meta == {
        "file": "f", "documents": 6, "queries": 3, "features": 3, "labels": [2, 1, 1, 1, 1],
        "arrays": arrays,
    }  # fmt: skip


def test_a_splits_meta_changes_with_any_of_its_arrays(tmp_path):
    """Rules name it alone."""
    first = dataset_of([3, 1, 2])
    others = [
        dataclasses.replace(first, features=first.features + 1),
        dataclasses.replace(first, labels=first.labels[::-1].copy()),
        dataclasses.replace(first, offsets=np.array([0, 2, 4, 6])),
        dataclasses.replace(first, qids=first.qids + 1),
    ]
    for number, split in enumerate([first, *others]):
        split.save(tmp_path / str(number))
    metas = {(tmp_path / str(number) / "meta.json").read_bytes() for number in range(5)}
    assert len(metas) == 5


def damage_labels(folder):
    np.save(folder / "labels.npy", np.zeros(5, np.uint8))


def damage_offsets(folder):
    np.save(folder / "offsets.npy", np.array([0, 3, 4, 7]))


def no_offsets(folder):
    np.save(folder / "offsets.npy", np.empty(0, np.int64))


def damage_qids(folder):
    np.save(folder / "qids.npy", np.arange(2))


def other_width(folder):
    np.save(folder / "features.npy", np.zeros((6, 4), np.float32))


def flat_features(folder):
    np.save(folder / "features.npy", np.zeros(6, np.float32))


def meta_of_another(folder):
    (folder / "meta.json").write_text(json.dumps({"documents": 6}))


@pytest.mark.parametrize(
    "damage",
    [damage_labels, damage_offsets, no_offsets, damage_qids, other_width, flat_features,
     meta_of_another],
)  # fmt: skip
def test_arrays_of_different_splits_are_refused(tmp_path, damage):
    folder = tmp_path / "train"
    dataset_of([3, 1, 2]).save(folder)
    damage(folder)
    with pytest.raises(ValueError) as raised:
        Dataset.open(folder)
    assert str(raised.value) == f"the arrays in {folder} do not belong together; delete the folder"


def test_a_cut_array_is_refused(tmp_path):
    folder = tmp_path / "train"
    dataset_of([3, 1, 2]).save(folder)
    content = (folder / "features.npy").read_bytes()
    for cut in (0, 10, len(content) - 1):
        (folder / "features.npy").write_bytes(content[:cut])
        with pytest.raises(
            ValueError, match=r"features\.npy is not a whole array; delete the folder"
        ):
            Dataset.open(folder)


def test_an_array_that_is_gone_is_named(tmp_path):
    folder = tmp_path / "train"
    dataset_of([3, 1, 2]).save(folder)
    (folder / "labels.npy").unlink()
    with pytest.raises(ValueError) as raised:
        Dataset.open(folder)
    expected = f"{folder / 'labels.npy'} is gone; delete the folder, and it is made again"
    assert str(raised.value) == expected


def test_arrays_of_objects_are_not_opened(tmp_path):
    folder = tmp_path / "train"
    dataset_of([3, 1, 2]).save(folder)
    with (folder / "qids.npy").open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": (3,)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"whatever stands here is not read")
    with pytest.raises(ValueError, match=r"qids\.npy is not a whole array; delete the folder"):
        Dataset.open(folder)
