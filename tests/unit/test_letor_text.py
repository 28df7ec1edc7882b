"""distilrank.letor_text: what is written is read back to the last bit, in the published form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilrank.letor import parse_letor
from distilrank.letor_text import MILLION, letor_text, values_of

EDGES = [0, 1, -1, 10, 999, 1000, 999_999, MILLION, -MILLION, 9999 * MILLION, 10_000 * MILLION,
         99_999_999 * MILLION, 100_000_000 * MILLION, 10**18 - 1, 1 - 10**18]  # fmt: skip


def line_of(value: int) -> bytes:
    return letor_text(np.array([3]), np.array([17]), np.array([[value]], dtype=np.int64))


@pytest.mark.parametrize(
    ("millionths", "text"),
    [
        (0, "0"), (7 * MILLION, "7"), (-2 * MILLION, "-2"), (65_534 * MILLION, "65534"),
        (120_000_000 * MILLION, "120000000"), (750_000, "0.75000"), (6410, "0.00641"),
        (5, "0.000005"), (6_931_275, "6.931275"), (-18_567_793, "-18.567793"),
        (10_000 * MILLION + 1, "10000.000001"),
    ],
)  # fmt: skip
def test_values_stand_as_in_the_published_files(millionths, text):
    assert line_of(millionths) == f"3 qid:17 1:{text}\n".encode()


@given(
    st.lists(
        st.tuples(*[st.sampled_from(EDGES) | st.integers(1 - 10**18, 10**18 - 1)] * 3), min_size=1
    )
)
def test_python_reads_what_was_meant(rows):
    millionths = np.array(rows, dtype=np.int64)
    labels, qids = np.arange(len(rows)) % 5, np.arange(len(rows)) * 12_345_678_901
    lines = letor_text(labels, qids, millionths).decode().splitlines()
    assert len(lines) == len(rows)
    for line, label, qid, row in zip(lines, labels, qids, rows, strict=True):
        head, query, *tokens = line.split(" ")
        assert (head, query) == (str(label), f"qid:{qid}")
        assert [token.split(":")[0] for token in tokens] == ["1", "2", "3"]
        assert [float(token.split(":")[1]) for token in tokens] == [each / MILLION for each in row]


def test_the_parser_reads_the_same_float32():
    generator = np.random.default_rng(1)
    millionths = (generator.standard_cauchy((200, 136)) * 10**8).astype(np.int64)
    text = letor_text(np.zeros(200, np.uint8), np.repeat([4, 9], 100), millionths)
    parsed = parse_letor(text.splitlines(), "text", 136)
    assert parsed.features.tobytes() == values_of(millionths).tobytes()
    assert parsed.qids.tolist() == [4, 9]


def test_nothing_is_no_text():
    assert letor_text(np.zeros(0), np.zeros(0), np.zeros((0, 3), dtype=np.int64)) == b""


def test_a_value_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="a feature of 1e\\+12, expected less than 1e12"):
        line_of(10**18)
