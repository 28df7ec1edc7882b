"""How fast LETOR text becomes arrays: this project's native parser against scikit-learn's.

    python benchmarks/parse_letor.py FILE [--repeat N] [--rounds N] [--reference]

FILE is LETOR text, not compressed. Run it from the repository, after `snakemake native`.
scikit-learn is no requirement of the project: make an environment of its own with `pip install
scikit-learn` and run this with its Python; elsewhere its line is left out. Rounds of all readers
are interleaved, each pinned to one core, with the file in the page cache; medians lead, with
quartiles. --repeat reads
FILE so many times over, under new query ids, written to a temporary file first.
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from distilrank.letor import SplitWriter, parse_letor
from distilrank.machine import machine_line
from distilrank.native import parse_blocks


def blocks_of(file: BinaryIO) -> Iterator[bytes]:
    return iter(partial(file.read, 1 << 19), b"")


def native_to_memory(path: Path, n_features: int) -> np.ndarray:
    """The features, labels and query ids as arrays in memory; gives the features.

    Their length is guessed from the file's first documents.
    """
    size = path.stat().st_size
    arrays: list[np.ndarray] = []
    count = 0
    with path.open("rb", buffering=0) as file:
        for rows in parse_blocks(blocks_of(file), path.name, n_features):
            end = count + len(rows[1])
            if not arrays or end > len(arrays[0]):
                guess = int(1.1 * end * size / file.tell()) + len(rows[1])
                grown = [np.empty((guess, *part.shape[1:]), part.dtype) for part in rows]
                for old, new in zip(arrays, grown, strict=False):
                    new[:count] = old[:count]
                arrays = grown
            for array, part in zip(arrays, rows, strict=True):
                array[count:end] = part
            count = end
    return arrays[0][:count]


def native_bare(path: Path, n_features: int) -> None:
    """The parser alone: its rows are dropped."""
    with path.open("rb", buffering=0) as file:
        for _ in parse_blocks(blocks_of(file), path.name, n_features):
            pass


def native_to_disk(path: Path, n_features: int) -> None:
    """As the workflow does it: with the text's sha256, into a split's five files."""
    digest = hashlib.sha256()

    def hashed(blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            digest.update(block)
            yield block

    with (
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
        path.open("rb", buffering=0) as file,
        SplitWriter(folder, n_features) as writer,
    ):
        for rows in parse_blocks(hashed(blocks_of(file)), path.name, n_features):
            writer.add(*rows)


def reference(path: Path, n_features: int) -> np.ndarray:
    with path.open("rb") as file:
        return parse_letor(file, path.name, n_features).features


def scikit_learn(path: Path, n_features: int) -> np.ndarray:
    from sklearn.datasets import load_svmlight_file

    found = load_svmlight_file(
        str(path), n_features=n_features, dtype=np.float32, query_id=True, zero_based=False
    )
    return found[0]


def both_cores(pool: ProcessPoolExecutor, path: Path, n_features: int) -> None:
    """The file twice at once, in two processes."""
    list(pool.map(partial(_on_core, path, n_features), sorted(os.sched_getaffinity(0))[:2]))


def _on_core(path: Path, n_features: int, core: int) -> None:
    os.sched_setaffinity(0, {core})
    native_to_memory(path, n_features)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def repeated(path: Path, times: int, folder: str) -> Path:
    """``path`` so many times over, each under query ids of its own."""
    text, large = path.read_bytes(), Path(folder, "repeated.txt")
    with large.open("wb") as file:
        for turn in range(times):

            def renamed(found: re.Match[bytes], first: int = turn * 10**9) -> bytes:
                return b"qid:%d" % (first + int(found[1]))

            file.write(re.sub(rb"qid:(\d+)", renamed, text))
    return large


def measure(path: Path, n_features: int, rounds: int, with_reference: bool) -> None:
    readers: dict[str, Callable[..., object]] = {
        "native": native_to_memory,
        "native, rows dropped": native_bare,
        "native, sha256, to disk": native_to_disk,
    }
    try:
        import sklearn

        readers[f"scikit-learn {sklearn.__version__}"] = scikit_learn
        same = np.array_equal(
            scikit_learn(path, n_features).toarray(), native_to_memory(path, n_features)
        )
        print(f"scikit-learn's float32 features equal ours: {same}")
    except ImportError:
        print("scikit-learn is not installed here: left out")
    if with_reference:
        readers["the Python reference"] = reference
    cores = sorted(os.sched_getaffinity(0))
    taken: dict[str, list[float]] = {name: [] for name in [*readers, "native, two at once"]}
    with ProcessPoolExecutor(2) as pool:
        both_cores(pool, path, n_features)
        for _ in range(rounds):
            os.sched_setaffinity(0, {cores[0]})
            for name, reader in readers.items():
                taken[name].append(seconds(partial(reader, path, n_features)))
            os.sched_setaffinity(0, set(cores))
            taken["native, two at once"].append(
                seconds(partial(both_cores, pool, path, n_features)) / 2
            )
    show(path, taken)


def show(path: Path, taken: dict[str, list[float]]) -> None:
    size = path.stat().st_size / 1e6
    ours = np.median(taken["native"])
    print(f"\n{size:.1f} MB; MB/s: median [quartiles]; rounds: {len(taken['native'])}\n")
    print("| reader | MB/s | quartiles | native is faster by |\n|---|---|---|---|")
    for name, samples in taken.items():
        low, middle, high = np.percentile(size / np.array(samples), [25, 50, 75])
        ratio = np.median(samples) / ours
        print(f"| {name} | {middle:.0f} | {low:.0f} to {high:.0f} | {ratio:.2f} |")
    print(f"\n{machine_line()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--features", type=int, default=136)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--reference", action="store_true", help="the slow Python parser too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file
        if options.repeat > 1:
            path = repeated(path, options.repeat, folder)
        measure(path, options.features, options.rounds, options.reference)


if __name__ == "__main__":
    main()
