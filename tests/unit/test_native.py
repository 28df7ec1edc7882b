"""distilrank.native: the native LETOR parser gives what the slow reference gives, to the bit."""

import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from distilrank import letor, native
from distilrank.archives import checked_blocks
from distilrank.letor import Dataset, SplitWriter, parse_letor

FEATURES = 4
FLOAT64_MAX = float(np.finfo(np.float64).max)


# The header's: the general path alone, what every processor has, AVX-512.
LEVELS = (0, 1, 2)


def next_float(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))


digits = st.text("0123456789", min_size=1, max_size=25)
signs = st.sampled_from(["", "-", "+"])
exponents = st.builds("{}{}{}".format, st.sampled_from("eE"), signs, digits.map(lambda d: d[:4]))
decimals = st.builds(
    "{}{}{}{}".format,
    signs,
    digits | st.just(""),
    st.just("") | st.just(".") | digits.map(".{}".format),
    st.just("") | exponents,
)
numbers = st.one_of(
    st.integers(-9, 999).map(str),
    decimals,
    st.floats(width=32).map(repr),
    st.floats().map(repr),
    # Half-way between two neighbours of float32, and next to it.
    st.floats(0, 2.0**100, width=32).map(lambda x: repr((x + next_float(x)) / 2)),
    # Istella's missing value.
    st.sampled_from([repr(FLOAT64_MAX), f"{FLOAT64_MAX:f}", repr(-FLOAT64_MAX)]),
    st.sampled_from(["nan", "-NaN", "inf", "+Infinity", "infinit", "nan(1)", "1_0",
                      "0x1", "1e", "."]),
)  # fmt: skip
spaces = st.sampled_from([" ", " ", " ", " ", "  ", "\t", "\v", "\f", "\r"])
ends = st.sampled_from(["\n", " \n", "\r\n", " \r\n", "#\n", " # docid = 4:x é\n", "\n\n"])


@st.composite
def lines(draw) -> bytes:
    """One line, mostly good; ids mostly go up."""
    label = draw(
        st.integers(0, 4).map(str) | st.sampled_from(["12", "255", "007", "256", "-1", "x"])
    )
    qid = draw(
        st.integers(1, 3).map(str) | st.sampled_from(["007", str(2**63 - 1), str(2**63), "x"])
    )
    ids = draw(
        st.sets(st.integers(1, FEATURES)).map(sorted) | st.lists(st.integers(0, FEATURES + 1))
    )
    parts = [label, f"qid:{qid}", *(f"{key}:{draw(numbers)}" for key in ids)]
    text = parts[0] + "".join(draw(spaces) + part for part in parts[1:]) + draw(ends)
    return text.encode("latin-1")


good_values = st.integers(-9, 9999).map(str) | st.floats(-1e6, 1e6, width=32).map(repr)


@st.composite
def good_files(draw) -> bytes:
    rows = []
    for qid in range(draw(st.integers(1, 4))):
        for _ in range(draw(st.integers(1, 4))):
            ids = draw(st.sets(st.integers(1, FEATURES)).map(sorted))
            named = "".join(f" {key}:{draw(good_values)}" for key in ids)
            rows.append(f"{draw(st.integers(0, 4))} qid:{qid}{named}{draw(ends)}")
    return "".join(rows).encode("latin-1")


@st.composite
def mutated_files(draw) -> bytes:
    """A good file with a few bytes changed, left out or put in."""
    text = bytearray(draw(good_files()))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text)))
        text[place : place + draw(st.integers(0, 2))] = draw(
            st.binary(max_size=2) | st.text("0123456789.:-+e# \r\n", max_size=2).map(str.encode)
        )
    return bytes(text)


files = st.lists(lines(), max_size=4).map(b"".join) | good_files() | mutated_files()


@pytest.fixture(scope="module")
def library(native_library):
    return native_library


@contextmanager
def level(number: int) -> Iterator[None]:
    """Parse with this of the header's levels; a processor that has not so many takes its best."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_LEVEL", number)
        yield


def cut(text: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


def parse(blocks, library, n_features: int = FEATURES, returning: bool = False) -> Dataset:
    """All that the native parser hands out, as one split."""
    kept = [
        tuple(part.copy() for part in rows)
        for rows in native.parse_blocks(blocks, "train.txt", n_features, library, returning)
    ]
    features, labels, qids = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    starts = np.flatnonzero(np.diff(qids, prepend=qids[0] - 1))
    return Dataset(features, labels, np.array([*starts, len(qids)]), qids[starts])


def outcome(work) -> tuple:
    """The arrays as bytes, or the error's sentence."""
    try:
        found = work()
    except ValueError as error:
        return (str(error),)
    arrays = (found.features, found.labels, found.offsets, found.qids)
    return tuple((array.dtype, array.shape, array.tobytes()) for array in arrays)


@pytest.mark.parametrize("returning", [False, True])
@settings(deadline=None)
@given(text=files, places=st.lists(st.integers(0, 10_000), max_size=6))
@example(text=b"0 qid:1 1:1", places=[])
@example(text=b"0 qid:1x 1:1 2:1 3:1 4:1\n", places=[])
@example(text=b"0 qid:1 5:1\n", places=[])
@example(text=b"0 qid:1 9:1\n", places=[])
@example(
    text=b"0 qid:1 1:-0 2:-0.0 3:5. 4:.5\n0 qid:2 1:00000000000000000000000000001\n", places=[9]
)
@example(text=b"0 qid:1 1:1e400\n", places=[])
@example(text=b"0 qid:1 1:-1e-400 2:0e999 3:0.000e-99999999999999999999\n", places=[])
@example(text=b"0 qid:1 1:" + b"0" * 5000 + b"1e-5000\n", places=[])
@example(text=b"9" * 5000 + b" qid:1\n", places=[])
@example(text=b"0" * 5000 + b"7 qid:" + b"0" * 5000 + b"7 " + b"0" * 5000 + b"1:3\n", places=[])
@example(text=b"0 qid:1 1:3.4028234663852886e+38 2:-3.4028235677973366e+38\n", places=[])
@example(text=b"0 qid:1 1:123456789012345 2:1234567890123456 3:-12345678901234\n", places=[12])
@example(text=b"0 qid:1\n0 qid:2\n0 qid:01\n", places=[])
@example(text=b"0 qid:1 1:1.7976931348623157e308 2:1e0\n0 qid:2\n0 qid:1\n0 qid:1\n", places=[])
def test_the_same_arrays_or_the_same_sentence(library, returning, text, places):
    expected = outcome(lambda: parse_letor(io.BytesIO(text), "train.txt", FEATURES, returning))
    one_by_one = [bytes([byte]) for byte in text]
    for number in LEVELS:
        with level(number):
            for blocks in (cut(text, places), one_by_one):
                assert outcome(lambda: parse(blocks, library, FEATURES, returning)) == expected  # noqa: B023


WIDE = 19
wide_values = st.one_of(
    st.sampled_from(["0", "1", "-1", "-0", "0.5", "12345678", "-12345678.", ".12345678"]),
    st.floats(-1e6, 1e6, width=32).map(repr),
    # Around the eight digits that go the shortest way, and the fifteen of the next.
    st.from_regex(r"-?[0-9]{0,9}\.?[0-9]{0,9}", fullmatch=True).filter(lambda t: t.strip("-.")),
    numbers,
)


@st.composite
def wide_files(draw) -> bytes:
    """Lines with every feature in order, as published files have them, now and then broken."""
    text = b"".join(
        b"%d qid:%d" % (n % 3, n // 2)
        + "".join(f" {key}:{draw(wide_values)}" for key in range(1, WIDE + 1)).encode()
        + draw(ends).encode("latin-1")
        for n in range(draw(st.integers(1, 4)))
    )
    place = draw(st.integers(0, 20 * len(text)))
    swapped = draw(st.text("0123456789.:-+e# \r\n", max_size=1)).encode()
    return text if place > len(text) else text[:place] + swapped + text[place + 1 :]


@settings(deadline=None)
@given(text=wide_files(), places=st.lists(st.integers(0, 10_000), max_size=3))
@example(text=b"0 qid:1" + b"".join(b" %d:.-5" % key for key in range(1, 20)) + b"\n", places=[])
@example(text=b"0 qid:1" + b"".join(b" %d:1-2" % key for key in range(1, 20)) + b"\n", places=[])
@example(text=b"0 qid:1" + b"".join(b" %d:1..2" % key for key in range(1, 20)) + b"\n", places=[])
def test_wide_lines_are_the_references(library, text, places):
    expected = outcome(lambda: parse_letor(io.BytesIO(text), "train.txt", WIDE))
    for number in LEVELS:
        with level(number):
            assert outcome(lambda: parse(cut(text, places), library, WIDE)) == expected


UNUSUAL = (
    "# a header: 9 qid:x 1:y\n"
    "\n"
    "3 qid:1 1:0.1 2:-5 3:7 4:123456.789 5:0 6:0 7:1 8:2.5 9:3\r\n"
    "0\tqid:1\t2:1e-3\t4:+.5 \r\n"
    "  1  qid:1  9:1E+2 1:-0  # docid = é ü 1:1\n"
    "2 qid:2 # nothing named\n"
    " \t \n"
    "255 qid:0003 1:1.7976931348623157e308 3:00000000000000000001 #\n"
    "1 qid:4 1:0 2:0 3:0 4:0 5:0 6:0 7:0 8:0 9:0\n"
    "1 qid:4 1:0.123456 2:22.076928 3:-7.938103 4:1 5:2 6:3 7:4 8:5 9:123456789.5 \n"
    "1 qid:5 4:1"
).encode("latin-1")


@pytest.mark.parametrize("number", LEVELS)
def test_unusual_forms_cut_at_every_byte(library, number):
    expected = outcome(lambda: parse_letor(io.BytesIO(UNUSUAL), "train.txt", 9))
    assert len(expected) == 4, expected
    with level(number):
        for place in range(len(UNUSUAL) + 1):
            assert outcome(lambda: parse(cut(UNUSUAL, [place]), library, 9)) == expected, place  # noqa: B023


@given(st.lists(numbers.filter(lambda text: "_" not in text), min_size=1, max_size=50))
def test_every_number_is_rounded_as_python_rounds_it(library, texts):
    good = []
    for text in texts:
        try:
            fits = abs(float(text)) <= letor._FLOAT32_MAX
        except ValueError:
            continue
        good += [text] * fits
    text = "0 qid:1" + "".join(f" {key}:{text}" for key, text in enumerate(good, start=1)) + "\n"
    found = parse([text.encode()], library, max(1, len(good)))
    expected = np.array([float(each) for each in good], dtype=np.float32)
    assert found.features[0, : len(good)].tobytes() == expected.tobytes()


def test_more_rows_and_features_than_one_block(library):
    """Ids of one to five digits, and rows that do not fit one buffer."""
    width, count = 12_345, 25
    rows = np.random.default_rng(3).normal(size=(count, width)).astype(np.float32)
    text = "".join(
        f"{n % 5} qid:{n // 10}" + "".join(f" {k}:{v!s}" for k, v in enumerate(row, start=1)) + "\n"
        for n, row in enumerate(rows)
    ).encode()
    found = parse([text[at : at + 99_991] for at in range(0, len(text), 99_991)], library, width)
    assert found.features.tobytes() == rows.tobytes()
    assert found.group_sizes.tolist() == [10, 10, 5]


def test_ids_beyond_the_table_of_prefixes(library):
    width = 70_000
    text = b"1 qid:1 65535:1 65536:2 65537:3 70000:4\n1 qid:1 " + b"".join(
        b"%d:1 " % key for key in range(1, width + 1)
    )
    found = parse([text], library, width)
    assert np.flatnonzero(found.features[0]).tolist() == [65534, 65535, 65536, 69999]
    assert found.features[1].tolist() == [1.0] * width


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("start", [b"0 qid:1 1:1 #", b"0  qid:1 #", b"# "])
@pytest.mark.parametrize("end", [b"\n", b"", b"\n0 qid:9 1:1"])
def test_a_line_without_end_is_refused(library, monkeypatch, more, start, end):
    """Otherwise a file that is all zeros, say, would fill the memory."""
    monkeypatch.setattr(native, "LONGEST_LINE", 100)
    monkeypatch.setattr(letor, "LONGEST_LINE", 100)
    text = b"0 qid:0 1:1\n" + start.ljust(100 + more, b"x") + end
    expected = outcome(lambda: parse_letor(io.BytesIO(text), "train.txt", FEATURES))
    assert outcome(lambda: parse([text], library)) == expected
    assert outcome(lambda: parse(cut(text, [50, 113]), library)) == expected
    assert ("longer than 100 bytes" in str(expected)) == bool(more)


def test_a_split_written_in_blocks_is_the_one_saved_whole(library, tmp_path):
    text = b"".join(b"%d qid:%d 2:%d.5 3:-1\n" % (n % 3, n // 700, n) for n in range(40_000))
    whole = parse_letor(text.splitlines(keepends=True), "train.txt", FEATURES)
    whole.meta["file"] = "train.txt"
    whole.save(tmp_path / "whole")
    with SplitWriter(tmp_path / "blocks", FEATURES) as writer:
        writer.meta = {"file": "train.txt"}
        for rows in native.parse_blocks(
            checked_blocks(io.BytesIO(text), None, "train.txt", 10_007), "t", FEATURES, library
        ):
            writer.add(*rows)
    for name in letor.SPLIT_FILES:
        written = (tmp_path / "blocks" / name).read_bytes()
        assert written == (tmp_path / "whole" / name).read_bytes(), name


def test_a_split_that_fails_leaves_nothing(library, tmp_path):
    with (
        pytest.raises(ValueError, match=r"t, line 3: label 'x'"),
        SplitWriter(tmp_path / "split", FEATURES) as writer,
    ):
        for rows in native.parse_blocks([b"0 qid:1\n" * 2 + b"x\n"], "t", FEATURES, library):
            writer.add(*rows)
    assert list((tmp_path / "split").iterdir()) == []


def test_a_missing_library_says_how_to_build_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=r"not built: .*run 'snakemake native'"):
        next(native.parse_blocks([b""], "train.txt", 1))


def test_the_workflows_library_is_found_from_its_folder(library, tmp_path, monkeypatch):
    place = tmp_path / "results" / "native" / native.LIBRARY
    place.parent.mkdir(parents=True)
    place.symlink_to(library)
    monkeypatch.chdir(tmp_path)
    assert native.load().distilrank_abi() == native._ABI


def test_what_is_no_library_is_named(tmp_path):
    path = tmp_path / "libdistilrank.so"
    path.write_bytes(b"nothing")
    with pytest.raises(OSError, match=r"libdistilrank\.so cannot be opened .*snakemake native"):
        native.load(path)


def test_a_library_of_another_version_is_refused(library, monkeypatch):
    found = native._ABI
    monkeypatch.setattr(native, "_ABI", found + 1)
    native._open.cache_clear()
    try:
        with pytest.raises(ValueError, match=f"version {found}, expected {found + 1}; run 'snak"):
            native.load(library)
    finally:
        native._open.cache_clear()


def test_the_numbers_of_the_problems_are_the_headers():
    header = (Path(native.__file__).parent / "native" / "distilrank.h").read_text()
    listed = header.partition("DISTILRANK_LETOR_FINE,")[2].partition("}")[0]
    names = [line.split()[0].rstrip(",") for line in listed.splitlines() if "DISTILRANK" in line]
    expected = [f"DISTILRANK_LETOR_{kind.upper().replace(' ', '_')}" for kind in letor.PROBLEMS]
    assert names == expected
    assert f"#define DISTILRANK_ABI {native._ABI}\n" in header


def test_nothing_but_its_own_functions_is_seen_from_outside(native_library):
    """What is linked into it must not take the place of what another library brings along."""
    program = shutil.which("nm")
    if program is None or "SANITIZE" in os.environ.get("NATIVE_OPTIONS", ""):
        pytest.skip("there is no nm, or checks are built in, which need their own")
    command = [program, "--dynamic", "--defined-only", native_library]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = [line.split()[-1] for line in listed.splitlines()]
    assert "distilrank_scorer_open" in names
    assert [name for name in names if not name.startswith("distilrank_")] == []
