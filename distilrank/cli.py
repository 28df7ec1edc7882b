"""Commands for people outside the workflow: ``distilrank score``, ``distilrank predict-time``.

Exit status 0: done. 1: the compared results differ. 2: something given is wrong, or a file is
missing. 3: the times printed were calibrated on another machine, or with another build of the
native library, than this one's.

Scoring needs NumPy alone, so what predicting needs is imported when it is asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from distilrank.compare import KINDS, Comparison, compare_results
from distilrank.files import write_text
from distilrank.machine import fingerprint
from distilrank.native import find_library, library_version, parse_blocks
from distilrank.scorer import PRECISIONS, Scorer

if TYPE_CHECKING:
    from distilrank.planned import Estimate, NativeTimes

DONE, DIFFERENT, WRONG, ELSEWHERE = 0, 1, 2, 3
CALIBRATION = Path("results", "predictor", "native.json")
_CALIBRATE = "'snakemake results/predictor/native.json'"
_EXAMPLE = "136-200-100-1"
_STATUSES = (
    "exit status: 0 predicted for this machine; 2 a wrong argument, or no calibration; 3 predicted "
    "from the calibration of another machine or of another build of the native library"
)
_BLOCK = 1 << 19


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(
            f"error: this command needs the package {error.name}, which is not installed; run it "
            "in the project's environment",
            file=sys.stderr,
        )
    return WRONG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="distilrank", description="Distilled ranking networks.")
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_score(commands)
    _add_predict(commands)
    _add_compare_results(commands)
    return parser


def _add_score(commands: argparse._SubParsersAction) -> None:
    score = commands.add_parser(
        "score",
        help="score the documents of a LETOR file",
        description="Score the documents of a LETOR file: one score a line, in the file's order.",
        epilog="exit status: 0 scored; 2 a wrong argument, or a file that is missing or wrong",
    )
    score.add_argument(
        "--model", required=True, metavar="FILE",
        help="a network or forest that distilrank saved (model.safetensors), or a forest as "
        "LightGBM text",
    )  # fmt: skip
    score.add_argument(
        "--data", required=True, type=Path, metavar="FILE",
        help="lines of 'label qid:Q id:value id:value ...'; labels and queries do not count",
    )  # fmt: skip
    score.add_argument(
        "--output", type=Path, metavar="FILE", help="where the scores go; printed if not given"
    )
    score.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="of networks; fp32 if not given"
    )
    score.set_defaults(run=_score)


def _add_predict(commands: argparse._SubParsersAction) -> None:
    predict = commands.add_parser(
        "predict-time",
        help="what a network that need not exist would take on this machine",
        description="Predict what the native scorer takes for a network, layer by layer, from the "
        "stored calibration of this machine. The network need not exist.",
        epilog=_STATUSES,
    )
    predict.add_argument(
        "--arch", required=True, help=f"widths from features to the one output, such as {_EXAMPLE}"
    )
    predict.add_argument(
        "--sparsity", type=float, default=0.0, metavar="SHARE",
        help="the first layer's share of zeros, such as 0.98; dense if not given",
    )  # fmt: skip
    predict.add_argument(
        "--precision", choices=("fp32", "bf16", "int8"), default="fp32", help="fp32 if not given"
    )
    predict.add_argument(
        "--batch", type=int, default=256, metavar="DOCUMENTS", help="documents a call; 256"
    )
    predict.add_argument(
        "--calibration", type=Path, default=CALIBRATION, metavar="FILE",
        help=f"what the workflow calibrated; {CALIBRATION} of this folder if not given",
    )  # fmt: skip
    predict.set_defaults(run=_predict_time)


def _add_compare_results(commands: Any) -> None:
    compare = commands.add_parser(
        "compare-results",
        help="whether two results folders hold the same models and metrics",
        description="Compare two results folders byte by byte: " + ", ".join(KINDS) + ". Times, "
        "and what follows from them, are left out.",
        epilog="exit status: 0 the same; 1 they differ; 2 a folder without results",
    )
    compare.add_argument("first", type=Path, help="a results folder, or one that holds 'results'")
    compare.add_argument("second", type=Path, help="another one")
    compare.set_defaults(run=_compare_results)


def _compare_results(options: argparse.Namespace) -> int:
    found = compare_results(options.first, options.second)
    print("\n".join(line for each in found for line in _differences_of(each, options)))
    return DONE if all(each.same for each in found) else DIFFERENT


def _differences_of(found: Comparison, options: argparse.Namespace) -> list[str]:
    """A line for the kind, and one for each file that is not the same in both."""
    counted = [f"{found.equal} files the same"] + [
        f"{len(files)} {what}"
        for files, what in (
            (found.differing, "different"),
            (found.missing, f"only in {options.first}"),
            (found.added, f"only in {options.second}"),
        )
        if files
    ]
    named = [
        *(f"  {file} differs" for file in found.differing),
        *(f"  {file} is only in {options.first}" for file in found.missing),
        *(f"  {file} is only in {options.second}" for file in found.added),
    ]
    return [f"{found.kind:<8} {', '.join(counted)}", *named]


def _score(options: argparse.Namespace) -> int:
    with Scorer(options.model, precision=options.precision) as scorer:
        scores, used = score_letor(scorer, options.data)
    # All of them or none: a mistake in the last line leaves nothing behind.
    text = "".join(f"{score:.9g}\n" for score in scores.tolist())
    if options.output:
        write_text(options.output, text)
    else:
        print(text, end="")
    if used < scorer.n_features:
        print(
            f"warning: the last feature of {options.data} that is not 0 everywhere is {used}, and "
            f"the model has {scorer.n_features}; is it a model of other features?",
            file=sys.stderr,
        )
    return DONE


def score_letor(scorer: Scorer, path: Path) -> tuple[np.ndarray, int]:
    """Score a LETOR file's documents.

    Returns:
        (documents,) float32 scores in the file's order, and the highest feature id whose value is
        not 0 in every document.

    Raises:
        ValueError: if there is no file; or names the line and what is wrong with it.
        OSError: if the file cannot be read.
    """
    if not path.exists():
        raise ValueError(f"there is no file {path}, which --data names")
    found, used = [], np.zeros(scorer.n_features, bool)
    with path.open("rb") as file:
        blocks = parse_blocks(_blocks(file), str(path), scorer.n_features, returning=True)
        for rows, _, _ in blocks:
            found.append(scorer.score(rows))
            used |= rows.any(axis=0)
    return np.concatenate(found), int(np.flatnonzero(used).max(initial=-1)) + 1


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _predict_time(options: argparse.Namespace) -> int:
    from distilrank.planned import NativeTimes

    widths = parse_architecture(options.arch)
    if not 0 <= options.sparsity < 1:
        raise ValueError(
            f"--sparsity is {options.sparsity:g}, expected a share from 0 to below 1: 98 % zeros "
            "are 0.98"
        )
    if options.batch < 1:
        raise ValueError(f"--batch is {options.batch}, expected documents a call from 1")
    if not options.calibration.is_file():
        raise ValueError(
            f"there is no calibration {options.calibration}: run {_CALIBRATE} in the project's "
            "folder, which calibrates this machine, or name one with --calibration"
        )
    times = NativeTimes.read(options.calibration)
    estimate = times.estimate(widths, options.sparsity, options.precision, options.batch)
    zeros = f"{100 * options.sparsity:.3g} % zeros" if options.sparsity else "dense"
    print(f"{options.arch}, first layer {zeros}, {options.precision}, batch {options.batch}")
    print("\n".join(_lines(estimate)))
    print(f"calibrated on machine {_called(times.machine)}")
    warnings = differences(times)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return ELSEWHERE if warnings else DONE


def parse_architecture(text: str) -> list[int]:
    """The widths of an architecture such as ``136-200-100-1``, features first.

    Raises:
        ValueError: if it is none; says what is wrong with it.
    """
    parts = text.split("-")
    wrong = next((part for part in parts if not (part.isascii() and part.isdigit())), None)
    here = f"--arch is '{text}'"
    if wrong is not None or len(parts) < 2:
        found = f", and '{wrong}' is no width" if wrong and len(parts) > 1 else ""
        raise ValueError(
            f"{here}{found}: expected widths from features to output, such as {_EXAMPLE}"
        )
    widths = [int(part) for part in parts]
    if 0 in widths:
        raise ValueError(f"{here}, and no layer can have 0 outputs")
    if widths[-1] != 1:
        raise ValueError(f"{here}, and a ranking network ends in one output: {text}-1?")
    return widths


def differences(times: NativeTimes) -> list[str]:
    """How the calibration's machine and library differ from this one's; a sentence each."""
    here = fingerprint()
    found = []
    if times.machine.get("id") != here["id"]:
        found.append(
            f"the calibration is another machine's, {_called(times.machine)}; this one is "
            f"{_called(here)}. Its times say little about this one: delete results/calibration "
            f"and run {_CALIBRATE} here"
        )
    if times.library and _built() not in (None, times.library):
        found.append(
            "the native library is another build than the calibrated one; its times may differ: "
            f"run {_CALIBRATE}"
        )
    return found


def _built() -> dict[str, Any] | None:
    """The native library's version; None where there is none, which a prediction does not need."""
    try:
        return library_version(find_library())
    except OSError:
        return None


def _called(machine: dict[str, Any]) -> str:
    return f"{machine.get('id', '?')} ({machine.get('cpu', 'unknown processor')})"


def _lines(estimate: Estimate) -> list[str]:
    """A line a step, the total with its interval last; microseconds a document."""
    steps = [*estimate.steps, ("total", estimate.total)]
    width = max(len(name) for name, _ in steps)
    lines = [f"  {name:<{width}}  {time:8.4f} us/doc" for name, time in steps]
    lines[-1] += f", {estimate.low:.4f} to {estimate.high:.4f}"
    return lines
