"""List the architectures that keep to each time budget, from the calibration alone."""

from distilrank.job import job

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from distilrank.capacity import Capacity, Trained, learn
from distilrank.design import Design, designs, plan_all, space_of
from distilrank.files import read_json, write_json, write_text
from distilrank.planned import NativeTimes

StrPath = str | os.PathLike
_SHOWN = 3
_LISTED = (
    *("rank", "name", "architecture", "sparsity", "precision", "engine"),
    *("predicted", "low", "high", "bound"),
    *("parameters", "multiply_adds", "capacity", "vali_ndcg"),
)


def design_students(
    times: StrPath,
    quality: Sequence[StrPath],
    students: StrPath,
    listed: StrPath,
    ranked: Sequence[StrPath],
    *,
    machine: str,
    dataset: str,
    features: int,
    design: Mapping[str, Any],
) -> None:
    """Write the designs of one data set.

    Args:
        times: ``predictor/native.json``, the calibration.
        quality: quality files of trained students, whose vali split tells about capacity.
        students: the YAML file of hidden widths by name, in the catalogue's form.
        listed: the JSON file of everything that is known of each design.
        ranked: one CSV file a budget.
        machine: id of the machine that the designs are for.
        features: the data set's.
        design: the config's section.

    Raises:
        ValueError: if the calibration is another machine's, or nothing keeps to a budget.
    """
    calibrated = NativeTimes.read(times)
    _check_machine(calibrated.machine, machine, times)
    capacity = learn([Trained.of(read_json(path)) for path in quality])
    logging.info("capacity: exponent %g, %s", capacity.exponent, capacity.why)
    space, batch = space_of(design), design["batch"]
    plans = plan_all(space, features, calibrated, batch, design["margin"], capacity)
    made: list[Design] = []
    for budget, path in zip(design["budget_us"], ranked, strict=True):
        chosen = designs(plans, budget)
        lines = [{"name": each.name, **each.as_json(capacity)} for each in chosen]
        write_text(path, pd.DataFrame(lines, columns=_LISTED).to_csv(index=False))
        _tell(chosen, budget, sum(plan.bound <= budget for plan in plans), len(plans))
        made += chosen
    write_json(
        listed,
        {
            "machine": calibrated.machine,
            "dataset": dataset,
            "features": features,
            "settings": dict(design),
            "candidates": len(plans),
            "capacity": _as_json(capacity, quality),
            "designs": {each.name: each.as_json(capacity) for each in made},
        },
    )
    widths = {each.name: list(each.plan.candidate.widths) for each in made}
    head = f"# Designed for {dataset} ({features} features) on machine {machine}; docs/design.md.\n"
    text = yaml.safe_dump({"students": widths}, default_flow_style=None, sort_keys=False)
    write_text(students, head + text)


def _check_machine(found: Mapping[str, Any], wanted: str, path: StrPath) -> None:
    if found.get("id") != wanted:
        raise ValueError(
            f"{path} was calibrated on machine {found.get('id')} ({found.get('cpu', 'unknown')}) "
            f"and the designs are for {wanted}: calibrate there, with 'make report "
            f"ARGS=\"--forcerun calibrate\"', or set design.machine to '{found.get('id')}' if "
            "times are measured there"
        )


def _tell(chosen: Sequence[Design], budget: float, fitting: int, of: int) -> None:
    """The best few, in the log and on the console: what whoever asks for designs wants to see."""
    lines = [f"{budget:g} us a document: {fitting:,} of {of:,} architectures keep to it"]
    for each in chosen[:_SHOWN]:
        plan, candidate = each.plan, each.plan.candidate
        zeros = f"{100 * candidate.sparsity:.3g} % zeros" if candidate.sparsity else "dense"
        lines.append(
            f"  {each.name}: {plan.architecture}, {zeros}, {candidate.precision}, "
            f"{plan.estimate.total:.3g} us ({plan.estimate.low:.3g} to {plan.estimate.high:.3g})"
        )
    for line in lines:
        logging.info("%s", line)
    print("\n".join(lines))


def _as_json(capacity: Capacity, quality: Sequence[StrPath]) -> dict[str, Any]:
    learnt = capacity.slope == capacity.slope
    line = {"exponent": capacity.exponent, "why": capacity.why, "from": list(map(str, quality))}
    if learnt:
        line |= {name: getattr(capacity, name) for name in ("intercept", "slope", "error")}
    return line


if __name__ == "__main__":
    with job(snakemake.log[0]):
        meta = [Path(path) for path in snakemake.input.get("meta", [])]
        design_students(
            snakemake.input.times,
            snakemake.input.quality,
            snakemake.output.students,
            snakemake.output.designs,
            snakemake.output.ranked,
            machine=snakemake.wildcards.machine,
            dataset=snakemake.wildcards.dataset,
            features=snakemake.params.features or read_json(meta[0])["features"],
            design=snakemake.params.design,
        )
