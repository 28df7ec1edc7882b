"""Direct labels for the points of a plot, placed so that nothing covers anything else."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

# Directions in points; beyond the first two distances a thin line leads back to the point.
_DIRECTIONS = ((9, 0), (-9, 0), (0, 11), (0, -11), (8, 9), (-8, 9), (8, -9), (-8, -9))
_DISTANCES = (1.0, 1.5, 2.5, 3.5, 5.0, 7.0)
_NEAR = 1.5
_POINT = 6.0


def place_labels(
    axes: Axes,
    points: np.ndarray,
    labels: Iterable[tuple[float, float, str]],
    lines: Sequence[Path] = (),
) -> list[Bbox]:
    """Write each label near its point where it covers no point and no other label.

    Greedy, in the order given: the nearest free place wins, and among equally near ones one that
    crosses none of ``lines``, or at least not the last. A label for which no place is free is
    left out, since one that cannot be read would only hide others.

    Args:
        points: (n, 2) data coordinates that must stay visible.
        labels: (x, y, text) in data coordinates.
        lines: paths in display coordinates, the most important last.

    Returns:
        The boxes of the labels written, in display coordinates.
    """
    axes.figure.canvas.draw()
    covered = [_square(x, y) for x, y in axes.transData.transform(points)]
    written: list[Bbox] = []
    leaders: list[Path] = []
    for x, y, text in labels:
        start = axes.transData.transform((x, y))
        for distance, avoid in _preferences(lines):
            found = _try_place(
                axes, (x, y), text, distance, [*covered, *written], [*avoid, *leaders]
            )
            if found is None:
                continue
            leader = Path([start, [(found.x0 + found.x1) / 2, (found.y0 + found.y1) / 2]])
            if distance > _NEAR:
                leaders.append(leader)
            written.append(found)
            break
    return written


def _preferences(lines: Sequence[Path]) -> Iterable[tuple[float, Sequence[Path]]]:
    for distance in _DISTANCES:
        for avoid in (lines, lines[-1:], ()):
            yield distance, avoid


def _try_place(
    axes: Axes,
    point: tuple[float, float],
    text: str,
    distance: float,
    taken: Sequence[Bbox],
    lines: Sequence[Path],
) -> Bbox | None:
    """Write the label in the first free direction at ``distance``; its box, or None."""
    renderer = axes.figure.canvas.get_renderer()
    inside = axes.get_window_extent(renderer)
    start = axes.transData.transform(point)
    for dx, dy in _DIRECTIONS:
        note = _write(axes, point, text, (dx * distance, dy * distance), distance > _NEAR)
        note.update_positions(renderer)
        # Text's own extent: an annotation's includes the line to its point.
        box = Text.get_window_extent(note, renderer).padded(1.5)
        fits = inside.x0 <= box.x0 and box.x1 <= inside.x1
        fits = fits and inside.y0 <= box.y0 and box.y1 <= inside.y1
        free = not any(box.overlaps(other) for other in taken)
        free = free and not any(line.intersects_bbox(box, False) for line in lines)
        if fits and free and not _leader_crosses(start, box, taken, distance):
            return box
        note.remove()
    return None


def _leader_crosses(start: np.ndarray, box: Bbox, taken: Sequence[Bbox], distance: float) -> bool:
    """Whether the line from a far label to its point would run through anything else."""
    if distance <= _NEAR:
        return False
    end = [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]
    leader = Path([start, end])
    others = [other for other in taken if not other.contains(*start)]
    return any(leader.intersects_bbox(other, False) for other in others)


def _write(
    axes: Axes, point: tuple[float, float], text: str, offset: tuple[float, float], far: bool
) -> Annotation:
    dx = offset[0]
    return axes.annotate(
        text, point, offset, textcoords="offset points", fontsize=8, va="center",
        ha="left" if dx > 0 else "right" if dx < 0 else "center", zorder=4,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        arrowprops={"arrowstyle": "-", "color": "#888888", "linewidth": 0.5} if far else None,
    )  # fmt: skip


def _square(x: float, y: float) -> Bbox:
    return Bbox.from_extents(x - _POINT, y - _POINT, x + _POINT, y + _POINT)
