"""What a calibration of the native scorer's time measured, and whether the machine was quiet."""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilrank.files import replacing
from distilrank.native_bench import Point
from distilrank.native_net import NativeLayer, NativeNet

COLUMNS = (
    "network", "part", "precision", "batch", "pass", "round", "microseconds", "steps",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One network's calls of one size.

    Attributes:
        name: the network's.
        part: ``fit`` or ``validate``.
        net: as the scorer runs it.
        batch: documents a call.
        whole: (rounds,) microseconds a call, from Python.
        steps: (rounds, 1 + layers) microseconds a call, measured inside: reading the rows, then
            each layer, each with the clock's own cost.
    """

    name: str
    part: str
    net: NativeNet
    batch: int
    whole: np.ndarray
    steps: np.ndarray

    @property
    def point(self) -> Point:
        return self.name, self.net.precision, self.batch

    @property
    def median(self) -> float:
        return float(np.median(self.whole))

    @property
    def spread(self) -> float:
        """The inter-quartile range of the repeats over their median."""
        low, middle, high = np.quantile(self.whole, [0.25, 0.5, 0.75])
        return float((high - low) / middle)


Nets = Mapping[str, Mapping[str, NativeNet]]  # by a network's name and by precision


def samples_of(lines: Iterable[Mapping[str, Any]], nets: Nets) -> list[Sample]:
    """Lines of `COLUMNS` as samples; of a point measured in several passes, the quietest."""
    found: dict[tuple, list[Mapping[str, Any]]] = {}
    for line in lines:
        key = (line["network"], line["precision"], int(line["batch"]), int(line["pass"]))
        found.setdefault(key, []).append(line)
    quietest: dict[Point, Sample] = {}
    for (name, precision, batch, _), repeats in found.items():
        steps = [[float(step) for step in line["steps"].split()] for line in repeats]
        sample = Sample(
            name,
            repeats[0]["part"],
            nets[name][precision],
            batch,
            np.array([float(line["microseconds"]) for line in repeats]),
            np.array(steps),
        )
        before = quietest.get(sample.point)
        if before is None or sample.spread < before.spread:
            quietest[sample.point] = sample
    return list(quietest.values())


def wide_points(samples: Iterable[Sample], most: float) -> list[Point]:
    """Points whose repeats spread beyond ``most`` (a share of their median), widest first."""
    wide = [sample for sample in samples if sample.spread > most]
    return [sample.point for sample in sorted(wide, key=lambda sample: -sample.spread)]


def check_quiet(wide: Sequence[Point], count: int, settings: Mapping[str, Any]) -> None:
    """Refuse a calibration that was measured on a busy machine.

    Args:
        wide: what still spreads after it was measured again.
        count: all points.
        settings: the config's ``calibration`` section.

    Raises:
        ValueError: if more than ``busy_share`` of the points spread beyond ``spread``.
    """
    if len(wide) > settings["busy_share"] * count:
        name, precision, batch = wide[0]
        raise ValueError(
            f"measured on a busy machine: {len(wide)} of {count} points spread by more than "
            f"{settings['spread']:.0%} of their median in {settings['passes']} passes, worst of "
            f"all network {name} in {precision} at batch {batch}; end what else runs and "
            "calibrate again, or raise busy_share under calibration: in the config"
        )


def write_samples(path: str | os.PathLike, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write lines of `COLUMNS` as CSV."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)


def read_samples(path: str | os.PathLike, context: Mapping[str, Any]) -> list[Sample]:
    """The samples of a calibration.

    Args:
        path: the CSV file.
        context: the JSON beside it.

    Raises:
        ValueError: if the file holds no sample, or a network that the context has not.
    """
    nets = nets_from_json(context["networks"])
    with Path(path).open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    unknown = {line["network"] for line in lines} - set(nets)
    if not lines or unknown:
        what = (
            f"network {min(unknown)}, which is not in the file beside it" if unknown else "no time"
        )
        raise ValueError(f"{path} holds {what}; delete it and run again")
    return samples_of(lines, nets)


def nets_as_json(nets: Nets) -> dict[str, Any]:
    """Networks as plain objects."""
    return {
        name: {precision: asdict(net) for precision, net in own.items()}
        for name, own in nets.items()
    }


def nets_from_json(content: Mapping[str, Any]) -> dict[str, dict[str, NativeNet]]:
    """What `nets_as_json` gave."""
    return {
        name: {
            precision: NativeNet(
                net["features"],
                tuple(NativeLayer(**layer) for layer in net["layers"]),
                net["precision"],
            )
            for precision, net in own.items()
        }
        for name, own in content.items()
    }
