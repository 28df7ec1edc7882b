"""Predicted against measured time: layers held out of the fit, and the students themselves."""

from distilrank.job import job

import logging
import os
from collections.abc import Iterable
from typing import Any

from distilrank.calibration import read_samples as read_calibration
from distilrank.files import read_json, write_json
from distilrank.identity import model_identity
from distilrank.machine import check_one
from distilrank.native import choose_library, library_version
from distilrank.native_errors import forest_lines, layer_lines, network_lines
from distilrank.planned import NativeTimes
from distilrank.predictor import (
    STEPS,
    Predictor,
    Sample,
    network_time,
    read_samples,
    relative_errors,
)
from distilrank.student import Student

_UNITS = {
    "layers": "microseconds a call",
    "steps": "microseconds a call",
    "students": "microseconds a document",
}


def validate_predictor(
    dense_path: str | os.PathLike,
    sparse_path: str | os.PathLike,
    kernel_paths: Iterable[str | os.PathLike],
    timing_paths: Iterable[str | os.PathLike],
    student_paths: Iterable[str | os.PathLike],
    output: str | os.PathLike,
    native: tuple[str | os.PathLike, str | os.PathLike, str | os.PathLike] | None = None,
) -> None:
    """Write ``predictor/validation.json``.

    Args:
        dense_path, sparse_path: the fitted predictors.
        kernel_paths: the sweep's CSV files, dense and sparse; only held-out layers are looked at.
        timing_paths: timing files; those of forests and of networks without a student file are
            passed over.
        student_paths: the students' safetensors files.
        output: the JSON file to write.
        native: ``predictor/native.json`` and its calibration's CSV and JSON, if there is one.

    Raises:
        ValueError: if the sweeps and the students were timed on different machines, or the native
            scorer was calibrated in another version.
    """
    contents = {"dense": read_json(dense_path), "sparse": read_json(sparse_path)}
    predictors = {kind: Predictor.from_json(content) for kind, content in contents.items()}
    timings = {str(path): read_json(path) for path in timing_paths}
    sweeps = dict(zip(contents, map(str, kernel_paths), strict=True))
    times = NativeTimes.read(native[0]) if native else None
    measured = {path: content["machine"] for path, content in timings.items()}
    measured |= {path: contents[kind]["machine"] for kind, path in sweeps.items()}
    if native and times:
        measured[str(native[1])] = times.machine
        times.check_library(library_version())
    machine = check_one(measured)
    layers, steps = _held_out(sweeps.values(), predictors)
    students = _students(timings.values(), student_paths, predictors, times)
    accuracy = _accuracy(layers, steps, students)
    for line in accuracy:
        logging.info("%s", line)
    write_json(
        output,
        {
            "machine": machine,
            "units": _UNITS,
            "layers": layers,
            "steps": steps,
            "students": students,
            "accuracy": accuracy,
            "coefficients": {kind: content["kernels"] for kind, content in contents.items()},
            "native": _native(native, times) if native and times else {},
        },
    )


def _native(
    paths: tuple[str | os.PathLike, str | os.PathLike, str | os.PathLike], times: NativeTimes
) -> dict[str, Any]:
    """The networks that no fit saw, microseconds a call, whole and step by step; the costs."""
    context = read_json(paths[2])
    samples = read_calibration(paths[1], context)
    return {
        "batches": context["batches"],
        "networks": network_lines(times, samples),
        "layers": layer_lines(times, samples),
        "forests": forest_lines(times, context["forests"]),
        "costs": {f"native-{name}": costs for name, costs in times.model.as_json()["costs"].items()}
        | {"native-forest": {"call": times.forests.as_json()["costs"]}},
    }


def _held_out(
    sweeps: Iterable[str], predictors: dict[str, Predictor]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The sweeps' lines that no fit saw: of layers, and of the steps beside them."""
    samples = [sample for path in sweeps for sample in read_samples(path)]
    lines = [
        _layer(sample, predictors[sample.kind]) for sample in samples if sample.part == "validate"
    ]
    return (
        [line for line in lines if line["kernel"] not in STEPS],
        [line for line in lines if line["kernel"] in STEPS],
    )


def _layer(sample: Sample, predictor: Predictor) -> dict[str, Any]:
    layer = sample.layer
    return {
        "kernel": sample.kernel,
        "kind": sample.kind,
        "outputs": layer.outputs,
        "inputs": layer.inputs,
        "sparsity": 1 - layer.nonzeros / (layer.outputs * layer.inputs),
        "batch": sample.batch,
        "measured": sample.microseconds,
        "predicted": predictor.layer(sample.kernel, layer, sample.batch),
    }


def _students(
    timings: Iterable[dict[str, Any]],
    student_paths: Iterable[str | os.PathLike],
    predictors: dict[str, Predictor],
    times: NativeTimes | None,
) -> list[dict[str, Any]]:
    """Every measurement of a network on an engine that the predictors cover."""
    students = [(path, Student.load(path)) for path in student_paths]
    known = [(model_identity(path, student), student) for path, student in students]
    lines = []
    for content in timings:
        match = [student for identity, student in known if identity == content["model"]]
        for measured in content["measurements"] if match else []:
            if measured["of"] != "model":
                continue
            line = {name: measured[name] for name in ("engine", "batch")}
            line |= {"model": content["model"], "measured": measured["median"]}
            lines += [line | found for found in _prediction(match[0], line, predictors, times)]
    return lines


def _prediction(
    student: Student,
    line: dict[str, Any],
    predictors: dict[str, Predictor],
    times: NativeTimes | None,
) -> list[dict[str, Any]]:
    """``predicted`` microseconds a document; nothing for an engine that is not covered."""
    engine, batch = line["engine"], line["batch"]
    family, _, precision = engine.partition("-")
    if times and family == "native" and precision in times.precisions:
        estimate = times.of_student(student, precision, batch)
        kind = "sparse" if times.runs_sparse(student, precision) else "dense"
        found = {"predicted": estimate.total, "low": estimate.low, "high": estimate.high}
        return [{"kind": kind, **found}]
    call = network_time(student, engine, batch, predictors["dense"], predictors["sparse"])
    return [] if call is None else [{"predicted": call / batch}]


def _accuracy(
    layers: list[dict[str, Any]], steps: list[dict[str, Any]], students: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Errors by kernel and by engine."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in layers:
        groups.setdefault((f"{line['kind']} layers", line["kernel"]), []).append(line)
    for line in steps:
        groups.setdefault(("reading rows", line["kernel"]), []).append(line)
    for line in students:
        groups.setdefault(("students", line["engine"]), []).append(line)
    return [
        {"what": what, "kernel_or_engine": name}
        | relative_errors(
            [line["predicted"] for line in group], [line["measured"] for line in group]
        )
        for (what, name), group in groups.items()
    ]


if __name__ == "__main__":
    with job(snakemake.log[0]):
        choose_library(snakemake.input.scorer)
        validate_predictor(
            snakemake.input.dense,
            snakemake.input.sparse,
            snakemake.input.kernels,
            snakemake.input.timing,
            snakemake.input.students,
            snakemake.output[0],
            native=(
                snakemake.input.native,
                snakemake.input.samples,
                snakemake.input.context,
            ),
        )
