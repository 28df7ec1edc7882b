"""The public code's training loop, restated: what this project's trainer is measured against.

Restated from hpclab/efficient_nn_for_ltr (`train.py`, `utils/DataReader.py`,
`utils/train_utils.py`, `utils/MLP.py`) and the parts of hpclab/rankeval that it calls. Pruning
there runs the same loop with Intel's Distiller around it, which only adds to a step.

As there: real documents are z-scored and scored by the teacher once, before training; a PyTorch
`DataLoader` without workers shuffles them and asks a `Dataset` for one row after the other; its
collate function stacks the rows, draws as many synthetic documents, each feature by one
`numpy.random.choice` among its midpoints, z-scores them, has the teacher score them, and joins
both; plain Adam with weight decay minimises the mean squared error; every step reads the loss.
After each epoch a second loader, with PyTorch's own collate function, gives the vali split to the
network for its loss and scores, and nDCG is taken query by query, the ideal ranking's anew each
epoch, since the metric is.

The teacher is LightGBM's `predict` on all threads, which also made it. There it is RankEval's own
walk, one node after the other and with threads over documents too, of a `rankeval.Dataset` made of
each batch. The network is on the CPU. Where else this had to choose, it chose what is faster:

- The z-score is two NumPy operations in place, not scikit-learn's `StandardScaler` with its checks.
- Gradients are dropped rather than zeroed, as PyTorch now does by default.
- MAP, computed twice each epoch, the progress bar and the checkpoints are left out.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import lightgbm
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

CUTOFF = 10


class Documents(Dataset):
    """Z-scored documents with their teacher's scores, handed out one by one."""

    def __init__(self, rows: np.ndarray, targets: np.ndarray) -> None:
        self.rows, self.targets = rows, targets

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> tuple[np.ndarray, np.float32]:
        return self.rows[place], self.targets[place]


class Collate:
    """Makes a batch of real documents, and of as many synthetic ones, drawn and scored on the spot.

    Args:
        midpoints: for each feature the values it may take.
        teacher: the forest, scored by LightGBM with ``threads``.
        mean, scale: (features,) the fitted z-score.
        synthetic: documents drawn for each batch, however many real ones it has.
    """

    def __init__(
        self, midpoints: Sequence[np.ndarray], teacher: lightgbm.Booster, threads: int,
        mean: np.ndarray, scale: np.ndarray, synthetic: int,
    ) -> None:  # fmt: skip
        self.midpoints, self.teacher, self.threads = midpoints, teacher, threads
        self.mean, self.scale, self.synthetic = mean, scale, synthetic

    def __call__(
        self, documents: Sequence[tuple[np.ndarray, np.float32]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows, targets = self.stacked(documents)
        drawn = self.draw()
        scores = self.score(drawn)
        rows = np.concatenate([rows, standardised(drawn, self.mean, self.scale)])
        return torch.from_numpy(rows), torch.from_numpy(np.concatenate([targets, scores]))

    def stacked(
        self, documents: Sequence[tuple[np.ndarray, np.float32]]
    ) -> tuple[np.ndarray, np.ndarray]:
        return np.array([row for row, _ in documents]), np.array(
            [target for _, target in documents]
        )

    def draw(self) -> np.ndarray:
        rows = np.empty((self.synthetic, len(self.midpoints)), np.float32)
        for feature, values in enumerate(self.midpoints):
            rows[:, feature] = np.random.choice(values, self.synthetic)  # noqa: NPY002
        return rows

    def score(self, rows: np.ndarray) -> np.ndarray:
        scores = self.teacher.predict(rows, raw_score=True, num_threads=self.threads)
        return scores.astype(np.float32)


def standardised(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """A z-scored copy in float32."""
    rows = rows - mean.astype(np.float32)
    rows /= scale.astype(np.float32)
    return rows


class PublicNet(nn.Module):
    """ReLU6 after every hidden layer, a linear scalar output."""

    def __init__(self, inputs: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(before, after) for before, after in pairwise([inputs, *hidden, 1])
        )
        self.relu6, self.dropout = nn.ReLU6(), nn.Dropout(0.0)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        for index, layer in enumerate(self.layers[:-1]):
            rows = self.relu6(layer(rows))
            if index == 0:
                rows = self.dropout(rows)
        return torch.squeeze(self.layers[-1](rows), 1)


def train_epoch(
    loader: DataLoader, network: PublicNet, optimiser: torch.optim.Optimizer
) -> tuple[float, int]:
    """One pass over the real documents: the mean loss, and the rows, real and synthetic."""
    network.train()
    total, count = 0.0, 0
    for rows, targets in loader:
        loss = nn.functional.mse_loss(network(rows), targets)
        total, count = total + loss.item() * len(rows), count + len(rows)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return total / count, count


def validate(loader: DataLoader, network: PublicNet) -> np.ndarray:
    """(documents,) float32 scores of the vali split, its loss computed by the way."""
    network.eval()
    scores, total = [], 0.0
    for rows, targets in loader:
        found = network(rows)
        total += nn.functional.mse_loss(found, targets).item()
        scores.append(found.detach().numpy())
    return np.concatenate(scores)


# ---- nDCG, query by query ----


def ndcg(scores: np.ndarray, labels: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(queries,) float32 nDCG@10 with exponential gains; 1 for a query without a relevant document.

    Args:
        scores: (documents,) float32.
        labels: (documents,) float32.
        offsets: (queries + 1,) where each query's documents begin.
    """
    ideal, found = np.zeros((2, len(offsets) - 1), np.float32)
    for query, (relevance, _) in enumerate(_queries(labels, scores, offsets)):
        ideal[query] = _dcg(relevance, relevance)
    for query, (relevance, wanted) in enumerate(_queries(labels, scores, offsets)):
        gained = _dcg(relevance, wanted)
        found[query] = gained / ideal[query] if ideal[query] != 0 else 1.0
    return found


def _queries(
    labels: np.ndarray, scores: np.ndarray, offsets: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for query in np.arange(len(offsets) - 1):
        start, end = offsets[query], offsets[query + 1]
        yield labels[start:end], scores[start:end]


def _dcg(labels: np.ndarray, scores: np.ndarray) -> float:
    order = np.argsort(scores)[::-1][:CUTOFF]
    discount = np.log2(np.arange(order.size) + 2)
    return ((np.exp2(labels[order]) - 1.0) / discount).sum()
