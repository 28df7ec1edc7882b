"""distilrank.metrics against one query, one document at a time, and against LightGBM."""

import math

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilrank.metrics import METRICS, Judged, conventions, per_query


def slow(metric: str, scores: list[float], labels: list[int]) -> float | None:
    """One query's metric by its definition; None without a relevant document. No equal scores."""
    ranked = [label for _, label in sorted(zip(scores, labels, strict=True), reverse=True)]
    if not any(labels):
        return None
    if metric == "mrr":
        return 1 / next(rank for rank, label in enumerate(ranked, 1) if label)
    if metric == "map":
        hits = [rank for rank, label in enumerate(ranked, 1) if label]
        return math.fsum(found / rank for found, rank in enumerate(hits, 1)) / len(hits)
    depth = int(metric.removeprefix("ndcg@"))

    def dcg(order: list[int]) -> float:
        gains = (2**label - 1 for label in order[:depth])
        return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))

    return dcg(ranked) / dcg(sorted(labels, reverse=True))


@st.composite
def queries(draw) -> list[tuple[list[float], list[int]]]:
    """Scores (none twice within a query) and labels of one to five queries."""
    sizes = draw(st.lists(st.integers(1, 15), min_size=1, max_size=5))
    score = st.floats(allow_nan=False) | st.integers(-5, 5).map(float)
    return [
        (
            draw(st.lists(score, min_size=size, max_size=size, unique=True)),
            draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)),
        )
        for size in sizes
    ]


def joined(found) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, labels = zip(*found, strict=True)
    return (
        np.concatenate(scores),
        np.concatenate(labels).astype(np.uint8),
        np.cumsum([0, *map(len, scores)]),
    )


@given(found=queries(), no_relevant=st.sampled_from([1.0, 0.0, None]))
@pytest.mark.parametrize("metric", [*METRICS, "ndcg@3", "ndcg@100"])
def test_every_query_by_the_definition(metric, found, no_relevant):
    values = per_query(metric, *joined(found), no_relevant=no_relevant)
    expected = [slow(metric, scores, labels) for scores, labels in found]
    expected = [no_relevant if value is None else value for value in expected]
    expected = [math.nan if value is None else value for value in expected]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def by_one_sort(metric: str, scores, labels, offsets) -> np.ndarray:
    """All queries by one sort of three keys: slow, and the same to the last bit."""
    query = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    chance = np.random.default_rng(20220217).permutation(len(scores))
    rank = np.arange(len(scores)) - offsets[query] + 1
    ranked, ideal = (
        labels[np.lexsort((chance, -by.astype(np.float64), query))].astype(np.int64)
        for by in (scores, labels)
    )
    if metric == "mrr":
        return np.maximum.reduceat(np.where(ranked > 0, 1.0 / rank, 0.0), offsets[:-1])
    discount = np.where(rank <= int(metric.removeprefix("ndcg@")), 1.0 / np.log2(rank + 1.0), 0.0)
    dcg, best = (
        np.bincount(query, (np.exp2(order) - 1.0) * discount)  # in the order of ranks
        for order in (ranked, ideal)
    )
    return dcg / best


@pytest.mark.parametrize("metric", ["ndcg@1", "ndcg@10", "ndcg@150", "mrr"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "equal", "signed zeros"])
def test_many_queries_to_the_last_bit(metric, kind):
    """Enough for several groups of queries; one has a single document, one very many."""
    random = np.random.default_rng(3)
    sizes = np.append(np.clip(random.lognormal(4.4, 0.8, 600).astype(int), 1, 900), [1, 3000])
    offsets = np.concatenate([[0], np.cumsum(random.permutation(sizes))])
    labels = random.choice(5, offsets[-1], p=[0.5, 0.3, 0.13, 0.05, 0.02]).astype(np.uint8)
    labels[offsets[:-1]] = 4
    # Many equal scores, at the tenth rank too.
    scores = np.round(random.normal(0, 3, len(labels)), 1)
    scores = {
        "float32": scores.astype(np.float32), "float64": scores, "int64": scores.astype(np.int64),
        "equal": np.zeros(len(labels), np.float32),
        "signed zeros": np.where(scores > 0, 0.0, -0.0).astype(np.float32),
    }[kind]  # fmt: skip
    expected = by_one_sort(metric, scores, labels, offsets)
    assert per_query(metric, scores, labels, offsets).tolist() == expected.tolist()


def test_what_is_kept_of_the_labels_knows_nothing_of_earlier_scores():
    random = np.random.default_rng(0)
    labels, offsets = random.integers(0, 5, 500), np.arange(0, 501, 20)
    judged = Judged(labels, offsets)
    for metric in [*METRICS, *METRICS]:
        scores = random.normal(size=500).astype(np.float32)
        expected = per_query(metric, scores, labels, offsets).tolist()
        assert judged.per_query(metric, scores).tolist() == expected


def test_no_query_has_no_value():
    assert per_query("ndcg@10", np.zeros(0), np.zeros(0, np.uint8), np.zeros(1, int)).shape == (0,)


def test_a_query_written_out():
    """Labels 0, 2, 1 in ranked order; the best order is 2, 1, 0."""
    scores, labels, offsets = [3.0, 1.0, 2.0], [0, 1, 2], [0, 3]
    dcg = (2**2 - 1) / math.log2(3) + (2**1 - 1) / math.log2(4)
    best = (2**2 - 1) / math.log2(2) + (2**1 - 1) / math.log2(3)
    expected = {
        "ndcg@1": 0.0, "ndcg@5": dcg / best, "ndcg@10": dcg / best,
        "map": (1 / 2 + 2 / 3) / 2, "mrr": 1 / 2,
    }  # fmt: skip
    found = {metric: per_query(metric, scores, labels, offsets)[0] for metric in METRICS}
    assert found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("metric", METRICS)
@given(found=queries(), seed=st.integers(0, 99))
def test_a_perfect_ranking_counts_one(metric, found, seed):
    _, labels, offsets = joined(found)
    noise = np.random.default_rng(seed).uniform(0, 0.5, len(labels))
    np.testing.assert_allclose(per_query(metric, labels + noise, labels, offsets), 1, rtol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_labels_up_to_255_neither_wrap_nor_overflow(metric):
    labels = np.array([255, 0, 254, 255], np.uint8)
    assert per_query(metric, np.array([3, 0, 1, 2]), labels, [0, 4]).tolist() == [1.0]


def test_the_order_of_equal_scores_knows_nothing_of_the_labels():
    """With one relevant document, its rank is 1 / MRR: over all places a permutation."""
    count = 50
    ranks = [
        round(1 / per_query("mrr", np.zeros(count), np.eye(count)[place], [0, count])[0])
        for place in range(count)
    ]
    assert sorted(ranks) == list(range(1, count + 1))
    assert ranks != sorted(ranks), "not the file's order: files are often sorted by label"
    assert ranks != sorted(ranks, reverse=True)


def test_equal_scores_rank_the_same_every_time_and_for_any_type():
    labels = np.random.default_rng(0).integers(0, 5, 200)
    offsets = np.arange(0, 201, 20)
    scores = [np.zeros(200), np.full(200, -0.0), np.zeros(200, np.float32), np.zeros(200, int)]
    values = [per_query("ndcg@10", each, labels, offsets).tolist() for each in scores]
    assert values[0] == values[1] == values[2] == values[3]


def test_documents_never_leave_their_query():
    """The second query's scores are all higher; they change nothing for the first."""
    labels, offsets = np.array([1, 0, 0, 0, 1]), [0, 2, 5]
    scores = np.array([0.2, 0.1, 30.0, 20.0, 10.0])
    assert per_query("mrr", scores, labels, offsets).tolist() == [1.0, 1 / 3]


def test_infinite_scores_have_their_place():
    values = per_query("mrr", np.array([-np.inf, np.inf, 0.0]), np.array([0, 0, 1]), [0, 3])
    assert values.tolist() == [1 / 2]


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ([0.0, math.nan, math.nan], "2 scores are NaN"),
        ([0.0, 1.0], "(2,) scores, (3,) labels, 3 documents"),
        ([[0.0], [1.0], [2.0]], "(3, 1) scores, (3,) labels, 3 documents"),
    ],
)
def test_scores_that_rank_nothing_are_refused(scores, sentence):
    with pytest.raises(ValueError) as raised:
        per_query("mrr", np.array(scores), np.array([1, 0, 1]), [0, 1, 3])
    assert str(raised.value) == sentence


def test_offsets_of_another_split_are_refused():
    with pytest.raises(ValueError, match="4 documents"):
        per_query("mrr", np.zeros(3), np.zeros(3), [0, 4])


@pytest.mark.parametrize("metric", ["ndcg", "ndcg@0", "ndcg@-1", "ndcg@x", "NDCG@10", "map@10", ""])
def test_an_unknown_metric_is_named(metric):
    with pytest.raises(ValueError) as raised:
        per_query(metric, np.zeros(1), np.zeros(1), [0, 1])
    assert str(raised.value) == f"metric {metric!r}, expected ndcg@K, precision@K, map or mrr"


def test_the_conventions_say_what_the_numbers_do():
    assert conventions(0.0)["no_relevant"] == 0.0
    assert conventions(None)["no_relevant"] is None
    assert conventions(1.0)["gain"] == "exponential, 2^label - 1"
    assert "label >= 1" in conventions(1.0)["relevant"]


def unlike_ties(scores: np.ndarray, labels: np.ndarray) -> bool:
    """Whether documents of different labels share a score: LightGBM orders those by place."""
    return len(set(zip(scores, labels, strict=True))) > len(set(scores))


@pytest.mark.filterwarnings("ignore:Overriding the parameters")
@pytest.mark.parametrize("depth", [1, 5, 10])
def test_ndcg_equals_lightgbms_own(splits, depth):
    """LightGBM counts a query without a relevant document as 1."""
    train, vali = splits["train"], splits["vali"]
    parameters = {
        "objective": "lambdarank", "metric": "ndcg", "eval_at": [depth], "verbose": -1,
        "num_leaves": 30, "min_data_in_leaf": 1, "num_threads": 1, "deterministic": True,
        "feature_pre_filter": False,
    }  # fmt: skip
    learned = lightgbm.Dataset(train.features, train.labels, group=train.group_sizes)
    booster = lightgbm.train(parameters, learned, 25, keep_training_booster=True)
    scores = np.split(booster.predict(vali.features, raw_score=True), vali.offsets[1:-1])
    labels = np.split(vali.labels, vali.offsets[1:-1])
    clear = [not unlike_ties(*query) for query in zip(scores, labels, strict=True)]
    assert sum(clear) >= 6
    assert clear[-1], "the query without a relevant document is among them"
    part = vali.select(np.flatnonzero(clear))
    checked = learned.create_valid(part.features, part.labels, group=part.group_sizes)
    booster.add_valid(checked, "part")
    (_, _, theirs, _), *_ = booster.eval_valid()
    ours = per_query(
        f"ndcg@{depth}", booster.predict(part.features), part.labels, part.offsets, no_relevant=1.0
    )
    assert ours[-1] == 1.0
    assert ours.mean() == pytest.approx(theirs, abs=1e-12)
    assert theirs > 0.5
    assert theirs < 1 or depth == 1
