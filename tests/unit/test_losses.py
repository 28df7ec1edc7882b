"""distilrank.losses against the formula, query by query."""

import numpy as np
import pytest
import torch

from distilrank.losses import listwise_softmax


def by_hand(scores: np.ndarray, labels: np.ndarray, sizes: list[int]) -> float:
    total, start = 0.0, 0
    for size in sizes:
        s, gains = scores[start : start + size], 2.0 ** labels[start : start + size] - 1
        start += size
        if gains.sum():
            log_softmax = s - np.log(np.exp(s).sum())
            total -= (gains / gains.sum() * log_softmax).sum()
    return total / len(sizes)


def loss_of(scores: np.ndarray, labels: np.ndarray, sizes: list[int]) -> float:
    tensors = (torch.tensor(scores, dtype=torch.float32), torch.tensor(labels, dtype=torch.float32))
    return float(listwise_softmax(*tensors, np.array(sizes)))


@pytest.mark.parametrize("sizes", [[5], [1, 7, 3], [4, 4, 4], [1, 1]])
def test_it_is_the_cross_entropy_of_each_query(sizes):
    generator = np.random.default_rng(1)
    scores = generator.normal(size=sum(sizes)) * 3
    labels = generator.integers(0, 5, sum(sizes))
    assert loss_of(scores, labels, sizes) == pytest.approx(by_hand(scores, labels, sizes), rel=1e-5)


def test_a_query_without_a_relevant_document_teaches_nothing():
    scores = torch.zeros(5, requires_grad=True)
    labels = torch.tensor([0.0, 0, 0, 3, 0])
    loss = listwise_softmax(scores, labels, np.array([3, 2]))
    loss.backward()
    assert loss.item() == pytest.approx(np.log(2) / 2, rel=1e-6)
    assert scores.grad.tolist() == pytest.approx([0, 0, 0, -0.25, 0.25], abs=1e-6)


def test_large_scores_stay_finite():
    assert loss_of(np.array([1e4, -1e4]), np.array([0, 4]), [2]) == pytest.approx(2e4, rel=1e-6)
