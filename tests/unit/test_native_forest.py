"""The native forest scorer against the NumPy reference and LightGBM, on every level there is."""

import ctypes
import threading
from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import random_forest, random_student, random_tree

from distilrank.engines import make_engine
from distilrank.forest import DEFAULT_LEFT, NAN_IS_MISSING, ZERO_IS_MISSING, Forest, Tree
from distilrank.readers import read_forest
from distilrank.scorer import LEVELS, Scorer

FEATURES = 6
LARGEST = np.finfo(np.float32).max
ZERO = np.float32(1e-35)
EXTREMES = np.array(
    [0, -0.0, 1e-45, -1e-45, 1e-38, ZERO, -ZERO, np.nextafter(ZERO, np.float32(1)), 0.1, 6, -3,
     LARGEST, -LARGEST, np.inf, -np.inf, np.nan], np.float32,
)  # fmt: skip
BATCHES = [1, 2, 3, 4, 7, 8, 11, 12, 15, 16, 17, 63, 64, 65, 127, 128, 129, 256, 257, 511, 512,
           513, 1000]  # fmt: skip
MANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ROUTES = [0, NAN_IS_MISSING, NAN_IS_MISSING | DEFAULT_LEFT, ZERO_IS_MISSING,
          ZERO_IS_MISSING | DEFAULT_LEFT, DEFAULT_LEFT]  # fmt: skip


@pytest.fixture(scope="module")
def levels(native_library) -> list[str]:
    """Every level that this processor has; the others would run one of these."""
    stump = random_forest(np.random.default_rng(0), 1, 2, 1)
    found = {name: ready(stump, name, native_library).describe()["level"] for name in LEVELS[1:-1]}
    return [name for name, level in found.items() if level == name]


def ready(forest: Forest, level: str, library) -> Scorer:
    return Scorer(forest, level=level, library=library)


def check(forest: Forest, rows: np.ndarray, levels, library, batches=(1, 1000)) -> None:
    """Scores agree with the reference to what float32 can hold, whatever the batch."""
    expected = forest.predict(rows)
    scale = sum(np.abs(tree.value).max() for tree in forest.trees)
    for level in levels:
        with ready(forest, level, library) as scorer:
            for batch in batches:
                found = np.concatenate(
                    [scorer.score(rows[at : at + batch]) for at in range(0, len(rows), batch)]
                )
                np.testing.assert_allclose(
                    found, expected, rtol=2e-7, atol=1e-9 * scale, err_msg=f"{level}, {batch}"
                )


def routed(generator: np.random.Generator, forest: Forest) -> Forest:
    """The same forest, its nodes routing missing values in every way there is."""
    trees = (
        replace(tree, route=generator.choice(ROUTES, len(tree.feature)).astype(np.uint8))
        for tree in forest.trees
    )
    return Forest(tuple(trees), forest.n_features)


def extreme_rows(generator: np.random.Generator, forest: Forest, count: int) -> np.ndarray:
    """Extremes, half steps (which `random_forest` splits at) and what lies next to thresholds."""
    half = (generator.integers(-8, 8, (count, forest.n_features)) / 4).astype(np.float32)
    extreme = generator.choice(EXTREMES, half.shape)
    near = np.nextafter(half, generator.choice(np.float32([-np.inf, np.inf]), half.shape))
    return np.choose(generator.integers(0, 4, half.shape), [half, extreme, near, half])


@MANY
@given(
    seed=st.integers(0, 2**32),
    trees=st.integers(0, 40),
    leaves=st.sampled_from([1, 2, 3, 4, 7, 8, 31, 64, 65, 128, 129, 256, 257, 300]),
    missing=st.booleans(),
)
def test_random_forests_on_extreme_rows(seed, trees, leaves, missing, levels, native_library):
    generator = np.random.default_rng(seed)
    forest = random_forest(generator, trees, leaves, FEATURES)
    if missing:
        forest = routed(generator, forest)
    rows = extreme_rows(generator, forest, 80)
    check(forest, rows, levels, native_library, batches=(1, 7, 20, 80))


@pytest.mark.parametrize("batch", BATCHES)
def test_batches_around_the_edges_of_blocks(batch, levels, native_library):
    generator = np.random.default_rng(batch)
    forest = random_forest(generator, 19, 64, 137)
    rows = extreme_rows(generator, forest, 1100)
    check(forest, rows, levels, native_library, batches=(batch,))


@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 5, 15, 16, 17, 18, 33])
def test_every_width(n_features, levels, native_library):
    generator = np.random.default_rng(n_features)
    forest = random_forest(generator, 5, 9, n_features)
    # No byte lies behind the last row: reading there would be seen by the sanitizer.
    check(forest, extreme_rows(generator, forest, 70), levels, native_library, (1, 70))


def test_trees_of_different_sizes(levels, native_library):
    generator = np.random.default_rng(2)
    trees = [random_tree(generator, leaves, FEATURES) for leaves in [1, 64, 2, 200, 1, 100, 33] * 5]
    forest = Forest(tuple(trees), FEATURES)
    check(forest, extreme_rows(generator, forest, 300), levels, native_library, (300,))


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 63, 127, 128, 254, 255, 256, 600])
def test_many_thresholds_of_one_feature(count, levels, native_library):
    """Beyond 255 a feature is searched in parts; every threshold is hit exactly."""
    generator = np.random.default_rng(count)
    values = np.sort(generator.normal(size=count)).astype(np.float32)
    stumps = tuple(stump(1, float(value), 0.0, 1.0) for value in generator.permutation(values))
    rows = np.zeros((2 * count, 3), np.float32)
    rows[::2, 1], rows[1::2, 1] = values, np.nextafter(values, np.float32(np.inf))
    check(Forest(stumps, 3), rows, levels, native_library, (2 * count,))


def stump(feature: int, threshold: float, left: float, right: float, route: int = 0) -> Tree:
    return Tree(
        np.array([feature], np.int32), np.array([threshold]), np.array([~0], np.int32),
        np.array([~1], np.int32), np.array([left, right]), np.array([route], np.uint8),
    )  # fmt: skip


@given(threshold=st.floats(allow_nan=False))
@settings(max_examples=60, deadline=None)
def test_any_threshold_decides_as_in_float64(threshold, levels, native_library):
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
        around = [near, *(np.nextafter(near, np.float32(way)) for way in (-np.inf, np.inf))]
    rows = np.concatenate([around, EXTREMES]).astype(np.float32)[:, None]
    forest = Forest(tuple(stump(0, threshold, -1.0, 1.0, route) for route in ROUTES), 1)
    check(forest, np.tile(rows, (3, 1)), levels, native_library, (1, len(rows) * 3))


def test_sums_of_a_thousand_trees_are_good_to_a_hundred_thousandth(levels, native_library):
    generator = np.random.default_rng(5)
    forest = random_forest(generator, 1500, 16, FEATURES)
    rows = generator.normal(size=(400, FEATURES)).astype(np.float32)
    expected = forest.predict(rows)
    for level in levels:
        error = np.abs(ready(forest, level, native_library).score(rows) - expected).max()
        assert error / expected.std() < 1e-6


def test_a_leaf_far_from_all_others_costs_no_accuracy(levels, native_library):
    """Whole quanta of the widest tree's range would be coarse: such a forest is walked."""
    trees = (stump(0, 1e30, 0.0, 1e30), *(stump(1, float(x), x, -x) for x in range(20)))
    rows = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32) * 10
    check(Forest(trees, 2), rows, levels, native_library, (100,))


def test_scores_are_the_same_bits_on_every_level_and_in_every_batch(levels, native_library):
    generator = np.random.default_rng(8)
    forest = random_forest(generator, 100, 64, FEATURES)
    rows = generator.normal(size=(600, FEATURES)).astype(np.float32)
    whole = [ready(forest, level, native_library).score(rows) for level in levels]
    assert all(np.array_equal(scores, whole[0]) for scores in whole)
    scorer = ready(forest, "best", native_library)
    parts = [scorer.score(rows[at : at + 60]) for at in range(0, 600, 60)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[0])


PARAMETERS = {
    "none missing": {"use_missing": False},
    "nan missing": {},
    "zero missing": {"zero_as_missing": True},
}


@pytest.mark.parametrize("leaves", [5, 64, 300])
@pytest.mark.parametrize("missing", PARAMETERS)
def test_lightgbm_forests_score_as_in_lightgbm(missing, leaves, tmp_path, levels, native_library):
    generator = np.random.default_rng(leaves)
    rows = generator.normal(size=(2000, FEATURES)).astype(np.float32)
    rows[:, 1] = np.round(rows[:, 1])
    rows[generator.random(rows.shape) < 0.15] = np.nan
    rows[generator.random(rows.shape) < 0.15] = 0
    target = np.nan_to_num(rows[:, 0]) + np.isnan(rows[:, 1]) + (rows[:, 2] == 0) * rows[:, 3] ** 2
    data = lightgbm.Dataset(rows, np.nan_to_num(target))
    parameters = {"num_leaves": leaves, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}
    booster = lightgbm.train(parameters | PARAMETERS[missing], data, 30)
    booster.save_model(tmp_path / "model.txt")
    forest = read_forest(tmp_path / "model.txt")
    assert forest.routes_missing == (missing != "none missing")
    tested = np.concatenate([rows[:500], extreme_rows(generator, forest, 300)])
    expected = booster.predict(tested, raw_score=True)
    np.testing.assert_allclose(forest.predict(tested), expected, rtol=0, atol=1e-12)
    for level in levels:
        found = ready(forest, level, native_library).score(tested)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * expected.std())


def test_rows_any_distance_apart_are_read_where_they_lie(levels, native_library):
    generator = np.random.default_rng(9)
    forest = random_forest(generator, 7, 20, FEATURES)
    wide = generator.normal(size=(300, 11)).astype(np.float32)
    for rows in (wide[:, 2:8], wide[::3, 5:], wide[:5, :6], wide[7:8, 1:7], wide[:0, :6]):
        expected = forest.predict(rows)
        for level in levels:
            scorer = ready(forest, level, native_library)
            np.testing.assert_allclose(scorer.score(rows), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (np.zeros((2, FEATURES)), "rows of float64 and shape"),
        (np.zeros((2, FEATURES + 1), np.float32), r"float32 of shape \(documents, 6\) expected"),
        (np.zeros(FEATURES, np.float32), "rows of float32 and shape"),
        (np.zeros((FEATURES, 9), np.float32).T, "side by side"),
        (np.zeros((4, FEATURES), np.float32)[::-1], "side by side"),
        (np.broadcast_to(np.zeros(FEATURES, np.float32), (3, FEATURES)), "side by side"),
        (np.zeros((4, 2 * FEATURES), np.float32)[:, ::2], "side by side"),
    ],
)
def test_rows_of_another_form_are_refused(rows, sentence, native_library):
    scorer = ready(random_forest(np.random.default_rng(0), 2, 4, FEATURES), "best", native_library)
    with pytest.raises(ValueError, match=sentence):
        scorer.score(rows)


def test_scores_go_where_they_are_wanted(native_library):
    forest = random_forest(np.random.default_rng(0), 2, 4, FEATURES)
    scorer = ready(forest, "best", native_library)
    rows, out = np.zeros((4, FEATURES), np.float32), np.zeros(4, np.float32)
    assert scorer.score(rows, out) is out
    np.testing.assert_allclose(out, forest.predict(rows), rtol=1e-6)
    read_only = np.zeros(4, np.float32)
    read_only.flags.writeable = False
    for wrong in (np.zeros(3, np.float32), np.zeros(4), np.zeros(8, np.float32)[::2], read_only):
        with pytest.raises(ValueError, match=r"^out "):
            scorer.score(rows, wrong)


def test_clones_score_at_once_in_threads(native_library):
    generator = np.random.default_rng(3)
    forest = random_forest(generator, 50, 64, FEATURES)
    rows = generator.normal(size=(700, FEATURES)).astype(np.float32)
    first = ready(forest, "best", native_library)
    expected = first.score(rows)
    scorers = [first.clone() for _ in range(4)]
    first.close()  # the model lives on in its clones
    found = np.zeros((4, 20, 700), np.float32)

    def work(place: int) -> None:
        for turn in range(20):
            scorers[place].score(rows, found[place, turn])

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found == expected).all()


def test_a_closed_scorer_says_so(native_library):
    with ready(random_forest(np.random.default_rng(0), 2, 4, 3), "best", native_library) as scorer:
        pass
    scorer.close()
    for use in (scorer.describe, scorer.clone, lambda: scorer.score(np.zeros((1, 3), np.float32))):
        with pytest.raises(ValueError, match="the scorer is closed"):
            use()


def test_describe_says_what_runs(native_library):
    found = ready(random_forest(np.random.default_rng(0), 3, 64, 4), "portable", native_library)
    assert found.describe() == {
        "kind": "forest", "level": "portable", "precision": "exact", "trees": 3, "max_leaves": 64,
        "method": found.describe()["method"], "conditions": found.describe()["conditions"],
    }  # fmt: skip
    walked = ready(random_forest(np.random.default_rng(0), 3, 257, 4), "best", native_library)
    assert "more than 256 leaves" in walked.describe()["method"]


def test_unknown_options_are_named(native_library):
    forest = random_forest(np.random.default_rng(0), 1, 2, 1)
    with pytest.raises(ValueError, match=r"level is 'sse', expected one of best, portable"):
        Scorer(forest, level="sse", library=native_library)
    with pytest.raises(ValueError, match=r"precision is 'fp8', expected one of fp32"):
        Scorer(random_student(np.random.default_rng(0)), precision="fp8", library=native_library)


def test_the_engine_scores_and_says_what_runs(native_library, monkeypatch):
    forest = random_forest(np.random.default_rng(0), 9, 64, FEATURES)
    rows = np.random.default_rng(1).normal(size=(30, FEATURES)).astype(np.float32)
    monkeypatch.setattr("distilrank.native.find_library", lambda: native_library)
    engine = make_engine("native-forest")
    assert engine.supports(forest) is None
    engine.load(forest, 20)
    for part in (rows[:20], rows[20:]):
        np.testing.assert_allclose(engine.score(part), forest.predict(part), rtol=1e-5, atol=1e-6)
    assert engine.describe()["trees"] == 9
    with pytest.raises(ValueError, match="one thread, 2 asked for"):
        engine.load(forest, 20, threads=2)


def test_without_the_library_the_engine_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reason = make_engine("native-forest").supports(random_forest(np.random.default_rng(0), 1, 2, 1))
    assert "run 'snakemake native'" in reason


def tree_of(**changes: object) -> Forest:
    """Node 0 splits at 0.5, node 1 on its left at -1; some arrays changed."""
    arrays = {
        "feature": np.array([0, 1], np.int32), "threshold": np.array([0.5, -1.0]),
        "left": np.array([1, ~0], np.int32), "right": np.array([~1, ~2], np.int32),
        "value": np.array([1.0, 2.0, 3.0]), "route": np.zeros(2, np.uint8),
    }  # fmt: skip
    for name, (place, value) in changes.items():
        arrays[name][place] = value
    return Forest((LEAF, Tree(**arrays)), 2)


LEAF = Tree(*[np.empty(0, np.int32)] * 4, np.array([1.0]))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"feature": (0, 2)}, "tree 1, node 0 looks at feature 2, expected 0 to 1"),
        ({"feature": (1, -1)}, "tree 1, node 1 looks at feature -1"),
        ({"threshold": (1, np.nan)}, "tree 1, node 1 has a threshold that is NaN"),
        ({"value": (2, np.inf)}, "tree 1, leaf 2 has a value that is not finite"),
        ({"value": (0, np.nan)}, "tree 1, leaf 0 has a value that is not finite"),
        ({"left": (0, 0)}, "tree 1, node 0 has a child that does not stand after it: 0"),
        ({"left": (0, 2)}, "tree 1, node 0 has a child that the tree lacks: 2"),
        ({"left": (1, -4)}, "tree 1, node 1 has a child that the tree lacks: -4"),
        ({"left": (1, -(2**31))}, "tree 1, node 1 has a child that the tree lacks"),
        ({"right": (1, ~0)}, "tree 1, node 1 has a child that another node has: -1"),
        ({"right": (0, 1)}, "tree 1, node 0 has a child that another node has: 1"),
        ({"right": (1, 1)}, "tree 1, node 1 has a child that does not stand after it: 1"),
        ({"route": (1, 8)}, "tree 1, node 1 has unknown bits in its route"),
    ],
)
def test_broken_trees_are_refused(changes, sentence, native_library):
    with pytest.raises(ValueError, match=sentence):
        Scorer(tree_of(**changes), library=native_library)


class TestCInterface:
    """What only C can hand over."""

    @pytest.fixture
    def native(self, native_library):
        Scorer(LEAVES, library=native_library).close()  # declares the functions
        return ctypes.CDLL(str(native_library))

    @pytest.mark.parametrize(
        ("numbers", "sentence"),
        [
            ((-1, 0), b"the forest has -1 features"),
            ((1, -1), b"the forest has -1 trees"),
            ((1, 2**62), b"the forest has 4611686018427387904 trees"),
            ((1, 1), b"the forest's n_nodes or value is NULL"),
        ],
    )
    def test_counts_and_null(self, native, numbers, sentence):
        from distilrank.scorer import _Forest

        error = ctypes.create_string_buffer(200)
        made = native.distilrank_scorer_forest(
            ctypes.byref(_Forest(*numbers)), None, error, ctypes.c_size_t(200)
        )
        assert (made, error.value) == (0, sentence)
        assert native.distilrank_scorer_forest(None, None, None, ctypes.c_size_t(0)) == 0

    def test_negative_and_missing_nodes(self, native):
        from distilrank.scorer import _Forest

        error, value = ctypes.create_string_buffer(200), np.zeros(9)
        for nodes, sentence in [
            (-1, b"tree 0 has -1 nodes"), (2**40, b"tree 0 has 1099511627776 nodes"),
            (1, b"feature, threshold, left or right is NULL"),
        ]:  # fmt: skip
            n_nodes = np.array([nodes], np.int64)
            forest = _Forest(1, 1, n_nodes=n_nodes.ctypes.data, value=value.ctypes.data)
            made = native.distilrank_scorer_forest(
                ctypes.byref(forest), None, error, ctypes.c_size_t(200)
            )
            assert made == 0
            assert sentence in error.value


LEAVES = Forest((LEAF,), 1)
