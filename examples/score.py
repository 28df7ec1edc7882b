"""Score the documents of a text file, one a line: features in order, separated by commas.

    python score.py model.safetensors rows.csv

prints the scores. It needs NumPy and the package distilrank: installed, or the folder beside it.
"""

import sys

import numpy as np

import distilrank


def main(model: str, rows: str) -> None:
    with distilrank.Scorer(model) as scorer:
        for score in scorer.score(np.loadtxt(rows, np.float32, delimiter=",", ndmin=2)):
            print(f"{score:.9g}")


if __name__ == "__main__":
    main(*sys.argv[1:])
