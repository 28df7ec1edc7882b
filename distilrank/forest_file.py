"""A forest's file to take away: its numbers as they are, loaded without reading any text."""

import json
import os

import numpy as np

from distilrank.forest import Forest
from distilrank.tensor_file import write_tensors

FORMAT = "distilrank-forest-1"


def save_forest(forest: Forest, path: str | os.PathLike) -> None:
    """Write a safetensors file that `scorer.Scorer` opens; native/saved_forest.cpp reads it.

    The tensors are those of `Forest.arrays`, ``n_nodes`` as int32 and ``route`` only where some
    value is missing to some node. The header's ``features`` is a JSON list of the features' names,
    ``Column_0`` and on where the forest has none: as many as the rows are wide.

    Raises:
        ValueError: if the forest holds no tree.
    """
    if not forest.trees:
        raise ValueError(f"a forest without a tree cannot be written to {path}")
    tensors = forest.arrays()
    tensors["n_nodes"] = tensors["n_nodes"].astype(np.int32)
    if not forest.routes_missing:
        del tensors["route"]
    names = forest.names or [f"Column_{column}" for column in range(forest.n_features)]
    write_tensors(path, tensors, {"format": FORMAT, "features": json.dumps(list(names))})
