"""distilrank.judge: labels where there are any, else a reference ranking."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau

from distilrank.judge import NDCG, OVERLAP, Judge, measure_of
from distilrank.kendall import taus_to_reference
from distilrank.letor import Dataset
from distilrank.metrics import METRICS, among_first, per_query
from distilrank.results import measure_in, table_of

SIZES = (12, 10, 30)


def split_of(sizes=SIZES, **meta) -> Dataset:
    total = sum(sizes)
    labels = (np.arange(total) % 3).astype(np.uint8)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    features = np.zeros((total, 1), np.float32)
    return Dataset(features, labels, offsets, np.arange(len(sizes)), meta)


@pytest.fixture
def unlabelled() -> Dataset:
    return split_of(labelled=False)


def scores_of(split: Dataset, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=split.n_documents)


@pytest.mark.parametrize("no_relevant", [1.0, None])
def test_labels_are_all_that_counts_where_there_are_any(no_relevant):
    def never():
        raise AssertionError("the reference was asked")

    split = split_of()
    judge, scores = Judge(split, never, no_relevant), scores_of(split)
    assert judge.measure is NDCG
    for metric in METRICS:
        expected = per_query(metric, scores, split.labels, split.offsets, no_relevant)
        np.testing.assert_array_equal(judge.per_query(metric, scores), expected)
    expected = per_query("ndcg@10", scores, split.labels, split.offsets, no_relevant)
    assert judge.mean(scores) == np.nanmean(expected)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_the_overlap_is_the_share_of_the_references_first_ten(unlabelled, lost):
    """Of 12 documents the model puts the ``lost`` last ones first."""
    reference = -np.arange(unlabelled.n_documents, dtype=np.float64)
    scores = reference.copy()
    scores[12 - lost : 12] = 1000
    scores[24] = -1000  # the third of a query of 30: the eleventh takes its place
    judge = Judge(unlabelled, lambda: reference)
    found = judge.per_query("overlap@10", scores)
    np.testing.assert_allclose(found, [1 - lost / 10, np.nan, 0.9])
    assert judge.measure is OVERLAP
    assert judge.mean(scores) == pytest.approx((1 - lost / 10 + 0.9) / 2)


def test_what_stands_in_the_place_of_labels_changes_nothing(unlabelled):
    reference, scores = scores_of(unlabelled, 1), scores_of(unlabelled, 2)
    other = replace(unlabelled, labels=np.zeros_like(unlabelled.labels))
    found = [Judge(split, lambda: reference).mean(scores) for split in (unlabelled, other)]
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_ranking_with_ties_agrees_with_itself(unlabelled, dtype):
    reference = np.zeros(unlabelled.n_documents)
    judge = Judge(unlabelled, lambda: reference)
    found = judge.per_query("overlap@10", reference.astype(dtype))
    np.testing.assert_array_equal(found, [1, np.nan, 1])
    assert among_first(reference, unlabelled.offsets, 10).sum() == 3 * 10


def test_tau_within_each_query(unlabelled):
    reference, scores = scores_of(unlabelled, 1), scores_of(unlabelled, 2)
    scores[12:22] = 5.0  # the model ranks nothing
    reference[22:] = 1.0  # nor does the reference
    found = taus_to_reference(scores, reference, unlabelled.offsets)
    expected = kendalltau(scores[:12], reference[:12]).statistic
    np.testing.assert_allclose(found, [expected, 0.0, np.nan])


def test_the_measure_is_found_in_files_and_tables():
    assert measure_of(METRICS) is NDCG and measure_of(OVERLAP.metrics) is OVERLAP
    columns = ["dataset", "ndcg@10"]
    with_labels, without = {"dataset": "a", "ndcg@10": 0.5}, {"dataset": "b", "overlap@10": 0.9}
    assert list(table_of([with_labels], columns, ["overlap@10"])) == columns
    table = table_of([with_labels, without], columns, ["overlap@10"])
    assert list(table) == [*columns, "overlap@10"]
    assert measure_in(table.iloc[:1]) is NDCG and measure_in(table.iloc[1:]) is OVERLAP
