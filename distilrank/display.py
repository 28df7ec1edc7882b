"""How tables look: headings, units, cells; the same cells in HTML and in LaTeX (`latex`)."""

from collections.abc import Sequence

import pandas as pd

from distilrank.cells import Column, Row, count, decimal, number, share, text, unlabelled
from distilrank.rounding import (
    MISSING,
    fixed,
    interval,
    p_text,
    quartiles,
    scientific,
    whole,
)

FIGURES = {"ndcg@10": "nDCG@10", "us": "µs/doc", "speedup": "times faster"}
MARKS = {"worse": "▼", "better": "▲"}


def shape(row: Row) -> str:
    """A network's widths, or a forest's trees x leaves."""
    if isinstance(row.get("architecture"), str) and row["architecture"]:
        return row["architecture"]
    if pd.isna(row.get("trees")):
        return MISSING
    return f"{whole(row['trees'])} × {whole(row['max_leaves'])}"


def _marked_ndcg(row: Row) -> str:
    return f"{fixed(row['ndcg@10'], 4)} {MARKS.get(row['mark'], '')}".rstrip()


def _effect(row: Row) -> str:
    ends = interval(row["effect_low"], row["effect_high"], places=2)
    return MISSING if ends == MISSING else f"{fixed(row['effect'], 2, sign=True)} {ends}"


def _readers(row: Row) -> str:
    return f"{whole(row['read_by'])} of {whole(row['pruned'])}" if row["pruned"] else MISSING


def _with_spread(row: Row) -> str:
    spread = row["seed_sd"]
    return MISSING if pd.isna(spread) else f"± {fixed(spread, 4)} ({row['seeds']})"


def _recipe(row: Row) -> str:
    return f"{row['recipe']}{' (chosen)' if row['chosen'] else ''}"


def _seeds_range(row: Row) -> str:
    if pd.isna(row["seed_sd"]):
        return MISSING
    low, high = (fixed(row[name], 4) for name in ("seed_low", "seed_high"))
    return f"± {fixed(row['seed_sd'], 4)} ({low} – {high})"


def _tested(prefix: str = "") -> tuple[Column, Column]:
    """A difference's interval and p-value; ``prefix`` is that of their columns."""
    names = ("low", "high", "p_value", "difference")
    low, high, p_value, difference = (f"{prefix}{name}" for name in names)
    return (
        # Where nothing is compared it is the interval of a mean, which has no sign.
        Column(
            "95 % interval",
            "",
            lambda row: interval(row[low], row[high], sign=pd.notna(row[difference])),
        ),
        Column("p", "", lambda row: p_text(row[p_value])),
    )


def _compared(prefix: str, other: str) -> tuple[Column, ...]:
    """A difference with its mark, interval and p-value; ``prefix`` is that of their columns."""

    def difference(row: Row) -> str:
        mark = MARKS.get(row[f"{prefix}mark"], "")
        return f"{fixed(row[f'{prefix}difference'], 4, sign=True)} {mark}".rstrip()

    return Column(f"Δ {other}", "", difference), *_tested(prefix)


TABLES: dict[str, tuple[Column, ...]] = {
    "models": (
        text("name", "Model"),
        text("engine", "Fastest engine"),
        number("us", "Time, median", "µs/doc"),
        Column("Quartiles", "µs/doc", lambda row: quartiles(row["us_q1"], row["us_q3"])),
        number("speedup", "Against its forest", "×"),
        Column("nDCG@10", "", _marked_ndcg),
        unlabelled("overlap@10", "Top 10 shared"),
        decimal("difference", "Δ nDCG@10", sign=True),
        *_tested(),
        unlabelled("kendall_tau", "Kendall's τ"),
        Column("Effect size", "95 % interval", _effect),
        *_compared("best_", "best forest"),
        decimal("ndcg@1", "nDCG@1"),
        decimal("ndcg@5", "nDCG@5"),
        decimal("map", "MAP"),
        decimal("mrr", "MRR"),
        Column("Widths, or trees × leaves", "", shape, numeric=False),
        count("features_read", "Features read"),
        Column("Spread", "sd (seeds)", _with_spread),
    ),
    "matched": (
        text("forest", "Forest"),
        text("headline", "Verdict"),
        Column("Trees × leaves", "", lambda row: shape({**row, "architecture": ""}), False),
        text("forest_engine", "Engine"),
        number("forest_us", "Time", "µs/doc"),
        text("network", "Network chosen on vali"),
        text("architecture", "Widths"),
        text("network_engine", "Engine"),
        number("network_us", "Time", "µs/doc"),
        number("speedup", "Speed-up", "×"),
        Column("Over rounds", "×", lambda row: quartiles(row["speedup_low"], row["speedup_high"])),
        decimal("vali_difference", "Δ vali", sign=True),
        decimal("difference", "Δ test", sign=True),
        *_tested(),
        decimal("network_seed_sd", "Seeds' sd"),
        count("queries", "Test queries"),
        count("needed", "Queries needed"),
    ),
    "recipes": (
        text("name", "Network"),
        Column("Recipe", "", _recipe, numeric=False),
        decimal("vali_ndcg@10", "nDCG@10, vali"),
        decimal("ndcg@10", "nDCG@10, test"),
        unlabelled("vali_overlap@10", "Top 10 shared, vali"),
        unlabelled("overlap@10", "Top 10 shared, test"),
        Column("Single seeds", "sd (least – most)", _seeds_range),
        count("seeds", "Seeds"),
        *_compared("", "to the baseline"),
        *_compared("teacher_", "to the forest"),
        number("seconds", "Training", "s"),
    ),
    "settings": (text("recipe", "Recipe"), text("settings", "Settings")),
    "speedup": (
        text("name", "Model"),
        text("engine", "Sparse engine"),
        number("us", "Time", "µs/doc"),
        text("dense_engine", "Fastest dense engine"),
        number("dense_us", "Time", "µs/doc"),
        number("ratio", "Dense / sparse", "×"),
        Column("Over rounds", "×", lambda row: quartiles(row["ratio_q1"], row["ratio_q3"])),
        Column("Fastest", "", lambda row: "fastest" if row["fastest"] else "", numeric=False),
    ),
    "precision": (
        text("name", "Model"),
        text("tuned_for", "Tuned for"),
        text("engine", "Engine"),
        decimal("ndcg_exact", "nDCG@10, full precision"),
        Column("nDCG@10", "", _marked_ndcg),
        unlabelled("overlap@10", "Top 10 shared"),
        decimal("difference", "Δ nDCG@10", sign=True),
        *_tested(),
        decimal("kendall_tau", "Kendall's τ", places=4),
        Column("Mean error", "sd of the score", lambda row: scientific(row["mean_error"])),
        Column("Largest error", "sd of the score", lambda row: scientific(row["largest_error"])),
        number("us", "Time", "µs/doc"),
        text("base_engine", "Against"),
        number("base_us", "Time", "µs/doc"),
        number("speedup", "Times faster", "×"),
        Column("Over rounds", "×", lambda row: quartiles(row["speedup_q1"], row["speedup_q3"])),
    ),
    "designed": (
        text("name", "Design"),
        number("budget_us", "Budget", "µs/doc"),
        text("architecture", "Widths"),
        share("sparsity", "Zeros in the first layer"),
        text("engine", "Engine"),
        number("predicted", "Promised", "µs/doc"),
        Column("Interval", "µs/doc", lambda row: quartiles(row["low"], row["high"])),
        number("delivered", "Delivered", "µs/doc"),
        number("ratio", "Delivered / promised", "×"),
        share("budget_share", "Of the budget"),
        text("within", "Within it"),
        decimal("ndcg@10", "nDCG@10"),
        unlabelled("overlap@10", "Top 10 shared"),
        decimal("precision_loss", "Δ in low precision", sign=True),
        text("rival", "Best hand-made student within the budget"),
        number("rival_us", "Its time", "µs/doc"),
        decimal("rival_ndcg@10", "Its nDCG@10"),
        unlabelled("rival_overlap@10", "It shares of the top 10"),
    ),
    "ranked": (
        text("design", "Design"),
        number("budget_us", "Budget", "µs/doc"),
        text("architecture", "Widths"),
        share("sparsity", "Zeros in the first layer"),
        text("precision", "Precision"),
        number("predicted", "Predicted", "µs/doc"),
        Column("Interval", "µs/doc", lambda row: quartiles(row["low"], row["high"])),
        count("parameters", "Parameters", "before pruning"),
        count("multiply_adds", "Multiply-adds", "a document"),
        count("capacity", "Capacity"),
        decimal("vali_ndcg", "nDCG@10 on vali, expected"),
    ),
    "skipped": (
        text("engine", "Engine"),
        text("reason", "Why it was not timed"),
        count("models", "Models"),
    ),
    "parity": (
        text("engine", "Engine"),
        text("of", "Of"),
        count("passed", "Passed"),
        count("skipped", "Skipped"),
        Column("Largest error", "sd of the score", lambda row: scientific(row["error"])),
        Column("Tolerance", "sd of the score", lambda row: scientific(row["tolerance"])),
        decimal("kendall_tau", "Lowest Kendall's τ", places=6),
        count("documents", "Documents"),
    ),
    "checks": (
        text("name", "Model"),
        text("check", "Check"),
        share("value", "Found"),
        share("limit", "Wanted"),
        Column("", "", lambda row: "holds" if row["ok"] else "FAILS", numeric=False),
    ),
    "health": (
        text("name", "Timing job of"),
        text("reference", "Reference forest"),
        text("engine", "Engine"),
        number("us", "Its time", "µs/doc"),
        number("others_us", "Other jobs' median", "µs/doc"),
        share("deviation", "Deviation", sign=True),
        Column(
            "Delete to repeat", "", lambda row: row["file"] if row["flagged"] else MISSING, False
        ),
    ),
    "accuracy": (
        text("set", "Never fitted on"),
        text("kind", "First layer"),
        text("engine", "Kernel or engine"),
        count("count", "Times predicted"),
        share("median_error", "Median error"),
        share("p95_error", "95th percentile"),
        share("max_error", "Largest"),
        share("bias", "Median signed error", sign=True),
        decimal("rank_correlation", "Rank correlation", places=3),
    ),
    "times": (
        text("what", "Never fitted on"),
        text("engine", "Engine"),
        count("batch", "Batch", "docs"),
        count("count", "Times predicted"),
        share("median_error", "Median error"),
        share("p95_error", "95th percentile"),
        share("max_error", "Largest"),
        share("bias", "Median signed error", sign=True),
        decimal("rank_correlation", "Rank correlation", places=4),
        text("worst", "Furthest off at"),
    ),
    "costs": (
        text("engine", "Engine"),
        text("step", "Step"),
        text("meaning", "Cost of"),
        number("cost", "Cost"),
        text("unit", "Unit"),
    ),
    "predictor": (
        text("name", "Model or layer"),
        text("engine", "Kernel or engine"),
        count("batch", "Batch", "docs"),
        number("predicted", "Predicted", "µs/doc"),
        number("measured", "Measured", "µs/doc"),
        share("error", "Error", sign=True),
    ),
    "data": (
        text("fold", "Fold"),
        text("split", "Split"),
        count("queries", "Queries"),
        count("documents", "Documents"),
        count("features", "Features"),
        share("missing", "Missing values", places=2),
        *(count(f"label_{grade}", f"Label {grade}", "docs") for grade in range(5)),
    ),
    "forests": (
        text("name", "Forest"),
        count("trees", "Trees"),
        count("max_leaves", "Most leaves", "a tree"),
        count("leaves", "Leaves"),
        count("depth", "Depth"),
        count("features_used", "Features used"),
        count("features", "Of", "features"),
        count("split_points", "Distinct thresholds"),
        number("split_points_median", "Median", "a used feature"),
        count("split_points_most", "Most", "a feature"),
    ),
    "features": (
        Column("Feature", "", lambda row: whole(row["feature"]), numeric=False),
        text("feature_name", "Name"),
        count("splits", "Splits of the forests"),
        share("split_share", "Share of all splits"),
        count("split_points", "Distinct thresholds"),
        Column("Read by", "pruned networks", _readers),
    ),
    "unused": (
        text("name", "Network"),
        count("unused", "Not read", "features"),
        count("features", "Of", "features"),
        count("unsplit", "Nor by its forest", "features"),
        text("unused_features", "Features that need not be computed"),
    ),
    "sensitivity": (
        text("name", "Network"),
        count("layer", "Layer"),
        share("sparsity", "Zeros"),
        decimal("ndcg@10", "nDCG@10 on vali"),
        unlabelled("overlap@10", "Top 10 shared on vali"),
        decimal("error", "Score error", places=3),
        number("us", "Predicted time", "µs/doc"),
        share("saved", "Time saved"),
    ),
    "allocation": (
        text("name", "Network"),
        share("sparsity", "Zeros, first layer alone"),
        number("us", "Predicted time", "µs/doc"),
        decimal("error", "Score error", places=3),
        decimal("ndcg@10", "nDCG@10 on vali"),
        unlabelled("overlap@10", "Top 10 shared on vali"),
        Column("Zeros, spread", "% by layer", lambda row: row["spread_sparsities"]),
        number("spread_us", "Predicted time", "µs/doc"),
        decimal("spread_error", "Score error", places=3),
        decimal("spread_ndcg@10", "nDCG@10 on vali"),
        unlabelled("spread_overlap@10", "Top 10 shared on vali"),
    ),
    "accounts": (
        text("rule", "Jobs of"),
        count("jobs", "Jobs"),
        Column("Without a record", "jobs", lambda row: whole(row["without_record"] or None)),
        number("seconds", "Time, all jobs", "s"),
        number("cpu_seconds", "Processor time", "s"),
        number("longest_seconds", "Longest job", "s"),
        number("peak_mb", "Peak memory", "MiB"),
    ),
    "longest": (
        text("rule", "Job of"),
        text("job", "Job"),
        number("seconds", "Time", "s"),
        number("cpu_seconds", "Processor time", "s"),
        number("peak_mb", "Peak memory", "MiB"),
    ),
    "published": (
        text("what", "Published"),
        Column("Figure", "", lambda row: FIGURES.get(row["metric"], row["metric"]), numeric=False),
        text("published", "Theirs"),
        text("source", "Source"),
        number("ours", "Ours", digits=4),
        text("model", "Our model"),
        text("comparable", "Comparable"),
        text("why", "Why, or why not"),
    ),
}


def engine_columns(batches: Sequence[int]) -> tuple[Column, ...]:
    """The columns of ``time_tables.by_batch``'s table; they depend on the config's batch sizes."""
    return (
        text("name", "Model"),
        text("engine", "Engine"),
        text("precision", "Precision"),
        Column("First layer", "", lambda row: "sparse" if row["sparse"] else "dense", False),
        *(number(str(batch), f"Batch {batch:,}", "µs/doc") for batch in batches),
    )
