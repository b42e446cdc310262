"""Labels of points: inside the axes, over nothing else, near their points, with a line where they are not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from lrea_cli.reporting.axes_labels import CAP, Label, write_labels
from lrea_cli.reporting.labels import MARK, Box


def axes_of(dpi: float = 100) -> Axes:
    figure = Figure(figsize=(8, 5.4), dpi=dpi)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.1, 0.85, 0.85))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    canvas.draw()
    return axes


def spots_of(points: list[tuple[float, float]], bar: float = 0.03) -> list[Label]:
    return [Label(x, y, f"din, clusters {n}, 8.3 kB", "k", (y - bar, y + bar)) for n, (x, y) in enumerate(points)]


def covered(axes: Axes, spot: Label) -> list[Box]:
    """What the marker and the bar of a spot cover."""
    scale = axes.figure.dpi / 72
    (x, y), (_, low), (_, high) = axes.transData.transform([(spot.x, v) for v in (spot.y, *(spot.bar or (0, 0)))])
    reach, cap = MARK * scale, CAP * scale
    return [Box(x - reach, y - reach, x + reach, y + reach), Box(x - cap, low, x + cap, high)]


def texts(axes: Axes) -> tuple[list[Annotation], list[Annotation]]:
    """Labels, and lines."""
    found = [text for text in axes.texts if isinstance(text, Annotation)]
    return [text for text in found if text.get_text()], [text for text in found if not text.get_text()]


def check(axes: Axes, spots: list[Label]) -> None:
    boxes = write_labels(axes, spots)
    assert len(boxes) == len(spots)
    frame = axes.get_window_extent()
    for box, label, spot in zip(boxes, texts(axes)[0], spots, strict=True):
        assert label.get_text() == spot.text
        drawn = label.get_window_extent()
        assert drawn.extents == pytest.approx([box.x0, box.y0, box.x1, box.y1], abs=2)
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert frame.y0 <= box.y0
        assert box.y1 <= frame.y1
        assert not any(box.meets(other) for s in spots for other in covered(axes, s))
    assert not any(a.meets(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("dpi", [72, 100, 150])
def test_points_on_top_of_each_other_have_labels_apart(dpi: float) -> None:
    check(axes_of(dpi), spots_of([(0.5, 0.5)] * 4 + [(0.5, 0.52), (0.51, 0.5), (0.3, 0.5), (0.97, 0.97), (0.02, 0.02)]))


place = st.floats(0.02, 0.98)


@settings(max_examples=15)
@example([(0.5, 0.9765625), (0.5, 0.978515625)])
@given(st.lists(st.tuples(place, place), min_size=1, max_size=9))
def test_labels_of_any_points_lie_apart(points: list[tuple[float, float]]) -> None:
    check(axes_of(), spots_of(points))


def test_a_lone_label_stands_right_of_its_point_without_a_line() -> None:
    axes = axes_of()
    (box,) = write_labels(axes, [Label(0.5, 0.5, "lrea", "k")])
    x, y = axes.transData.transform((0.5, 0.5))
    assert box.x0 - x == pytest.approx(9 * 100 / 72)
    assert (box.y0 + box.y1) / 2 == pytest.approx(y)
    assert texts(axes)[1] == []


def test_at_the_right_edge_it_stands_left() -> None:
    axes = axes_of()
    (box,) = write_labels(axes, [Label(0.99, 0.5, "full attention", "k")])
    assert box.x1 < axes.transData.transform((0.99, 0.5))[0]


CROWDS = [
    [(0.5, 0.5), (0.505, 0.53), (0.51, 0.47), (0.3, 0.5)],
    [(0.39, 0.49), (0.29, 0.54), (0.44, 0.53), (0.39, 0.53), (0.49, 0.53), (0.36, 0.56), (0.36, 0.43)],
    [(0.51, 0.51), (0.32, 0.57), (0.38, 0.55), (0.29, 0.45), (0.51, 0.55), (0.29, 0.5), (0.38, 0.46)],
]
"""In the last two the nearest free place lies behind another label, and a later label would lie on a line."""


@pytest.mark.parametrize("points", CROWDS)
def test_a_label_that_is_far_has_a_line_to_its_own_point(points: list[tuple[float, float]]) -> None:
    axes, spots = axes_of(), spots_of(points, 0.02)
    boxes = write_labels(axes, spots)
    labels, lines = texts(axes)
    assert 0 < len(lines) < len(labels)
    assert {tuple(line.xy) for line in lines} <= {(s.x, s.y) for s in spots}
    for line in lines:
        owner = next(n for n, s in enumerate(spots) if (s.x, s.y) == tuple(line.xy))
        x, y = axes.transData.transform(line.xy)
        start = x + line.xyann[0] * 100 / 72, y + line.xyann[1] * 100 / 72
        box = boxes[owner]
        assert box.x0 - 0.01 <= start[0] <= box.x1 + 0.01
        assert box.y0 - 0.01 <= start[1] <= box.y1 + 0.01
        others = [b for b in boxes if b is not box]
        path = [(start[0] + (x - start[0]) * n / 50, start[1] + (y - start[1]) * n / 50) for n in range(51)]
        assert not any(other.holds(Box(*at, *at)) for other in others for at in path)
