"""distilrank.readers.ensemble_xml: scores worked out by hand, and XML that is refused."""

import numpy as np
import pytest

from distilrank.readers import read_with_format

# Feature 1 <= 0.5, then feature 3 <= -2.25; the second tree is one leaf.
TREES = """<tree id="1" weight="0.5"><split>
<feature> 1 </feature><threshold> 0.5 </threshold>
<split pos="left"><feature>3</feature><threshold>-2.25</threshold>
<split pos="left"><output> 1.5 </output></split>
<split pos="right"><output>-4</output></split></split>
<split pos="right"><output>8</output></split></split></tree>
<tree id="2" weight="2"><split><output>0.125</output></split></tree>"""
RANKLIB = (
    f"## LambdaMART\n## No. of trees = 2\n## No. of leaves = 3\n\n<ensemble>\n{TREES}\n</ensemble>"
)
QUICKRANK = (
    '<?xml version="1.0"?>\n<ranker><info><type>LAMBDAMART</type><trees>2</trees></info>'
    f"<ensemble>\n{TREES}\n</ensemble></ranker>"
)  # fmt: skip
BOMB = """<?xml version="1.0"?>
<!DOCTYPE ranker [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<ranker><info><type>&c;</type></info></ranker>"""


def read(tmp_path, text):
    path = tmp_path / "model.xml"
    path.write_text(text)
    return read_with_format(path)


def sentence(tmp_path, text):
    with pytest.raises(ValueError) as raised:
        read(tmp_path, text)
    return str(raised.value).removeprefix(str(tmp_path / "model.xml"))


@pytest.mark.parametrize(("text", "kind"), [(RANKLIB, "RankLib XML"), (QUICKRANK, "QuickRank XML")])
def test_scores_by_hand(tmp_path, text, kind):
    forest, found = read(tmp_path, text)
    rows = np.float32([[0.5, 0, -2.25], [0.5, 9, -2.24], [0.51, 0, 0], [-1, 0, -9]])
    leaves = [1.5, -4, 8, 1.5]
    assert (found, forest.n_features) == (kind, 3)
    assert forest.predict(rows).tolist() == [0.5 * leaf + 2 * 0.125 for leaf in leaves]


def test_thresholds_are_float32(tmp_path):
    """The nearest float32 of 0.1 lies above 0.1, and a row that holds it goes left."""
    forest, _ = read(tmp_path, QUICKRANK.replace("> 0.5 <", "> 0.1 <"))
    assert forest.predict(np.float32([[0.1, 0, 0]])).tolist() == [0.5 * -4 + 0.25]


def test_numbers_are_float32_in_ranklib_alone(tmp_path):
    row = np.zeros((1, 3), np.float32)
    texts = [text.replace("-4", "0.1").replace('"0.5"', '"0.3"') for text in (RANKLIB, QUICKRANK)]
    ranklib, quickrank = (read(tmp_path, text)[0].predict(row)[0] for text in texts)
    assert ranklib == float(np.float32(0.1)) * float(np.float32(0.3)) + 0.25
    assert quickrank == 0.1 * 0.3 + 0.25


def test_nan_is_0_in_ranklib_and_goes_right_in_quickrank(tmp_path):
    row = np.float32([[np.nan, 0, 0]])
    assert read(tmp_path, RANKLIB)[0].predict(row).tolist() == [0.5 * -4 + 0.25]
    assert read(tmp_path, QUICKRANK)[0].predict(row).tolist() == [0.5 * 8 + 0.25]


def test_a_bomb_is_refused_before_it_is_lit(tmp_path):
    assert sentence(tmp_path, BOMB) == (
        " has a document type (ranker), which no forest needs and which can blow a file up; take "
        "the lines with <!DOCTYPE and <!ENTITY away"
    )


def test_a_tree_of_any_depth_is_read(tmp_path):
    """Deeper than Python's own stack: every split's left child is the next one."""
    depth = 5000
    right = '<split pos="right"><output>1</output></split>'
    split = '<split pos="left"><feature>1</feature><threshold>0</threshold>'
    leaf = '<split pos="left"><output>2</output></split>'
    inner = split * (depth - 1) + leaf + f"{right}</split>" * (depth - 1)
    root = f"<split><feature>1</feature><threshold>0</threshold>{inner}{right}</split>"
    forest, _ = read(tmp_path, f'<ensemble><tree weight="1">{root}</tree></ensemble>')
    assert forest.trees[0].depth == depth
    assert forest.predict(np.float32([[0], [1]])).tolist() == [2, 1]


CASES = [
    ("<ensemble>", "<html>", " is XML of a html, expected a ranker or ensemble"),
    ("> 0.5 <", "> nan <", ", tree 0: 'threshold' is 'nan', expected a number"),
    ("> 0.5 <", "><", ", tree 0: 'threshold' is '', expected a number"),
    ("> 1.5 <", "> 1e999 <", ", tree 0: 'output' is '1e999', expected a number"),
    ("> 1.5 <", "> one <", ", tree 0: 'output' is 'one', expected a number"),
    ("> 1 <", "> 0 <", ", tree 0: 'feature' is 0, expected numbers from 1"),
    ("> 1 <", "> 1.5 <", ", tree 0: 'feature' is '1.5', expected a whole number from 0"),
    ("> 1 <", "> 99999999999 <", ", tree 0: 'feature' is '99999999999', expected a whole number "
     "from 0"),
    ('weight="2"', "", ", tree 1: 'weight' is None, expected a number"),
    ('pos="right"', 'pos="left"',
     ", tree 0: a split has the pos 'left', expected left once and right once"),
    ('pos="right"', "", ", tree 0: a split has the pos None, expected left once and right once"),
    ('<split pos="right"><output>8</output></split>', "",
     ", tree 0: a split has one child, expected two"),
    ("<output>8</output>", "", ", tree 0: 'output' is None, expected a number"),
    ("</split></tree>\n<tree", "</split><split><output>1</output></split></tree>\n<tree",
     ", tree 0 has two roots"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), CASES)
def test_what_is_wrong_is_named(tmp_path, old, new, told):
    assert old in RANKLIB
    assert sentence(tmp_path, RANKLIB.replace(old, new, 1)) == told


def test_a_quickrank_model_that_is_no_sum_of_trees_is_refused(tmp_path):
    assert sentence(tmp_path, QUICKRANK.replace("LAMBDAMART", "RANDOMFOREST")) == (
        " is a 'RANDOMFOREST' of QuickRank, expected a weighted sum of trees: MART, LAMBDAMART, "
        "OBVMART, OBVLAMBDAMART, DART, LAMBDAMART-SELECTIVE"
    )


def test_ranklibs_random_forests_are_refused(tmp_path):
    """They are several ensembles in one file, whose mean counts."""
    both = RANKLIB + "\n<ensemble></ensemble>"
    told = " is cut short or no XML of one ensemble: junk after document element: line 12, column 0"
    assert sentence(tmp_path, both).startswith(told[:60])


def test_a_file_cut_anywhere_is_refused(tmp_path):
    for text in (RANKLIB, QUICKRANK):
        for cut in range(0, len(text) - 1, 7):
            assert sentence(tmp_path, text[:cut])
