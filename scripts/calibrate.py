"""Time random networks in the native scorer, to fit its time model on."""

from distilrank.job import job

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from distilrank.blueprints import Blueprint, design, make_network, more_sparse, near
from distilrank.calibration import (
    Sample,
    check_quiet,
    nets_as_json,
    samples_of,
    wide_points,
    write_samples,
)
from distilrank.files import write_json
from distilrank.forest_times import forest_design
from distilrank.machine import fingerprint
from distilrank.native import choose_library, library_version
from distilrank.native_bench import PRECISIONS, Bench, Point
from distilrank.native_fit import fit_native, worst_networks
from distilrank.native_net import Geometry, NativeNet
from distilrank.sweep import FIT

StrPath = str | os.PathLike


class Calibration:
    """All that was measured so far; points whose repeats spread are measured again."""

    def __init__(self, settings: Mapping[str, Any], batches: Sequence[int]) -> None:
        self.settings = settings
        self.bench = Bench(settings, batches)
        self.machine = fingerprint()
        self.blueprints: dict[str, Blueprint] = {}
        self.nets: dict[str, dict[str, NativeNet]] = {}
        self.lines: list[dict[str, Any]] = []
        self.repeated = 0

    def add(self, blueprints: Sequence[Blueprint]) -> None:
        """Measure some networks more."""
        first = self.bench.measure(blueprints)
        self.blueprints |= {blueprint.name: blueprint for blueprint in blueprints}
        geometries = self.geometries
        for blueprint in blueprints:
            student = make_network(blueprint)
            self.nets[blueprint.name] = {
                precision: NativeNet.of_student(student, precision, geometries[precision])
                for precision in PRECISIONS
            }
        self.lines += [line | {"pass": 1} for line in first]
        own = [s for s in self.samples() if s.name in {each.name for each in blueprints}]
        self._measure_again(wide_points(own, self.settings["spread"]), 2)

    def _measure_again(self, wide: Sequence[Point], number: int) -> None:
        """Pass ``number`` of some points."""
        names = {name for name, _, _ in wide}
        again = [blueprint for name, blueprint in self.blueprints.items() if name in names]
        if again:
            logging.info("measured again, since their repeats spread: %s", sorted(wide))
            measured = self.bench.measure(again, set(wide))
            self.lines += [line | {"pass": number} for line in measured]
            self.repeated += len(wide)

    def settle(self) -> list[Point]:
        """Wait out a busy machine: up to ``passes`` passes over what spreads; what does still."""
        most = self.settings["spread"]
        for number in range(3, self.settings["passes"] + 1):
            samples = self.samples()
            wide = wide_points(samples, most)
            if len(wide) <= self.settings["busy_share"] * len(samples):
                break
            self._measure_again(wide, number)
        return wide_points(self.samples(), most)

    def complete(self) -> None:
        """Measure networks with what too few of the fit have to find its costs."""
        for precision, geometry in self.geometries.items():
            fitted = [
                self.nets[name][precision]
                for name, blueprint in self.blueprints.items()
                if blueprint.part == FIT
            ]
            more = more_sparse(fitted, self.settings, precision, geometry, self._free_seed)
            if more:
                logging.info("%d networks more with sparse layers in %s", len(more), precision)
                self.add(more)

    def refine(self) -> None:
        """Measure networks near those that a first fit is furthest off at."""
        count = self.settings["refine"]
        samples = self.samples()
        worst = worst_networks(samples, fit_native(samples, self.geometries), count)
        logging.info("more networks near those that a first fit is furthest off at: %s", worst)
        seed = self._free_seed
        if worst:
            self.add([near(self.blueprints[name], seed + at) for at, name in enumerate(worst)])

    @property
    def _free_seed(self) -> int:
        """One from which on no network has its own."""
        return 1 + max(blueprint.seed for blueprint in self.blueprints.values())

    @property
    def geometries(self) -> dict[str, Geometry]:
        levels = self.bench.levels
        return {name: Geometry.of(levels[name], self.machine) for name in PRECISIONS}

    def samples(self) -> list[Sample]:
        return samples_of(self.lines, self.nets)


def calibrate(
    output: StrPath, context: StrPath, *, settings: Mapping[str, Any], batches: Sequence[int]
) -> None:
    """Write ``calibration/native.csv`` and ``.json``.

    Args:
        output: the CSV file, one line a sample.
        context: the JSON file: machine, library, networks, and which points spread.
        settings: the config's ``calibration`` section.
        batches: documents a call.

    Raises:
        ValueError: if the machine is too busy, or there are too few networks to fit anything on.
        OSError: if the native library is not built.
    """
    start = time.monotonic()
    calibration = Calibration(settings, batches)
    calibration.add(design(settings))
    calibration.complete()
    calibration.refine()
    forests = calibration.bench.measure_forests(forest_design(settings))
    wide = calibration.settle()
    samples = calibration.samples()
    check_quiet(wide, len(samples), settings)
    if wide:
        logging.warning("%d of %d points spread still: %s", len(wide), len(samples), wide)
    write_samples(output, calibration.lines)
    content = {
        "machine": calibration.machine,
        "library": library_version(),
        "levels": calibration.bench.levels,
        "settings": dict(settings),
        "batches": list(batches),
        "clock": "processor time of the thread",
        "seconds": time.monotonic() - start,
        "points": len(samples),
        "repeated": calibration.repeated,
        "busy": [list(point) for point in wide],
        "forests": [asdict(sample) for sample in forests],
        "networks": nets_as_json(calibration.nets),
    }
    write_json(context, content)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        choose_library(snakemake.input.native)
        calibrate(
            snakemake.output.samples,
            snakemake.output.context,
            settings=snakemake.params.calibration,
            batches=snakemake.params.batches,
        )
