"""distilrank.generate: documents of the sample's shape, and labels that can be learned."""

import zipfile

import lightgbm
import numpy as np
import pytest
import tiny
from scipy.stats import ks_2samp, spearmanr

from distilrank.generate import Generator, Sample, write_archive
from distilrank.letor import MISSING, SPLITS, Dataset, parse_letor
from distilrank.metrics import per_query

COUNT, RATIO, IDF, LENGTH, NEGATIVE, SPARSE, FEW, FIXED, SIGNED, BINARY, LONG = range(11)
QUERIES, DOCUMENTS = 400, 16_000


def real_like() -> Dataset:
    """30 queries whose features have every shape that MSLR's have, most of them correlated."""
    generator = np.random.default_rng(5)
    sizes = generator.integers(15, 120, 30)
    query = np.repeat(np.arange(30), sizes)
    total = len(query)
    latent = generator.normal(size=30)[query] + generator.normal(size=total)
    other = generator.normal(size=total)
    features = np.zeros((total, 11))
    features[:, COUNT] = np.floor(np.exp(latent + 2))
    features[:, RATIO] = np.round(1 / (1 + np.exp(latent + 0.3 * other)), 6)
    features[:, IDF] = np.round(generator.gamma(3, 4, 30), 6)[query]
    features[:, LENGTH] = np.floor(np.exp(2 * other + 0.5 * latent + 5))
    features[:, NEGATIVE] = np.round(-np.exp(0.5 * latent + 2), 6)
    features[:, SPARSE] = np.where(other > 0.5, np.round(np.exp(latent), 6), 0)
    features[:, FEW] = np.clip(np.round(latent + 2), 0, 4)
    features[:, FIXED] = 7
    features[:, SIGNED] = np.where(other > 0, np.round(10 * latent, 6), 0)
    features[:, BINARY] = other > 0.5
    features[:, LONG] = np.floor(np.exp(2 * np.abs(latent) + 8))
    labels = generator.choice(5, total, p=[0.55, 0.3, 0.1, 0.03, 0.02]).astype(np.uint8)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return Dataset(features.astype(np.float32), labels, offsets, np.arange(30))


def joined(generator: Generator, queries: int, documents: int, split: str = "train") -> Dataset:
    blocks = list(generator.blocks(split, queries, documents, 1))
    qids = np.concatenate([block.qids for block in blocks])
    found, starts = np.unique(qids, return_index=True)
    return Dataset(
        np.concatenate([block.features for block in blocks]),
        np.concatenate([block.labels for block in blocks]),
        np.append(starts, len(qids)),
        found,
    )


@pytest.fixture(scope="module")
def real() -> Dataset:
    return real_like()


@pytest.fixture(scope="module")
def sample(real) -> Sample:
    return Sample([real])


@pytest.fixture(scope="module")
def made(sample) -> Dataset:
    return joined(Generator(sample, 1, 0.5), QUERIES, DOCUMENTS)


def test_as_many_queries_and_documents_as_asked(made, sample):
    assert (made.n_queries, made.n_documents) == (QUERIES, DOCUMENTS)
    assert made.qids.tolist() == list(range(1, QUERIES + 1))
    assert made.group_sizes.min() >= 1
    assert made.group_sizes.std() > 5  # as uneven as the sample's
    for queries, documents in ((1, 1), (7, 7), (1, 10_000), (9000, 9001)):
        drawn = joined(Generator(sample, 1, 0.5), queries, documents)
        assert (drawn.n_queries, drawn.n_documents) == (queries, documents)


def test_every_features_distribution_is_the_samples(real, made):
    for feature in range(real.n_features):
        one, other = real.features[:, feature], made.features[:, feature]
        # 0.03 is what two samples of these sizes may differ by; a query constant has 30 values.
        assert ks_2samp(one, other).statistic < (0.1 if feature == IDF else 0.06), feature
        assert abs((one == 0).mean() - (other == 0).mean()) < 0.03
        assert one.min() <= other.min()
        assert other.max() <= one.max()
    for feature in (COUNT, RATIO, NEGATIVE, LENGTH):
        places = [0.1, 0.25, 0.5, 0.75, 0.9]
        expected = np.quantile(real.features[:, feature], places)
        assert np.quantile(made.features[:, feature], places) == pytest.approx(expected, rel=0.15)


def test_documents_do_not_pile_up_at_a_features_ends(made):
    for feature in (RATIO, NEGATIVE):
        column = made.features[:, feature]
        for end in (column.min(), column.max()):
            assert (column == end).mean() < 1e-3


def test_rank_correlations_are_the_samples(real, made):
    varied = [feature for feature in range(real.n_features) if feature != FIXED]
    expected = spearmanr(real.features[:, varied]).statistic
    found = spearmanr(made.features[:, varied]).statistic
    assert np.abs(expected - found).max() < 0.12
    assert np.abs(expected - found).mean() < 0.04
    assert np.abs(expected).max() > 0.9 > np.abs(np.triu(expected, 1)).mean()


def test_each_kind_of_feature_stays_what_it_is(real, made):
    features = made.features
    assert np.isfinite(features).all()
    for feature in (COUNT, LENGTH, FEW, BINARY, LONG):
        assert (features[:, feature] == np.round(features[:, feature])).all()
    assert set(features[:, FEW]) == set(real.features[:, FEW])
    assert (features[:, FIXED] == 7).all()
    assert (features[:, NEGATIVE] < 0).all()
    # What is zero together stays zero together.
    assert ((features[:, SPARSE] > 0) == (features[:, BINARY] == 1)).all()


def test_query_constants_are_constant_and_new(real, made):
    starts = made.offsets[:-1]
    column = made.features[:, IDF]
    assert (np.minimum.reduceat(column, starts) == np.maximum.reduceat(column, starts)).all()
    assert len(np.unique(column)) > 0.8 * QUERIES
    assert len(np.unique(real.features[:, IDF])) == 30


def test_documents_are_new(real, made):
    continuous = [RATIO, NEGATIVE]
    known = {row.tobytes() for row in real.features[:, continuous]}
    assert np.mean([row.tobytes() in known for row in made.features[:, continuous]]) < 0.02


def test_grades_have_the_samples_shares(sample, made):
    found = np.bincount(made.labels, minlength=5) / made.n_documents
    assert np.abs(found - sample.shares).max() < 0.04
    assert found[4] > 0.005


def booster(train: Dataset, labels: np.ndarray) -> lightgbm.Booster:
    parameters = {
        "objective": "lambdarank", "num_leaves": 15, "verbose": -1, "num_threads": 1,
        "deterministic": True,
    }  # fmt: skip
    data = lightgbm.Dataset(train.features, labels, group=train.group_sizes)
    return lightgbm.train(parameters, data, 50)


def test_labels_are_learnable_and_more_queries_teach_more(sample, made):
    test = joined(Generator(sample, 1, 0.5), 100, 4000, "test")

    def quality(train: Dataset, labels: np.ndarray) -> float:
        scores = booster(train, labels).predict(test.features)
        return per_query("ndcg@10", scores, test.labels, test.offsets).mean()

    few = made.select(np.arange(10))
    shuffled = np.random.default_rng(1).permutation(made.labels)
    all_of_it, a_few = quality(made, made.labels), quality(few, few.labels)
    assert all_of_it > a_few + 0.02
    assert a_few > quality(made, shuffled) + 0.1


def test_noise_hides_the_labels_function(sample):
    def explained(noise: float) -> float:
        generator = Generator(sample, 1, noise)
        signal = generator.relevance.signal(sample.rank)
        wish = generator.relevance.wish(
            sample.rank, np.zeros(len(signal), dtype=int), np.random.default_rng(1)
        )
        return np.corrcoef(signal, wish)[0, 1]

    assert explained(0) > 0.999
    # Signal and noise are about equally wide.
    assert explained(1) == pytest.approx(1 / np.sqrt(2), abs=0.12)


def test_splits_differ(sample):
    generator = Generator(sample, 1, 0.5)
    train, test = (joined(generator, 20, 400, split) for split in ("train", "test"))
    assert train.features.tobytes() != test.features.tobytes()


def test_the_archive_reads_back_to_the_last_bit(sample, tmp_path):
    queries = {"train": 150, "vali": 3, "test": 4}
    generator = Generator(sample, 3, 0.5)
    written = write_archive(tmp_path / "made.zip", generator, queries, 40.5)
    assert written == {"train": 6075, "vali": 122, "test": 162}
    first = {"train": 1, "vali": 151, "test": 154}
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        assert archive.namelist() == [f"Fold1/{split}.txt" for split in SPLITS]
        # The clock would change the bytes.
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        for split in SPLITS:
            with archive.open(f"Fold1/{split}.txt") as stream:
                parsed = parse_letor(stream, split, real_like().n_features)
            blocks = list(generator.blocks(split, queries[split], written[split], first[split]))
            features = np.concatenate([block.features for block in blocks])
            assert parsed.features.tobytes() == features.tobytes()
            labels = np.concatenate([block.labels for block in blocks])
            assert parsed.labels.tolist() == labels.tolist()
            assert parsed.qids.tolist() == list(range(first[split], first[split] + queries[split]))
    assert tiny.names(tmp_path) == ["made.zip"]


def test_memory_holds_blocks_not_splits(sample):
    sizes = [
        len(block.labels) for block in Generator(sample, 1, 0.5).blocks("train", 500, 20_000, 1)
    ]
    assert sum(sizes) == 20_000
    assert max(sizes) <= 4096


@pytest.mark.parametrize(("queries", "documents"), [(0, 0), (0, 10), (-1, 10), (10, 9)])
def test_impossible_counts_are_refused(sample, queries, documents):
    with pytest.raises(ValueError, match=f"train with {queries} queries and {documents} documents"):
        joined(Generator(sample, 1, 0.5), queries, documents)


@pytest.mark.parametrize(("seed", "noise"), [(-1, 0.5), (1, -0.1), (1, np.nan), (1, np.inf)])
def test_a_wrong_seed_or_noise_is_refused(sample, seed, noise):
    with pytest.raises(ValueError, match=f"a seed of {seed} and noise of {noise}, expected"):
        Generator(sample, seed, noise)


def test_a_sample_of_one_query_is_refused(real):
    with pytest.raises(ValueError, match="one query, expected at least two"):
        Sample([real.select(np.array([0]))])


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.nan, "a feature of 1e9 or more"),
        (np.inf, "a feature of 1e9 or more"),
        (MISSING, "1 values of the sample are missing, .* under generate.from"),
    ],
)
def test_a_sample_with_a_value_that_cannot_be_drawn_is_refused(real, value, sentence):
    features = real.features.copy()
    features[3, RATIO] = value
    broken = Dataset(features, real.labels, real.offsets, real.qids)
    with pytest.raises(ValueError, match=sentence):
        Sample([broken])


def test_a_query_of_one_document_can_be_drawn_from(real):
    features = real.features[:3]
    small = Dataset(features, real.labels[:3], np.array([0, 1, 3]), np.array([1, 2]))
    assert joined(Generator(Sample([small]), 1, 0.5), 5, 50).n_documents == 50
