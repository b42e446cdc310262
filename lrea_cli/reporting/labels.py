"""Labels that do not overlap: each at the nearest free position around its point, with a line where that is far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import pi
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.transforms import Bbox

MARKER, CAP = 6.0, 3.0
"""Half the side of what a marker covers, and half the width of an error bar, in points of 1/72 inch."""
DISTANCES = (9.0, 16.0, 26.0, 38.0, 52.0, 68.0, 86.0, 106.0, 130.0, 160.0)
DIRECTIONS = 16
FAR = 14.0
"""From here on a line leads from label to point."""


@dataclass(frozen=True)
class Spot:
    """What gets a label; x, y and the ends of its error bar are in data."""

    x: float
    y: float
    text: str
    color: str
    bar: tuple[float, float] | None = None


@dataclass
class Drawn:
    """What is on the picture, in pixels.

    Args:
        frame: of the axes.
        scale: pixels of a point (1/72 inch).
        solid: markers and labels, which no line crosses.
        lines: from labels to their points.
    """

    frame: Bbox
    scale: float
    solid: list[Bbox]
    bars: list[Bbox]
    lines: list[Path] = field(default_factory=list)

    def is_free(self, box: Bbox) -> bool:
        """Whether a label may stand here."""
        inside = self.frame.contains(*box.min) and self.frame.contains(*box.max)
        crossed = any(line.intersects_bbox(box.padded(self.scale)) for line in self.lines)
        return inside and not crossed and not box.count_overlaps([*self.solid, *self.bars])

    def is_reached(self, box: Bbox, point: np.ndarray) -> bool:
        """Whether a line from here to the point crosses only what is thin."""
        line, others = _line(box, point), [other for other in self.solid if not other.contains(*point)]
        return not any(line.intersects_bbox(other.padded(self.scale)) for other in others)

    def best(self, boxes: Sequence[Bbox], point: np.ndarray) -> Bbox:
        """The first free box that a line reaches; else the first free one; else the first."""
        free = [box for box in boxes if self.is_free(box)]
        return next((box for box in free if self.is_reached(box, point)), (free or boxes)[0])


def place_labels(axes: Axes, spots: Sequence[Spot]) -> list[Bbox]:
    """Write a label for each spot.

    Args:
        axes: of a figure that has been drawn once: limits and sizes stay as they are.

    Returns:
        the box of each label in pixels: inside the axes, over no other label, marker, bar or line while there is room.
    """
    scale, to_pixels = axes.figure.dpi / 72, axes.transData.transform
    points = [to_pixels((spot.x, spot.y)) for spot in spots]
    bars = [Bbox(to_pixels([(s.x, end) for end in s.bar])).padded(CAP * scale, 0) for s in spots if s.bar]
    drawn = Drawn(axes.get_window_extent(), scale, [_around(p, MARKER * scale) for p in points], bars)
    for spot, point in zip(spots, points, strict=True):
        shared: dict[str, Any] = {"textcoords": "offset points", "color": spot.color}
        label = axes.annotate(spot.text, (spot.x, spot.y), (0, 0), fontsize=8, va="center", **shared)
        box = drawn.best(list(_boxes(point, np.array(label.get_window_extent().size) / 2, scale)), point)
        drawn.solid.append(box)
        label.set_position(((box.x0 - point[0]) / scale, ((box.y0 + box.y1) / 2 - point[1]) / scale))
        line = _line(box, point)
        start = (np.asarray(line.vertices)[0] - point) / scale
        if np.hypot(*start) >= FAR:
            drawn.lines.append(line)
            arrow = {"arrowstyle": "-", "color": spot.color, "lw": 0.6, "alpha": 0.7, "shrinkA": 2, "shrinkB": 4}
            axes.annotate("", (spot.x, spot.y), tuple(start), arrowprops=arrow, **shared)
    return drawn.solid[len(spots) :]


def _boxes(point: np.ndarray, half: np.ndarray, scale: float) -> Iterator[Bbox]:
    """Boxes of this half size around a point, the near ones first, of equally near ones those at the right."""
    for distance in DISTANCES:
        for step in range(DIRECTIONS):
            turn = (step + 1) // 2 * (-1) ** step * 2 * pi / DIRECTIONS
            yield _around(point + np.array([np.cos(turn), np.sin(turn)]) * (distance * scale + half), half)


def _around(point: np.ndarray, half: np.ndarray | float) -> Bbox:
    return Bbox([point - half, point + half])


def _line(box: Bbox, point: np.ndarray) -> Path:
    """From the nearest point of a box to a point."""
    return Path([np.clip(point, box.min, box.max), point])
