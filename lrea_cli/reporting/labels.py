"""Labels that do not overlap: each at the nearest free place around its point, with a line where that is far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin
from typing import NamedTuple

from matplotlib.axes import Axes

MARKER = 6.0
"""Half the side of what a marker covers, in points of 1/72 inch; a label begins a little further out."""
CAP = 3.0
"""Half the width of an error bar."""
DISTANCES = (9.0, 16.0, 26.0, 38.0, 52.0, 68.0, 86.0, 106.0, 130.0, 160.0)
DIRECTIONS = 16
FAR = 14.0
"""From here on a line leads from label to point."""
PART = 2.0
"""Of such a line: each part must be free."""

Pixels = tuple[float, float]


class Box(NamedTuple):
    """Pixels that something covers."""

    x0: float
    y0: float
    x1: float
    y1: float

    def overlaps(self, other: Box) -> bool:
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1


@dataclass(frozen=True)
class Spot:
    """What gets a label.

    Args:
        x, y: in data, as are the low and high end of its error bar, if any.
    """

    x: float
    y: float
    text: str
    color: str
    bar: tuple[float, float] | None = None


def place_labels(axes: Axes, spots: Sequence[Spot]) -> list[Box]:
    """Write a label for each spot.

    Args:
        axes: of a figure that has been drawn once: limits and sizes stay as they are.

    Returns:
        the box of each label in pixels: inside the axes, over no other label, marker, bar or line while there is room.
    """
    scale = axes.figure.dpi / 72
    centers = [_pixels(axes, spot.x, spot.y) for spot in spots]
    solid = [_around(*center, MARKER * scale, MARKER * scale) for center in centers]
    thin = [_bar(axes, spot, scale) for spot in spots if spot.bar]
    boxes = []
    for spot, center in zip(spots, centers, strict=True):
        label = axes.annotate(
            spot.text, (spot.x, spot.y), (0, 0), textcoords="offset points", fontsize=8, color=spot.color, va="center"
        )
        extent = label.get_window_extent()
        box = _free_place(axes, center, (extent.width, extent.height), solid, thin, scale)
        solid.append(box)
        boxes.append(box)
        label.set_position(((box.x0 - center[0]) / scale, ((box.y0 + box.y1) / 2 - center[1]) / scale))
        x, y = _nearest(box, center)
        if hypot(x - center[0], y - center[1]) >= FAR * scale:
            thin += _line((x, y), center, scale)
            offset = (x - center[0]) / scale, (y - center[1]) / scale
            line = {"arrowstyle": "-", "color": spot.color, "lw": 0.6, "alpha": 0.7, "shrinkA": 2, "shrinkB": 4}
            axes.annotate("", (spot.x, spot.y), offset, textcoords="offset points", arrowprops=line)
    return boxes


def _free_place(
    axes: Axes,
    center: Pixels,
    size: tuple[float, float],
    solid: Sequence[Box],
    thin: Sequence[Box],
    scale: float,
) -> Box:
    """The nearest box that overlaps nothing, if there is one with a line that crosses only what is thin."""
    frame = axes.get_window_extent()
    strange = [other for other in solid if not other.overlaps(Box(*center, *center))]

    def is_free(box: Box) -> bool:
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        return inside and not any(box.overlaps(other) for other in (*solid, *thin))

    def is_reached(box: Box) -> bool:
        line = _line(_nearest(box, center), center, scale)
        return not any(part.overlaps(other) for other in strange for part in line)

    free: list[Box] = []
    for box in _places(center, size, scale):
        if is_free(box):
            if is_reached(box):
                return box
            free.append(box)
    return free[0] if free else next(_places(center, size, scale))


def _places(center: Pixels, size: tuple[float, float], scale: float) -> Iterator[Box]:
    """Boxes around a point, the near ones first, and of equally near ones those at the right first."""
    (x, y), (width, height) = center, size
    for distance in DISTANCES:
        for step in range(DIRECTIONS):
            turn = (step + 1) // 2 * (-1) ** step * 2 * pi / DIRECTIONS
            across, up = cos(turn), sin(turn)
            middle = x + across * (distance * scale + width / 2), y + up * (distance * scale + height / 2)
            yield _around(*middle, width / 2, height / 2)


def _pixels(axes: Axes, x: float, y: float) -> Pixels:
    pixels = axes.transData.transform((x, y))
    return float(pixels[0]), float(pixels[1])


def _bar(axes: Axes, spot: Spot, scale: float) -> Box:
    """What an error bar covers."""
    assert spot.bar is not None
    (x, low), (_, high) = (_pixels(axes, spot.x, end) for end in spot.bar)
    return _around(x, (low + high) / 2, CAP * scale, (high - low) / 2)


def _around(x: float, y: float, across: float, up: float) -> Box:
    return Box(x - across, y - up, x + across, y + up)


def _nearest(box: Box, point: Pixels) -> Pixels:
    """The point of a box that is nearest to a point."""
    return min(max(point[0], box.x0), box.x1), min(max(point[1], box.y0), box.y1)


def _line(start: Pixels, end: Pixels, scale: float) -> list[Box]:
    """What a line covers."""
    across, up = end[0] - start[0], end[1] - start[1]
    parts = max(1, round(hypot(across, up) / (PART * scale)))
    return [_around(start[0] + n / parts * across, start[1] + n / parts * up, scale, scale) for n in range(parts + 1)]
