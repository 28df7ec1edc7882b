"""Distil forests of regression trees into pruned networks, and measure what that buys."""

__version__ = "0.1.0"
