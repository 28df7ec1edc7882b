"""How fast nDCG@10 of a vali split is beside a loop over queries, for `benchmarks/train.py`."""

import time

import numpy as np

from benchmarks import public_loop
from benchmarks.forests import PER_QUERY
from distilrank.metrics import Judged
from distilrank.timing import round_order


def measure_ndcg(rounds: int, seed: int, queries: int = 6000) -> dict[str, list[float]]:
    """Milliseconds of nDCG@10 over queries of `PER_QUERY` documents, by a loop and by `Judged`.

    The loop finds the best order anew each time, as it does after every epoch of the public code;
    `Judged` knows it from the check before.
    """
    random = np.random.default_rng(seed)
    labels = random.choice(5, queries * PER_QUERY, p=[0.52, 0.32, 0.13, 0.02, 0.01])
    scores = (labels + random.normal(0, 2, len(labels))).astype(np.float32)
    offsets = np.arange(queries + 1) * PER_QUERY
    wanted, judged = labels.astype(np.float32), Judged(labels.astype(np.uint8), offsets)
    ways = {
        "loop": lambda: public_loop.ndcg(scores, wanted, offsets),
        "vectorised": lambda: judged.per_query("ndcg@10", scores),
    }
    if not np.allclose(*(way() for way in ways.values()), atol=1e-6):
        raise ValueError("the loop's nDCG and that of Judged differ")
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in round_order(list(ways), number):
            start = time.perf_counter()
            ways[name]()
            taken[name].append((time.perf_counter() - start) * 1000)
    return taken
