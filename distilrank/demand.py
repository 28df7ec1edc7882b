"""What a job asks a cluster for: memory and run time by the size of its data set."""

from collections.abc import Mapping
from typing import Any

# Where a data set's entry does not tell.
DOCUMENTS, FEATURES = 1_000_000, 200
_BYTES = 4  # a float32


def data_mb(dataset: Mapping[str, Any]) -> float:
    """The features of all splits of a fold in memory, in MB.

    Args:
        dataset: the catalogue's entry; a generated data set tells its documents by ``generate``.
    """
    documents = dataset.get("documents", DOCUMENTS)
    if "generate" in dataset:
        made = dataset["generate"]
        documents = sum(made["queries"].values()) * made["documents_per_query"]
    return documents * dataset.get("features", FEATURES) * _BYTES / 1e6


def demand(least: float, per_mb: float, size: float, attempt: int) -> int:
    """``least`` and ``per_mb`` for each of the data set's ``size`` MB, doubled at each new try.

    Args:
        least, per_mb: memory in MB, or run time in minutes.
        attempt: 1 at the first try.
    """
    return round((least + per_mb * size) * 2 ** (attempt - 1))
