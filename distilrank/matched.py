"""The headline: for each forest, the fastest network of equal quality and how much faster it is.

The network is chosen on the validation split and judged on the test split, so that picking the
best of many networks does not flatter the one that is picked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from distilrank.judge import NDCG, Measure
from distilrank.results import Key, Quality, Timing
from distilrank.significance import (
    Comparison,
    compare,
    paired_differences,
    queries_to_detect,
    untested,
)

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Rules:
    """How networks are matched.

    Attributes:
        batch: documents a call at which times are compared.
        margin: the largest loss of mean nDCG@10 that still counts as equal quality.
        overlap_margin: the same on data without labels: what a network's mean overlap of the top
            10 with its forest may lack of 1.
        permutations, seed: of the randomisation test; every pair gets the same seed, so a pair
            has one p-value wherever it is shown.
    """

    batch: int
    margin: float
    permutations: int = 10_000
    seed: int = 0
    overlap_margin: float = 0.1

    def margin_of(self, measure: Measure) -> float:
        """The largest loss that still counts as equal quality."""
        return self.margin if measure is NDCG else self.overlap_margin

    def compare(self, model: Quality, other: Quality, split: str = "test") -> Comparison:
        """``model`` against ``other`` on their measure, each query's mean over seeds.

        Without labels a forest is what its students are held to, and differs by no chance.
        """
        pair = _paired(model, other, split)
        if other.key.is_forest and other.measure is not NDCG:
            return untested(paired_differences(*pair))
        return compare(*pair, np.random.default_rng(self.seed), self.permutations)

    def needed(self, model: Quality, other: Quality) -> int:
        """About how many test queries it takes to tell a difference of the margin from none."""
        differences = paired_differences(*_paired(model, other, "test"))
        return queries_to_detect(differences, self.margin_of(other.measure))


@dataclass(frozen=True)
class Match:
    """One forest's line of the headline.

    Attributes:
        verdict: ``shown``, ``worse`` (significantly, on test), ``too-few-queries``,
            ``beyond-margin``, ``no-network`` or ``not-timed``.
        network: the chosen network; without a choice the nearest on vali, or None.
        speedup: how many times faster; NaN without a choice.
        spread: the quartiles of the speed-up over rounds.
        vali_difference: network less forest, the measure's mean.
        test: the comparison on test; None without a choice.
        needed: about how many test queries the margin asks for; 0 without a choice.
        measure: what the two were compared by.
    """

    forest: Key
    verdict: str
    network: Key | None = None
    forest_line: dict[str, Any] = field(default_factory=dict)
    network_line: dict[str, Any] = field(default_factory=dict)
    speedup: float = float("nan")
    spread: tuple[float, float] = (float("nan"), float("nan"))
    vali_difference: float = float("nan")
    test: Comparison | None = None
    needed: int = 0
    measure: Measure = NDCG


def speedup(
    model: Timing, model_line: Mapping[str, Any], base: Timing, base_line: Mapping[str, Any]
) -> tuple[float, tuple[float, float]]:
    """How many times faster ``model`` is than ``base``, and the quartiles over rounds.

    The two come from different jobs, and a machine is not equally fast all day. Every job times
    the data set's reference forest too, so each time is first divided by the reference's in the
    same job: ``(t_base / ref_base) / (t_model / ref_model)``. Engines take turns in every round,
    so that is done round by round, and the median over rounds is taken: what slows a whole
    round down cancels. Where a job could not time the reference, times are compared as they are.

    Returns:
        The ratio of the median normalised times; ``(q1_base / q3_model, q3_base / q1_model)``,
        which is wider than the quartiles of the ratio itself.
    """
    references = base.reference(base_line["batch"]), model.reference(model_line["batch"])
    if None in references:
        references = None, None
    base_q1, base_median, base_q3 = _normalised(base_line, references[0])
    model_q1, model_median, model_q3 = _normalised(model_line, references[1])
    return base_median / model_median, (base_q1 / model_q3, base_q3 / model_q1)


def _normalised(line: Mapping[str, Any], reference: Mapping[str, Any] | None) -> list[float]:
    """Quartiles over rounds of a time in units of the reference's in the same round."""
    samples = np.array(line["samples"])
    if reference is not None:
        samples = samples / paired_samples(reference, len(samples))
    return np.percentile(samples, [25, 50, 75]).tolist()


def paired_samples(line: Mapping[str, Any], rounds: int) -> np.ndarray | float:
    """A line's samples where there is one a round; else their median stands for all rounds."""
    return np.array(line["samples"]) if len(line["samples"]) == rounds else line["median"]


def match_forests(
    qualities: Mapping[Key, Quality], timings: Mapping[Key, Timing], rules: Rules
) -> list[Match]:
    """One ``Match`` for each forest; candidates are all networks of the forest's data set.

    Without labels its own alone: the others are held to other forests.
    """
    return [
        match_forest(
            qualities[forest],
            [q for q in qualities.values() if _is_candidate(q, forest)],
            timings,
            rules,
        )
        for forest in qualities
        if forest.is_forest
    ]


def _is_candidate(quality: Quality, forest: Key) -> bool:
    key = quality.key
    if key.is_forest or key.dataset != forest.dataset:
        return False
    return quality.measure is NDCG or key.forest == forest


def match_forest(
    forest: Quality, networks: Iterable[Quality], timings: Mapping[Key, Timing], rules: Rules
) -> Match:
    """Choose the network on vali, judge it on test."""
    measure, margin = forest.measure, rules.margin_of(forest.measure)
    job = timings.get(forest.key)
    line = job.fastest(rules.batch, faithful=True) if job else None
    if job is None or line is None:
        return Match(forest.key, "not-timed", measure=measure)
    timed = [q for q in networks if _line(timings, q.key, rules.batch)]
    if not timed:
        return Match(forest.key, "no-network", forest_line=line, measure=measure)
    differences = {q.key: _mean_difference(q, forest, "vali") for q in timed}
    equal = [q for q in timed if differences[q.key] >= -margin]
    if not equal:
        nearest = max(differences, key=lambda key: differences[key])
        return Match(
            forest.key, "no-network", nearest, line, vali_difference=differences[nearest],
            measure=measure,
        )  # fmt: skip
    chosen = max(
        equal,
        key=lambda q: speedup(timings[q.key], _line(timings, q.key, rules.batch), job, line)[0],
    )
    network_line = _line(timings, chosen.key, rules.batch)
    ratio, spread = speedup(timings[chosen.key], network_line, job, line)
    test = rules.compare(chosen, forest)
    return Match(
        forest.key, judge(test, margin), chosen.key, line, network_line, ratio, spread,
        differences[chosen.key], test, rules.needed(chosen, forest), measure,
    )  # fmt: skip


def judge(test: Comparison, margin: float) -> str:
    """The verdict on a network that vali chose.

    Equal quality is shown where the network is not significantly worse and its interval keeps
    above ``-margin``. Otherwise: with an interval wider than the margin allows, two equal models
    could not be shown equal either, and more queries are what is missing; a narrow one
    says that the network itself is what falls short.
    """
    if test.difference < 0 and test.p_value < SIGNIFICANT:
        return "worse"
    if test.interval[0] > -margin:
        return "shown"
    return "too-few-queries" if test.half_width > margin else "beyond-margin"


def _line(timings: Mapping[Key, Timing], key: Key, batch: int) -> dict[str, Any] | None:
    job = timings.get(key)
    return job.fastest(batch, faithful=True) if job else None


def _mean_difference(model: Quality, other: Quality, split: str) -> float:
    return float(paired_differences(*_paired(model, other, split)).mean())


def _paired(model: Quality, other: Quality, split: str) -> tuple[np.ndarray, np.ndarray]:
    first, second = model.per_query(split), other.per_query(split)
    if not first.index.equals(second.index):
        raise ValueError(
            f"{model.key.name(True)} and {other.key.name(True)} were evaluated on different "
            f"folds or queries of {split}; delete their quality files and run again"
        )
    return first.to_numpy(), second.to_numpy()


def times_faster(ratio: float) -> str:
    """Such as ``3.4 times faster``; a ratio below 1 is told as plainly."""
    if round(ratio, 1) > 1:
        return f"{ratio:.1f} times faster"
    if round(1 / ratio, 1) > 1:
        return f"{1 / ratio:.1f} times slower"
    return "as fast"


def headline(match: Match, margin: float) -> str:
    """The one line that answers for this forest."""
    match match.verdict:
        case "shown":
            return times_faster(match.speedup)
        case "worse":
            return "not shown: the network ranks significantly worse on test"
        case "too-few-queries":
            return f"not shown ({match.test.queries:,} queries; about {about(match.needed)} needed)"
        case "beyond-margin":
            return f"not shown: on test the loss may exceed the margin of {margin:g}"
        case "no-network" if match.measure is not NDCG:
            return f"no network shares {100 * (1 - margin):g} % of this forest's top 10 on vali"
        case "no-network":
            return f"no network within {margin:g} of this forest's nDCG@10 on vali"
        case _:
            return "not timed: no exact engine ran this forest"


def about(count: int) -> str:
    """A count to two significant digits, with a thousands separator."""
    digits = max(0, len(str(count)) - 2)
    return f"{round(count, -digits):,}"
