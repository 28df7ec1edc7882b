"""distilrank.teacher: which trees are kept, the same bytes again, and the reference's scores."""

import numpy as np
import pytest

from distilrank.metrics import per_query
from distilrank.readers import read_forest
from distilrank.teacher import bin_splits, grow, score, train_forest

SETTINGS = {"trees": 60, "leaves": 5, "learning_rate": 0.2, "min_data_in_leaf": 5}


def forest_of(booster, tmp_path):
    path = tmp_path / "model.txt"
    booster.save_model(path)
    return read_forest(path)


@pytest.mark.parametrize("seed", [0, 1])
def test_stopping_early_keeps_the_best_prefix(splits, tmp_path, seed):
    settings = SETTINGS | {"early_stopping": 10, "seed": seed}
    booster, curve = train_forest(splits["train"], splits["vali"], settings, threads=1)
    best = int(np.argmax(curve))  # the first of equal ones
    assert len(curve) == min(best + 1 + 10, 60), "it goes on for ten trees after the best"
    assert len(curve) < 60, "the data stop improving before the last tree"
    assert booster.num_trees() == best + 1 == len(forest_of(booster, tmp_path).trees)
    vali = splits["vali"]
    scores = score(booster, vali.features, 1)
    ours = per_query("ndcg@10", scores, vali.labels, vali.offsets, no_relevant=1.0).mean()
    assert ours == pytest.approx(max(curve), abs=0.01), "the curve's best is the kept forest's"


def test_without_stopping_every_tree_is_kept(splits, tmp_path):
    booster, curve = train_forest(splits["train"], splits["vali"], SETTINGS, threads=1)
    assert len(curve) == booster.num_trees() == 60
    assert np.argmax(curve) < 59, "a best prefix would be shorter"
    forest = forest_of(booster, tmp_path)
    assert forest.max_leaves <= 5
    np.testing.assert_allclose(
        score(booster, splits["test"].features, 1),
        forest.predict(splits["test"].features),
        rtol=0,
        atol=1e-12,  # 60 float64 additions of values below 1
    )


@pytest.mark.parametrize("stopping", [0, 30])
def test_it_ends_where_no_tree_can_grow(splits, stopping):
    """Second derivatives shrink as the ranking gets better, until no leaf has enough of them."""
    settings = SETTINGS | {"min_sum_hessian_in_leaf": 4, "early_stopping": stopping}
    booster, curve = train_forest(splits["train"], splits["vali"], settings, threads=1)
    assert len(curve) < 30, "neither the most trees nor early stopping ended it"
    kept = int(np.argmax(curve)) + 1 if stopping else len(curve)
    assert booster.num_trees() == kept
    leaves = [tree["num_leaves"] for tree in booster.dump_model()["tree_info"]]
    assert min(leaves) > 1


def test_binned_once_the_splits_give_the_same_forests(splits):
    binned = bin_splits(splits["train"], splits["vali"], SETTINGS, threads=1)
    for more in ({}, {"min_data_in_leaf": 40, "feature_fraction": 0.5}, {}):
        settings = SETTINGS | {"trees": 5} | more
        alone, curve = train_forest(splits["train"], splits["vali"], settings, threads=1)
        again, same = grow(binned, settings)
        assert again.model_to_string() == alone.model_to_string()
        assert same == curve


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_sum_hessian_in_leaf", 2.0),
        ("lambda_l2", 3.0),
        ("feature_fraction", 0.5),
        ("bagging_fraction", 0.5),
        ("lambdarank_truncation_level", 3),
    ],
)
def test_each_setting_changes_the_forest(splits, name, value):
    plain, _ = train_forest(splits["train"], splits["vali"], SETTINGS, threads=1)
    changed = SETTINGS | {name: value}
    other, _ = train_forest(splits["train"], splits["vali"], changed, threads=1)
    rows = splits["test"].features
    assert score(plain, rows, 1).tolist() != score(other, rows, 1).tolist()


def test_a_longer_run_begins_with_the_shorter_one(splits):
    """What is kept is a prefix of the same boosting, not another forest."""
    long, _ = train_forest(splits["train"], splits["vali"], SETTINGS, threads=1)
    short, _ = train_forest(splits["train"], splits["vali"], SETTINGS | {"trees": 7}, threads=1)
    rows = splits["test"].features
    expected = long.predict(rows, raw_score=True, num_iteration=7)
    assert score(short, rows, 1).tolist() == expected.tolist()


def test_the_same_seed_gives_the_same_bytes(splits):
    texts = [
        train_forest(splits["train"], splits["vali"], SETTINGS | {"trees": 5}, 1)[0]
        .model_to_string()
        for _ in range(2)
    ]  # fmt: skip
    assert texts[0] == texts[1]


def test_the_forest_learns(splits):
    booster, curve = train_forest(splits["train"], splits["vali"], SETTINGS, threads=1)
    test = splits["test"]
    found = per_query("ndcg@10", score(booster, test.features, 1), test.labels, test.offsets)
    chance = per_query("ndcg@10", np.zeros(test.n_documents), test.labels, test.offsets)
    assert found.mean() > chance.mean() + 0.2
    assert max(curve) > curve[0]


def test_the_trees_have_no_rule_for_missing_values(splits, tmp_path):
    """Zeros and a constant feature do not bring one in: the reader would refuse it."""
    train = splits["train"]
    features = np.where(train.features > 0, train.features, 0).astype(np.float32)
    sparse = type(train)(features, train.labels, train.offsets, train.qids)
    booster, _ = train_forest(sparse, sparse, SETTINGS | {"trees": 3}, threads=1)
    assert len(forest_of(booster, tmp_path).trees) == 3
