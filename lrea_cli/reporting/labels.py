"""Labels that do not overlap: each at the nearest free position around its point, with a line where that is far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import cos, hypot, inf, pi, sin

DISTANCES = (9.0, 16.0, 26.0, 38.0, 52.0, 68.0, 86.0, 106.0, 130.0, 160.0)
"""From a point to the nearest side of its label, in units."""
DIRECTIONS = 16
MARK = 6.0
"""Half the side of what the mark of a point covers, in units."""
FAR = 14.0
"""From here on a line leads from label to point, in units."""
STEP = 6.0
"""Pixels between the small boxes that stand for a line."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    x0: float
    y0: float
    x1: float
    y1: float

    def meets(self, other: Box) -> bool:
        """Whether they have an inner point in common."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def holds(self, other: Box) -> bool:
        """Whether the other one lies inside."""
        return self.x0 <= other.x0 and other.x1 <= self.x1 and self.y0 <= other.y0 and other.y1 <= self.y1

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """Its point that is nearest to a point."""
        return min(max(x, self.x0), self.x1), min(max(y, self.y0), self.y1)


@dataclass(frozen=True)
class Spot:
    """A point that gets a label, and half the label's size, in pixels."""

    x: float
    y: float
    half_width: float
    half_height: float


@dataclass
class Placed:
    """Labels that stand, and what they must not cover.

    Args:
        frame: that all labels lie in.
        unit: pixels of the unit of lengths.
        taken: boxes of marks, and of labels that stand.
        crossed: thin boxes of error bars, which a label covers only where there is no other place.
        leads: lines from labels to points, as small boxes along them.
    """

    frame: Box
    unit: float
    taken: list[Box]
    crossed: list[Box]
    leads: list[Box] = field(default_factory=list)

    def place(self, spot: Spot) -> Box:
        """The nearest position that is free, or else covers least."""
        best = self._best(spot)
        self.taken.append(best)
        self.leads += _steps(best, spot, self.unit) if lead(best, spot, self.unit) else []
        return best

    def _best(self, spot: Spot) -> Box:
        least, best, own = inf, None, _mark(spot, self.unit)
        apart = [other for other in self.taken if not other.meets(own)]  # any line crosses a mark that lies on its own
        for box in _around(spot, self.unit):
            if (faults := self._faults(box, spot, apart)) == 0:
                return box
            least, best = (faults, box) if faults < least else (least, best)
        assert best is not None
        return best

    def _faults(self, box: Box, spot: Spot, apart: Sequence[Box]) -> int:
        """What a box and its line would cover; `apart`: what the line must not cross."""
        covered = sum(box.meets(other) for other in self.taken)
        thin = sum(box.meets(other) for other in (*self.crossed, *self.leads))
        across = sum(step.meets(other) for step in _steps(box, spot, self.unit) for other in apart)
        return 100 * (not self.frame.holds(box)) + 10 * covered + 3 * across + thin


def place_labels(
    spots: Sequence[Spot], frame: Box, taken: Sequence[Box] = (), bars: Sequence[Box] = (), unit: float = 1.0
) -> list[Box]:
    """The box of each label, in the order of the spots, of which the first have the first choice.

    Args:
        taken: what other texts cover.
        bars: error bars, as thin boxes.
        unit: pixels of the unit of lengths.
    """
    placed = Placed(frame, unit, [*(_mark(spot, unit) for spot in spots), *taken], list(bars))
    return [placed.place(spot) for spot in spots]


def lead(box: Box, spot: Spot, unit: float = 1.0) -> tuple[float, float] | None:
    """Where a line to the point starts; None where the label stands beside it."""
    x, y = box.nearest(spot.x, spot.y)
    return (x, y) if hypot(x - spot.x, y - spot.y) >= FAR * unit else None


def spread(wanted: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Heights of labels in a column, near those wanted, `least` apart, between `low` and `high` while there is room."""
    order = sorted(range(len(wanted)), key=lambda n: wanted[n])
    heights = [0.0] * len(wanted)
    below = low - least
    for n in order:
        below = heights[n] = max(wanted[n], below + least)
    above = high + least
    for n in reversed(order):
        above = heights[n] = min(heights[n], above - least)
    return heights


def _mark(spot: Spot, unit: float) -> Box:
    reach = MARK * unit
    return Box(spot.x - reach, spot.y - reach, spot.x + reach, spot.y + reach)


def _around(spot: Spot, unit: float) -> Iterator[Box]:
    """The near boxes first, of equally near ones those at the right."""
    for distance in DISTANCES:
        for step in range(DIRECTIONS):
            turn = (step + 1) // 2 * (-1) ** step * 2 * pi / DIRECTIONS
            x = spot.x + cos(turn) * (distance * unit + spot.half_width)
            y = spot.y + sin(turn) * (distance * unit + spot.half_height)
            yield Box(x - spot.half_width, y - spot.half_height, x + spot.half_width, y + spot.half_height)


def _steps(box: Box, spot: Spot, unit: float) -> list[Box]:
    """The line from a label to its point as small boxes."""
    x, y = box.nearest(spot.x, spot.y)
    count = int(hypot(x - spot.x, y - spot.y) / STEP)
    at = [(x + (spot.x - x) * n / count, y + (spot.y - y) * n / count) for n in range(1, count)]
    return [Box(px - unit, py - unit, px + unit, py + unit) for px, py in at]
