"""Writes labels into a picture of matplotlib, which measures their texts; `labels` places them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from lrea_cli.reporting.labels import Box, Spot, lead, place_labels

CAP = 3.0
"""Half the width of an error bar, in points of 1/72 inch."""


@dataclass(frozen=True)
class Label:
    """A text for a point; x, y and the ends of its error bar are in data."""

    x: float
    y: float
    text: str
    color: str
    bar: tuple[float, float] | None = None


def write_labels(axes: Axes, labels: Sequence[Label]) -> list[Box]:
    """Write a label for each point.

    Args:
        axes: of a figure that has been drawn once: limits and sizes stay as they are.

    Returns:
        the box of each label in pixels: inside the axes, over no other label, marker, bar or line while there is room.
    """
    unit, to_pixels = axes.figure.dpi / 72, axes.transData.transform
    bars = [Bbox(to_pixels([(at.x, end) for end in at.bar])).padded(CAP * unit, 0) for at in labels if at.bar]
    written = [_write(axes, label) for label in labels]
    sizes = [np.array(text.get_window_extent().size) / 2 for text in written]
    points = [to_pixels((label.x, label.y)) for label in labels]
    spots = [Spot(*point, *size) for point, size in zip(points, sizes, strict=True)]
    boxes = place_labels(spots, _box(axes.get_window_extent()), bars=[_box(bar) for bar in bars], unit=unit)
    for label, text, spot, box in zip(labels, written, spots, boxes, strict=True):
        text.set_position(((box.x0 - spot.x) / unit, ((box.y0 + box.y1) / 2 - spot.y) / unit))
        if start := lead(box, spot, unit):
            from_point = (start[0] - spot.x) / unit, (start[1] - spot.y) / unit
            line = {"arrowstyle": "-", "color": label.color, "lw": 0.6, "alpha": 0.7, "shrinkA": 2, "shrinkB": 4}
            axes.annotate("", (label.x, label.y), from_point, textcoords="offset points", arrowprops=line)
    return boxes


def _write(axes: Axes, label: Label) -> Annotation:
    at = label.x, label.y
    return axes.annotate(label.text, at, (0, 0), textcoords="offset points", color=label.color, fontsize=8, va="center")


def _box(box: Bbox) -> Box:
    return Box(box.x0, box.y0, box.x1, box.y1)
