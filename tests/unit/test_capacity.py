"""distilrank.capacity: what is learnt from trained networks, and when nothing is."""

import math

import numpy as np
import pytest

from distilrank.capacity import PROXY, Capacity, Trained, layer_sizes, learn

SHAPES = ((200, 100, 50), (100, 50), (400, 200, 100), (50, 25))


def network(widths, sparsity: float, ndcg: float) -> Trained:
    sizes = layer_sizes((136, *widths, 1))
    layers = ((sizes[0], sparsity), *((size, 0.0) for size in sizes[1:]))
    return Trained("-".join(map(str, (136, *widths, 1))), layers, ndcg)


def networks(exponent: float, slope: float = 0.02, noise: float = 0.0) -> list[Trained]:
    """Networks that rank as well as a capacity with ``exponent`` says."""
    generator = np.random.default_rng(3)
    truth = Capacity(exponent)
    made = []
    for widths in SHAPES:
        for sparsity in (0.0, 0.9, 0.98, 0.99):
            measure = truth.of(network(widths, sparsity, 0).layers)
            ndcg = 0.4 + slope * math.log10(measure) + generator.normal(0, noise)
            made.append(network(widths, sparsity, ndcg))
    return made


def test_the_measure_counts_weights_those_of_pruned_layers_less():
    layers = [(1000, 0.96), (200, 0.0)]
    assert Capacity(1.0).of(layers) == pytest.approx(1000 * 0.04 + 200)
    assert Capacity(0.5).of(layers) == pytest.approx(1000 * 0.2 + 200)
    assert Capacity(0.0).of(layers) == 1200


@pytest.mark.parametrize("exponent", [0.0, 0.3, 0.5, 1.0])
def test_what_pruned_weights_count_is_learnt(exponent):
    learnt = learn(networks(exponent))
    assert learnt.exponent == exponent
    assert learnt.slope == pytest.approx(0.02) and learnt.intercept == pytest.approx(0.4)
    assert learnt.error < 1e-9
    assert "16 trained networks" in learnt.why


def test_some_noise_does_not_hide_it():
    assert learn(networks(0.1, noise=0.001)).exponent < 0.4
    assert learn(networks(0.9, noise=0.001)).exponent > 0.6


def test_the_error_is_that_of_networks_left_out():
    made = networks(0.5, noise=0.002)
    learnt = learn(made)
    x = np.log10([learnt.of(each.layers) for each in made])
    y = np.array([each.ndcg for each in made])
    errors = []
    for out in range(len(made)):
        rest = np.arange(len(made)) != out
        errors.append(np.polyval(np.polyfit(x[rest], y[rest], 1), x[out]) - y[out])
    assert learnt.error == pytest.approx(np.sqrt(np.mean(np.square(errors))))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "no trained networks were asked"),
        (networks(0.2)[:5], "5 trained networks of 2 architectures and 4 sparsities are too few"),
        (networks(0.2)[:1], "1 trained network of 1 architecture and 1 sparsity are too few"),
        ([n for n in networks(0.2) if n.layers[0][1] == 0] * 2, "1 sparsity are too few"),
        (networks(0.2, slope=-0.02), "does not clearly rise"),
        (networks(0.2, slope=0.0, noise=0.01), "does not clearly rise"),
        (networks(0.2, slope=0.0), "does not clearly rise"),
    ],
)  # fmt: skip
def test_too_little_or_nonsense_leaves_the_proxy(made, said):
    learnt = learn(made)
    assert said in learnt.why
    assert learnt.exponent == PROXY and math.isnan(learnt.slope)


def test_vali_is_looked_at_and_test_never():
    """A quality file whose test split would break the reader."""
    model = {"architecture": "136-24-8-1", "layer_sparsity": [0.95, 0.0, 0.0]}
    vali = {"metrics": {"ndcg@10": {"mean": 0.43}}}
    read = Trained.of({"model": model, "splits": {"vali": vali, "test": None}})
    assert read.ndcg == 0.43
    assert read.layers == ((136 * 24, 0.95), (24 * 8, 0.0), (8, 0.0))


def test_a_network_without_its_dead_neurons_counts_as_it_was_planned():
    model = {
        "architecture": "136-20-8-1",
        "layer_sparsity": [0.94, 0.0, 0.0],
        "pruned_from": {"architecture": "136-24-8-1", "zeros": [3100, 0, 0]},
    }
    quality = {"model": model, "splits": {"vali": {"metrics": {"ndcg@10": {"mean": 0.43}}}}}
    read = Trained.of(quality)
    assert read.architecture == "136-24-8-1"
    assert read.layers == ((136 * 24, 3100 / (136 * 24)), (24 * 8, 0.0), (8, 0.0))
