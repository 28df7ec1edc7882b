"""Distil forests of regression trees into pruned networks, and measure what that buys.

``distilrank.Scorer("model.safetensors").score(rows)`` scores; all else is in the modules.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Scorer"]


def __getattr__(name: str) -> Any:
    """`Scorer`, imported when it is first asked for: Snakemake reads this file at each start."""
    if name == "Scorer":
        from distilrank.scorer import Scorer

        return Scorer
    raise AttributeError(f"module 'distilrank' has no attribute {name!r}")
