"""How the benchmarks that measure, print and keep samples are run from the command line."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parser(about: str) -> argparse.ArgumentParser:
    """With the options that all have: where data and forests lie, and where samples go."""
    made = argparse.ArgumentParser(description=about.splitlines()[0])
    made.add_argument("--data", type=Path, default=Path("results/data/mslr-sample/fold1"))
    made.add_argument("--cache", type=Path, default=Path("results/benchmarks-cache"))
    made.add_argument("--output", type=Path, help="a JSON file for all samples")
    return made


def run(arguments: argparse.ArgumentParser, measure: Callable[[argparse.Namespace], Any]) -> None:
    """Measure with what the command line says, keep the samples, and say how long it took."""
    options = arguments.parse_args()
    started = time.perf_counter()
    found = measure(options)
    if options.output:
        options.output.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"\ntook {time.perf_counter() - started:.0f} s")
