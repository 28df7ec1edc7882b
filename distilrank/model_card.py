"""The page that goes with an exported model: what it is, how well it ranks, how fast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from distilrank.judge import NDCG, measure_of
from distilrank.rounding import fixed, interval, p_text, percent, quartiles, significant, whole

Json = Mapping[str, Any]
# Of all engines that were timed, those that the exported files are scored with.
_SHIPPED = ("native-forest", "native-fp32", "native-bf16", "native-int8", "onnxruntime")
_METRICS = {
    "ndcg@1": "nDCG@1",
    "ndcg@5": "nDCG@5",
    "ndcg@10": "nDCG@10",
    "map": "MAP",
    "mrr": "MRR",
    # Of data without labels.
    "overlap@10": "Top 10 shared with its forest",
    "kendall_tau": "Kendall's tau with its forest",
}


@dataclass(frozen=True)
class Facts:
    """What a card tells; the files' contents are those of docs/files.md.

    Attributes:
        dataset: the data set's ``title`` and, where the config has them, ``page`` and ``terms``.
        settings: the config's entry that the model was made by: a student's recipe, or a forest's.
        quality: the model's quality file.
        teacher: that of the forest that a student learnt from or is compared with; None for a
            forest.
        timing: the model's timing file; None where it was not timed.
        splits: each split's ``meta.json``.
    """

    dataset: Json
    settings: Json
    quality: Json
    teacher: Json | None
    timing: Json | None
    splits: Mapping[str, Json]

    @property
    def model(self) -> Json:
        return self.quality["model"]


def told_settings(settings: Json, record: Json) -> Json:
    """A forest's entry as a card tells it: an own file by its name and sha256, not by its path.

    Args:
        settings: the config's entry.
        record: the forest's ``train.json``.
    """
    imported = record.get("imported")
    if imported is None:
        return settings
    rest = {key: value for key, value in settings.items() if key != "path"}
    return {key: imported[key] for key in ("file", "sha256", "format")} | rest


def model_card(facts: Facts) -> str:
    """The card, in Markdown."""
    parts = [
        _what(facts), _data(facts), _ranking(facts), _times(facts), _unused(facts), _made(facts)
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _what(facts: Facts) -> str:
    model = facts.model
    about = (
        "It takes the features of a query's documents and gives each a score, by which they are "
        "ranked, the highest first. Scores of different queries do not compare."
    )
    if model["kind"] == "forest":
        return (
            f"# Forest {model['teacher']} for {facts.dataset['title']}\n\n"
            f"An additive forest of {_trees(model)}. {about}"
        )
    taught = facts.settings.get("distil", {}).get("learn_from") != "labels"
    origin = (
        f"distilled from the forest {model['teacher']} ({_trees(facts.teacher['model'])})"
        if taught and facts.teacher
        else "trained on the labels, without a teacher"
    )
    zeros = ", ".join(percent(share) for share in model["layer_sparsity"])
    return (
        f"# Network {model['student']} for {facts.dataset['title']}\n\n"
        f"A network of {model['architecture']} neurons, ReLU6 between the layers, {origin} with "
        f"the recipe {model['recipe']}, seed {model['seed']}. Zeros among each layer's weights: "
        f"{zeros} %.{_tuned(model)} {about}"
    )


def _trees(model: Json) -> str:
    return f"{whole(model['trees'])} trees of at most {whole(model['max_leaves'])} leaves"


def _tuned(model: Json) -> str:
    if model.get("precision") != "int8":
        return ""
    return " It was fine-tuned for int8, and is scored in fp32 as well."


def _data(facts: Facts) -> str:
    dataset = facts.dataset
    lines = [
        f"| {name} | {whole(meta['documents'])} | {whole(meta['queries'])} |"
        for name, meta in facts.splits.items()
    ]
    terms = dataset.get("terms") or "the config names none; ask whoever gave you the data"
    return "\n".join(
        [
            "## Data",
            "",
            f"{dataset['title']}, fold {facts.model['fold']}. {dataset.get('page', '')}".rstrip(),
            "",
            f"Terms of the data: {terms}.",
            "",
            "| split | documents | queries |",
            "|---|---|---|",
            *lines,
        ]
    )


def _ranking(facts: Facts) -> str:
    splits = facts.quality["splits"]
    found = {name for split in splits.values() for name in split["metrics"]}
    names = [*(name for name in _METRICS if name in found), *sorted(found - set(_METRICS))]
    heading = "| split | " + " | ".join(_METRICS.get(name, name) for name in names) + " |"
    lines = [
        f"| {split} | "
        + " | ".join(fixed(content["metrics"].get(name, {}).get("mean"), 4) for name in names)
        + " |"
        for split, content in splits.items()
    ]
    conventions = "; ".join(f"{name}: {value}" for name, value in _conventions(facts))
    return "\n".join(
        [
            "## How well it ranks", "", heading, "|---" * (len(names) + 1) + "|", *lines,
            "", f"Conventions: {conventions}.", *_against(facts),
        ]
    )  # fmt: skip


def _conventions(facts: Facts) -> list[tuple[str, Any]]:
    named = facts.quality.get("conventions", {})
    labelled = measure_of(facts.quality["splits"]["test"]["metrics"]) is NDCG
    return [
        (name.replace("_", " "), value)
        for name, value in named.items()
        # The others are about labels.
        if labelled or name == "ties"
    ]


def _against(facts: Facts) -> list[str]:
    """The test against the forest, a paragraph a split."""
    lines = []
    for split, found in facts.quality.get("against_teacher", {}).items():
        if "p_value" not in found or facts.teacher is None:
            continue
        metric = found["metric"]
        forest = facts.teacher["splits"][split]["metrics"][metric]["mean"]
        lines += [
            "",
            f"On {split} the forest {facts.model['teacher']} has {_METRICS.get(metric, metric)} "
            f"{fixed(forest, 4)}: a difference of {fixed(found['difference'], 4, sign=True)}, 95 % "
            f"interval {interval(*found['interval'])}, p = {p_text(found['p_value'])} (Fisher's "
            f"randomisation test, {whole(found['permutations'])} sign patterns, "
            f"{whole(found['queries'])} queries).",
        ]
    return lines


def _times(facts: Facts) -> str:
    heading = "## How fast it is\n\n"
    if facts.timing is None:
        return heading + (
            "This model was not timed: the workflow times the first fold and seed, and no network "
            "that learnt from labels. A model of the same shape and sparsity takes as long."
        )
    own = [line for line in facts.timing["measurements"] if line["of"] == "model"]
    batches = sorted({line["batch"] for line in own})
    rows = [
        f"| {engine} | " + " | ".join(_time(own, engine, batch) for batch in batches) + " |"
        for engine in _SHIPPED
        if any(line["engine"] == engine for line in own)
    ]
    machine, settings = facts.timing["machine"], facts.timing["settings"]
    exact = " The quality above is that of fp32." if facts.model["kind"] == "network" else ""
    return heading + "\n".join(
        [
            "Microseconds a document by documents a call: the median, and the quartiles, of "
            f"{settings['rounds']} rounds on one thread.{exact}",
            "",
            "| engine | " + " | ".join(map(str, batches)) + " |",
            "|---" * (len(batches) + 1) + "|",
            *rows,
            "",
            f"Machine {machine['id']}: {machine['cpu']}, {machine['cores']} cores"
            f"{', virtual' if machine.get('virtual') else ''}; {', '.join(machine['flags'])}.",
        ]
    )


def _time(own: Sequence[Json], engine: str, batch: int) -> str:
    for line in own:
        if (line["engine"], line["batch"]) == (engine, batch):
            return f"{significant(line['median'])} ({quartiles(line['q1'], line['q3'])})"
    return "–"


def _unused(facts: Facts) -> str:
    use = facts.quality["feature_use"]
    names = facts.splits["test"].get("feature_names") or [""] * len(use)
    unused = [
        f"{number} ({name})" if name else str(number)
        for number, (count, name) in enumerate(zip(use, names, strict=True), start=1)
        if not count
    ]
    said = "; ".join(unused) or "none"
    return (
        f"## Features it does not read\n\n{len(unused)} of {len(use)}, counted from 1; rows have "
        f"them all the same: {said}."
    )


def _made(facts: Facts) -> str:
    settings = yaml.safe_dump(
        dict(facts.settings), sort_keys=False, default_flow_style=None, width=1000
    )
    return f"## Settings it was made with\n\n```yaml\n{settings}```"
