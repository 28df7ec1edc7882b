"""The figures: what they show, that nothing overlaps, and that the same input gives same bytes."""

import math

import matplotlib
import numpy as np
import pandas as pd
import pytest

from distilrank import plots
from distilrank.labels import place_labels


def models(count=12, seed=0):
    generator = np.random.default_rng(seed)
    kinds = ["forest", "dense", *["pruned"] * (count - 2)]
    table = pd.DataFrame(
        {
            "kind": kinds,
            "name": [f"lm-large/A {number} %" for number in range(count)],
            "teacher": "lm-large",
            "student": "A",
            "recipe": "plain",
            "sparsity": np.linspace(0, 0.99, count),
            "us": np.exp(generator.normal(0, 1, count)),
            "ndcg@10": generator.normal(0.5, 0.01, count),
            "seed_sd": math.nan,
            "low": -0.01,
            "high": 0.01,
        }
    )
    return table.assign(on_front=True)


@pytest.mark.parametrize("seed", range(3))
def test_labels_overlap_neither_each_other_nor_a_point(seed):
    table = models(seed=seed)
    figure, axes = matplotlib.pyplot.subplots()
    points = table[["us", "ndcg@10"]].to_numpy()
    axes.scatter(*points.T)
    labels = [(x, y, name) for (x, y), name in zip(points, table["name"], strict=True)]
    boxes = place_labels(axes, points, labels)
    assert len(boxes) >= 8
    assert not any(a.overlaps(b) for number, a in enumerate(boxes) for b in boxes[number + 1 :])
    pixels = axes.transData.transform(points)
    assert not any(box.contains(*pixel) for box in boxes for pixel in pixels)
    matplotlib.pyplot.close(figure)


def test_kinds_differ_in_marker_fill_and_lightness():
    looks = plots.LOOKS.values()
    assert len({look.marker for look in looks}) == len(looks)
    lightness = sorted(
        np.dot(matplotlib.colors.to_rgb(look.fill), (0.299, 0.587, 0.114)) for look in looks
    )
    assert min(np.diff(lightness)) > 0.2


def test_the_tradeoff_plot_shows_each_kind_and_the_front():
    axes = plots.tradeoff(models(), 256).axes[0]
    assert axes.get_xscale() == "log"
    assert "batch 256" in axes.get_xlabel()
    drawn = {line.get_marker(): len(line.get_xdata()) for line in axes.get_lines()}
    assert (drawn["s"], drawn["o"], drawn["^"]) == (1, 1, 10)
    front = next(line for line in axes.get_lines() if line.get_drawstyle() == "steps-post")
    assert list(front.get_xdata()) == sorted(front.get_xdata())


def test_a_model_without_a_time_is_not_drawn_and_none_at_all_is_told():
    table = models()
    table.loc[3, "us"] = math.nan
    axes = plots.tradeoff(table, 256).axes[0]
    assert sum(len(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "^") == 9
    with pytest.raises(ValueError, match="no model has both"):
        plots.tradeoff(table.assign(us=math.nan), 256)


def test_the_same_table_gives_the_same_bytes_without_a_date(tmp_path):
    for name in ("a", "b"):
        plots.save(
            plots.tradeoff(models(5), 256), tmp_path / f"{name}.svg", tmp_path / f"{name}.png"
        )
    for suffix in ("svg", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


def test_the_speedup_plot_has_a_panel_a_student_and_a_line_an_engine():
    table = pd.DataFrame(
        [
            {"student": student, "engine": engine, "sparsity": level, "ratio": 1 + level}
            for student in "AC"
            for engine in ("mkl", "scipy")
            for level in (0.9, 0.987)
        ]
    )
    panels = plots.speedup(table).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["student A", "student C"]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["90", "98.7"]
    lines = {line.get_label(): list(line.get_ydata()) for line in panels[0].get_lines()}
    assert lines["mkl"] == pytest.approx([1.9, 1.987])


def test_nothing_to_plot_is_said_in_the_figure():
    empty = pd.DataFrame({"student": [], "engine": [], "sparsity": [], "ratio": []})
    assert "no pruned network" in plots.speedup(empty).axes[0].texts[0].get_text()
    assert "no training history" in plots.training(pd.DataFrame()).axes[0].texts[0].get_text()


def test_the_predictor_plot_has_equal_axes():
    table = pd.DataFrame(
        {"set": "shapes", "kind": ["dense", "sparse"], "measured": [1, 2], "predicted": [1, 3]}
    )
    axes = plots.predictor(table).axes[0]
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_xlim() == pytest.approx((1 / 1.4, 3 * 1.4))


def designed(count=3):
    predicted = np.linspace(0.2, 0.9, count)
    return pd.DataFrame(
        {
            "design": [f"design-{number}" for number in range(count)],
            "budget_us": 1.1 * predicted,
            "predicted": predicted,
            "low": 0.95 * predicted,
            "high": 1.05 * predicted,
            "delivered": 1.02 * predicted,
        }
    )


def test_the_designs_plot_has_a_row_a_design_with_all_four_times():
    figure = plots.designed(designed())
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "design-0", "design-1", "design-2",
    ]  # fmt: skip
    shown = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert shown == {"interval", "budget", "promised", "delivered"}
    promised, delivered = axes.get_lines()
    assert promised.get_marker() != delivered.get_marker()
    assert (delivered.get_xdata() > promised.get_xdata()).all()
    matplotlib.pyplot.close(figure)


def test_without_a_timed_design_the_plot_says_so():
    figure = plots.designed(designed().assign(delivered=math.nan))
    assert "no design was timed" in figure.axes[0].texts[0].get_text()
    matplotlib.pyplot.close(figure)
