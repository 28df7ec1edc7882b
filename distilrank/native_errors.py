"""How far the native scorer's time model is off: across the fit, and on what it never saw."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distilrank.calibration import Sample
from distilrank.forest_times import ForestSample
from distilrank.native_fit import BATCH_CLASSES, batch_class, fit_native, step_times
from distilrank.native_net import BLOCK, Geometry, pieces
from distilrank.planned import NativeTimes
from distilrank.steps import steps

FOLDS = 5


def cross_validated(
    samples: Sequence[Sample], geometries: Mapping[str, Geometry]
) -> list[tuple[Sample, list[tuple[str, float]]]]:
    """Each sample of the part ``fit`` with its steps by a fit that its network is left out of.

    Raises:
        ValueError: if there are too few networks for that.
    """
    own = [sample for sample in samples if sample.part == "fit"]
    names = sorted({sample.name for sample in own})
    if len(names) < FOLDS:
        raise ValueError(
            f"{len(names)} networks are too few to fit on; raise networks under calibration: in "
            "the config"
        )
    fold_of = dict(
        zip(names, np.random.default_rng(0).permutation(len(names)) % FOLDS, strict=True)
    )
    made = []
    for fold in range(FOLDS):
        kept = [sample for sample in own if fold_of[sample.name] != fold]
        model = fit_native(kept, geometries)
        made += [(s, model.steps(s.net, s.batch)) for s in own if fold_of[s.name] == fold]
    return made


def intervals(
    predicted: Sequence[tuple[Sample, float]],
) -> dict[str, dict[str, tuple[float, float]]]:
    """5th and 95th percentile of measured over predicted time, by precision and class of batch."""
    found: dict[tuple[str, str], list[float]] = {}
    for sample, time in predicted:
        for of in (batch_class(sample.batch), "any"):
            found.setdefault((sample.net.precision, of), []).append(sample.median / time)
    made: dict[str, dict[str, tuple[float, float]]] = {}
    for (precision, of), ratios in found.items():
        low, high = np.quantile(ratios, [0.05, 0.95])
        # What was predicted is always inside, even where all errors have one sign.
        made.setdefault(precision, {})[of] = min(float(low), 1.0), max(float(high), 1.0)
    for own in made.values():
        for name in BATCH_CLASSES:
            own.setdefault(name, own["any"])
    return made


def network_lines(times: NativeTimes, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Networks that no fit saw, microseconds a call: ``measured`` and ``predicted``."""
    return [
        {
            "engine": f"native-{sample.net.precision}",
            "kind": "sparse" if sample.net.layers[0].sparse else "dense",
            "name": sample.name.partition("#")[0],
            "batch": sample.batch,
            "measured": sample.median,
            "predicted": sample.batch * times.of_net(sample.net, sample.batch).total,
        }
        for sample in samples
        if sample.part == "validate"
    ]


def forest_lines(times: NativeTimes, samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Forests that no fit saw, microseconds a call; ``samples`` as the calibration's JSON."""
    return [
        {
            "engine": "native-forest",
            "kind": "forest",
            "name": f"{s.facts.trees} trees of {s.facts.nodes} nodes together",
            "batch": s.batch,
            "measured": s.median,
            "predicted": times.forests.call(s.facts, s.batch),
        }
        for s in map(ForestSample.from_json, samples)
        if s.part == "validate"
    ]


def layer_lines(times: NativeTimes, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Their steps, microseconds a call, with the shape as it ran and how the documents lay."""
    lines, model = [], times.model
    for sample in samples:
        if sample.part != "validate":
            continue
        precision, batch = sample.net.precision, sample.batch
        geometry = model.geometries[precision]
        measured = step_times(sample, model.clocks[precision], geometry)
        counted = steps(sample.net, batch, geometry)
        regime = pieces(batch, precision, geometry)[0].regime
        regimes = {piece.regime for piece in pieces(batch, precision, geometry)}
        predicted = model.steps(sample.net, batch)
        for number, (step, time) in enumerate(zip(counted, measured, strict=True)):
            layer = sample.net.layers[number - 1] if number else None
            lines.append(
                {
                    "engine": f"native-{precision}",
                    "kind": step.group.split()[-2] if layer else "rows",
                    "numbers": step.group.split()[-1],
                    "regime": regime if len(regimes) == 1 else f"{BLOCK}s and a rest",
                    "inputs": layer.depth if layer else sample.net.features,
                    "outputs": layer.outputs if layer else sample.net.features,
                    "nonzeros": layer.nonzeros if layer else 0,
                    "batch": batch,
                    "measured": float(time),
                    "predicted": predicted[number][1],
                    "share": float(time) / sample.median,
                }
            )
    return lines
