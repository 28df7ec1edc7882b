"""What a student's scores are held against, beside the mean squared error."""

import numpy as np
import torch


def listwise_softmax(scores: torch.Tensor, labels: torch.Tensor, sizes: np.ndarray) -> torch.Tensor:
    """Cross-entropy between each query's gains and the softmax of its scores; the queries' mean.

    ListNet (Cao et al., ICML 2007) with the gains of nDCG, ``2^label - 1``, as the distribution
    to be met. A query without a relevant document teaches nothing and counts 0.

    Args:
        scores: (documents,) float32, query after query.
        labels: (documents,) float32 graded relevance.
        sizes: (queries,) each query's documents.
    """
    places, within = _padded(sizes, scores.device)
    gains = (torch.exp2(labels[places]) - 1).where(within, 0.0)
    wanted = gains / gains.sum(dim=1, keepdim=True).clamp(min=1)
    logits = torch.log_softmax(scores[places].where(within, -torch.inf), dim=1)
    return -(wanted * logits.where(within, 0.0)).sum(dim=1).mean()


def _padded(sizes: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(queries, largest) where each query's documents stand, and which of these places are its."""
    counts = torch.from_numpy(np.asarray(sizes, dtype=np.int64)).to(device)
    within = torch.arange(int(sizes.max()), device=device) < counts[:, None]
    first = counts.cumsum(0) - counts
    places = first[:, None] + torch.arange(within.shape[1], device=device)
    return places.where(within, 0), within
