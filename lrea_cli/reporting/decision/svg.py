"""Parts of a picture in SVG: elements with escaped texts, marks of four shapes, axes with round numbers.

Colors, strokes and fonts are classes of the page's style, so that a picture follows light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from lrea_cli.decide.results import Kind

RADIUS = 6.0
FEW_TICKS = 3
CHARACTER = 7.0
"""Width of a letter of the 13 px font; a little more than its mean."""


def element(tag: str, *children: str, **attributes: str | float) -> str:
    """`<tag a="1">children</tag>`: `class_` is `class`, `stroke_width` is `stroke-width`; numbers to a tenth."""
    named = []
    for name, value in attributes.items():
        words = _number(value) if isinstance(value, float) else str(value)
        named.append(f' {name.rstrip("_").replace("_", "-")}="{escape(words)}"')
    return f"<{tag}{''.join(named)}>{''.join(children)}</{tag}>"


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> str:
    """A line of text whose middle is at y."""
    return element("text", escape(words), x=float(x), y=float(y + 4.5), class_=class_, text_anchor=anchor)


def shortened(words: str, width: float) -> str:
    """What of a text fits into so many pixels, with an ellipsis where not all does."""
    most = max(2, int(width / CHARACTER))
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """A straight line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str) -> str:
    """A line through points."""
    return element("path", d="M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points), class_=class_)


def box(x: float, y: float, width: float, height: float, class_: str) -> str:
    """A filled rectangle."""
    return element("rect", x=float(x), y=float(y), width=float(width), height=float(max(0.0, height)), class_=class_)


def mark(kind: Kind, x: float, y: float, radius: float = RADIUS) -> str:
    """A point: a circle, square, diamond or triangle, so that shapes tell what colors tell."""
    r, wide = radius, 1.3 * radius
    shapes: dict[Kind, list[tuple[float, float]]] = {
        "compressed": [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
        "full": [(x, y - wide), (x + wide, y), (x, y + wide), (x - wide, y)],
        "short": [(x, y - wide), (x + wide, y + r), (x - wide, y + r)],
    }
    if kind == "cached":
        return element("circle", cx=float(x), cy=float(y), r=float(r), class_=f"mark f-{kind}")
    corners = " ".join(f"{_number(a)},{_number(b)}" for a, b in shapes[kind])
    return element("polygon", points=corners, class_=f"mark f-{kind}")


def drawing(width: float, height: float, class_: str, alt: str, parts: Sequence[str]) -> str:
    """The whole picture."""
    size = f"0 0 {_number(width)} {_number(height)}"
    return element("svg", *parts, viewBox=size, class_=class_, role="img", aria_label=alt)


@dataclass(frozen=True)
class Scale:
    """From a value to a pixel.

    Args:
        low, high: of the values, low < high.
        start, end: their pixels.
        log: logarithmic, for values above 0.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round numbers on it, at most one more than `most`; of a logarithmic one few digits times powers of ten,
        unless it is so short that it has hardly any."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for of_ten in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
                inside = [m * 10.0**p for p in powers for m in of_ten if self.low <= m * 10.0**p <= self.high]
                if FEW_TICKS <= len(inside) <= most:
                    return inside
        step = round_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))


def decimals(step: float) -> int:
    """That numbers of this step need."""
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
