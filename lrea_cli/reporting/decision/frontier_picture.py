"""The picture of the decision: AUC as served against p99 of a request, with intervals, budget, tolerance, frontier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from lrea_cli.console.show import milliseconds, number, size
from lrea_cli.decide.results import KINDS, Contender, Kind
from lrea_cli.decide.verdict.answer import Decision
from lrea_cli.reporting.decision.document import Picture
from lrea_cli.reporting.decision.svg import (
    CHARACTER,
    Scale,
    box,
    decimals,
    drawing,
    element,
    line,
    mark,
    path,
    shortened,
    text,
)
from lrea_cli.reporting.labels import Box, Spot, lead, place_labels

HALF_LINE = 8.0
"""Half the height of a label, in pixels."""
ROOM = 1.35
"""Factor from the outermost times to the ends of the axis."""
FAR_BELOW = 2.5
"""Contenders that make the range more than so many times what it is without them stand at the edge, with their AUC."""
LEAST_SHOWN = 3
LEGEND_LINE = 20.0
Sign = Callable[[float, float], str]
"""Draws at a point."""


@dataclass(frozen=True)
class Frame:
    """Sizes of the picture in pixels; `named_bytes`: labels have the bytes of the record."""

    width: float
    plot: Box
    ticks: int
    legend_columns: int
    named_bytes: bool


WIDE = Frame(980, Box(74, 24, 960, 480), 9, 2, True)
NARROW = Frame(380, Box(56, 24, 368, 480), 5, 1, False)


def frontier_picture(decision: Decision) -> Picture | None:
    """The picture; None where no contender has both an AUC and a p99."""
    shown = [c for c in decision.measured.contenders if c.auc.value is not None and c.p99_ms.value is not None]
    if not shown:
        return None
    alt = _alt(decision, shown)
    wide, narrow = (Drawing(decision, shown, frame).svg(name, alt) for name, frame in _FRAMES.items())
    return Picture(wide, narrow, alt)


_FRAMES = {"wide": WIDE, "narrow": NARROW}


class Drawing:
    """One of the two sizes.

    Args:
        shown: contenders with an AUC and a p99.
    """

    def __init__(self, decision: Decision, shown: Sequence[Contender], frame: Frame) -> None:
        self.decision, self.shown, self.frame = decision, shown, frame
        self.question, self.verdict = decision.measured.question, decision.verdict
        assert self.verdict.best is not None
        self.best = _auc(decision.measured.named(self.verdict.best))
        self.count = _chosen_count(decision)
        self.x, self.y, self.below = self._scales()

    def svg(self, class_: str, alt: str) -> str:
        """The picture as an element."""
        legend, lines = self._legend()
        parts = [*self._ground(), *self._axes(), *self._frontier(), *map(self._point, self.shown), *self._labels()]
        height = self.frame.plot.y1 + 62 + lines * LEGEND_LINE
        return drawing(self.frame.width, height, class_, alt, [*parts, *legend])

    def _scales(self) -> tuple[Scale, Scale, float]:
        """Of times, of AUCs, and the AUC below which contenders stand at the edge."""
        plot, limit = self.frame.plot, self.question.budget_ms
        times = [end for each in self.shown for end in (_p99(each), *(each.p99_ms.ci or ()))]
        near = [t for t in times if t > 0]
        x = Scale(min(*near, limit) / ROOM, max(*near, limit) * ROOM, plot.x0, plot.x1, log=True)
        below = far_below([_auc(each) for each in self.shown])
        inside = [each for each in self.shown if _auc(each) >= below]
        aucs = [end for each in inside for end in (_auc(each), *(each.auc.ci or ()))]
        aucs += [self.best, self.best - self.question.tolerance, *([] if self.count is None else [self.count])]
        low, high = min(aucs), max(aucs)
        margin, some_below = max(0.08 * (high - low), 1e-6), any(_auc(each) < low for each in self.shown)
        return x, Scale(low - margin * (2.5 if some_below else 1), high + margin, plot.y1, plot.y0), low

    def _at(self, each: Contender) -> tuple[float, float]:
        y = self.y.at(_auc(each)) if _auc(each) >= self.below else self.frame.plot.y1 - 14
        return self.x.at(_p99(each)), y

    def _ground(self) -> list[str]:
        """What is over the budget, the band of the tolerance, and the count that is chosen."""
        plot, limit = self.frame.plot, self.x.at(self.question.budget_ms)
        top, bottom = self.y.at(self.best), self.y.at(self.best - self.question.tolerance)
        parts = [
            box(limit, plot.y0, plot.x1 - limit, plot.y1 - plot.y0, "over"),
            box(plot.x0, top, plot.x1 - plot.x0, max(1.5, bottom - top), "band"),
        ]
        if self.count is not None:
            y = self.y.at(self.count)
            parts.append(line(plot.x0, y, plot.x1, y, "count"))
        return parts

    def _axes(self) -> list[str]:
        plot, parts = self.frame.plot, []
        ticks = self.y.ticks(7)
        places = decimals(ticks[1] - ticks[0]) if len(ticks) > 1 else 4
        for tick in ticks:
            y = self.y.at(tick)
            parts += [line(plot.x0, y, plot.x1, y, "grid"), text(plot.x0 - 6, y, f"{tick:.{places}f}", "soft", "end")]
        for tick in self.x.ticks(self.frame.ticks):
            x = self.x.at(tick)
            parts += [line(x, plot.y1, x, plot.y1 + 5, "axis"), text(x, plot.y1 + 17, f"{tick:g}", "soft", "middle")]
        limit = self.x.at(self.question.budget_ms)
        middle = (plot.x0 + plot.x1) / 2
        return [
            *parts,
            line(plot.x0, plot.y1, plot.x1, plot.y1, "axis"),
            line(limit, plot.y0, limit, plot.y1, "limit"),
            text(middle, plot.y1 + 38, "p99 of a request, ms (log scale)", "soft", "middle"),
            text(plot.x0 - 50, 9, "AUC as served", "soft"),
        ]

    def _frontier(self) -> list[str]:
        """Steps: what AUC can be had within each time."""
        on_it = [self._at(self.decision.measured.named(name)) for name in self.verdict.frontier]
        steps = [on_it[0]] if on_it else []
        for x, y in on_it[1:]:
            steps += [(x, steps[-1][1]), (x, y)]
        return [path([*steps, (self.frame.plot.x1, steps[-1][1])], "frontier")] if steps else []

    def _point(self, each: Contender) -> str:
        x, y = self._at(each)
        parts = [line(bar.x0 + 1, bar.y0 + 1, bar.x1 - 1, bar.y1 - 1, f"bar s-{each.kind}") for bar in self._bars(each)]
        if each.name in (self.verdict.choice, self.verdict.guess):
            parts.append(element("circle", cx=x, cy=y, r=12.0, class_="ring"))
        if _auc(each) < self.below:
            parts.append(path([(x - 5, y + 8), (x, y + 13), (x + 5, y + 8)], "axis"))
        return element("g", element("title", _escaped(_told(each))), *parts, mark(each.kind, x, y))

    def _bars(self, each: Contender) -> list[Box]:
        """Its error bars as boxes two pixels wide."""
        (x, y), bars = self._at(each), []
        if each.p99_ms.ci:
            ends = [self.x.at(end) for end in each.p99_ms.ci if end > 0]
            bars.append(Box(min(ends, default=x) - 1, y - 1, max(ends, default=x) + 1, y + 1))
        if each.auc.ci and _auc(each) >= self.below:
            bottom = min(self.y.at(each.auc.ci[0]), self.frame.plot.y1)
            bars.append(Box(x - 1, self.y.at(each.auc.ci[1]) - 1, x + 1, bottom + 1))
        return bars

    def _labels(self) -> list[str]:
        """Names: that of the choice has the first choice of a place, then those at the edge, which has few."""
        marked = (self.verdict.choice, self.verdict.guess)
        order = sorted(self.shown, key=lambda each: (each.name not in marked, _auc(each) >= self.below, -_auc(each)))
        names = [self._name(each) for each in order]
        spots = [
            Spot(*self._at(each), CHARACTER * len(name) / 2, HALF_LINE) for each, name in zip(order, names, strict=True)
        ]
        budget, taken, across = self._budget()
        boxes = place_labels(spots, self.frame.plot, [taken], [*(b for c in order for b in self._bars(c)), across])
        parts = [budget]
        for each, name, spot, at in zip(order, names, spots, boxes, strict=True):
            start = lead(at, spot)
            parts += [line(*start, spot.x, spot.y, "lead")] if start else []
            strong = " strong" if each.name in marked else ""
            parts.append(text((at.x0 + at.x1) / 2, (at.y0 + at.y1) / 2, name, f"name{strong}", "middle"))
        return parts

    def _budget(self) -> tuple[str, Box, Box]:
        """What stands at the line of the budget, where it covers the fewest marks; its box, and the line's."""
        plot, limit = self.frame.plot, self.x.at(self.question.budget_ms)
        words, marks = f"budget {self.question.budget_ms:g} ms", [self._at(each) for each in self.shown]
        wide, places = CHARACTER * len(words) + 6, []
        for y in (plot.y1 - 12, plot.y0 + 10):
            for x, anchor in ((limit - wide, "end"), (limit, "start")):
                taken = Box(x, y - 8, x + wide, y + 8)
                covered = sum(taken.meets(Box(a - 8, b - 8, a + 8, b + 8)) for a, b in marks)
                places.append((covered + 100 * (not plot.holds(taken)), anchor, y, taken))
        _, anchor, y, taken = min(places, key=lambda place: place[0])
        label = text(limit - 6 if anchor == "end" else limit + 6, y, words, "name", anchor)
        return label, taken, Box(limit - 1, plot.y0, limit + 1, plot.y1)

    def _name(self, each: Contender) -> str:
        bytes_ = f", {size(each.record_bytes)}" if self.frame.named_bytes and each.record_bytes else ""
        outside = f" (AUC {number(each.auc.value)})" if _auc(each) < self.below else ""
        room = 0.6 * (self.frame.plot.x1 - self.frame.plot.x0) - CHARACTER * len(bytes_ + outside)
        return f"{shortened(_one_line(each.name), room)}{bytes_}{outside}"

    def _legend(self) -> tuple[list[str], int]:
        """Every sign that is there and its meaning; and how many lines they take."""
        plot, there, columns = self.frame.plot, {each.kind for each in self.shown}, self.frame.legend_columns
        kinds: list[Kind] = [kind for kind in KINDS if kind in there]
        signs: list[tuple[Sign, str]] = [(partial(mark, kind), KINDS[kind]) for kind in kinds]
        band = f"within {self.question.tolerance:g} of the highest AUC"
        signs.append((lambda x, y: box(x - 10, y - 6, 20, 12, "band"), band))
        signs.append((lambda x, y: path([(x - 10, y), (x + 10, y)], "frontier"), "frontier: what AUC a time allows"))
        if self.count is not None:
            signs.append((lambda x, y: line(x - 10, y, x + 10, y, "count"), "the choice: a count, which was not timed"))
        if {self.verdict.choice, self.verdict.guess} & {each.name for each in self.shown}:
            said = "the choice" if self.verdict.choice else "the best guess"
            signs.append((lambda x, y: element("circle", cx=float(x), cy=float(y), r=8.0, class_="ring"), said))
        parts, wide = [], (plot.x1 - plot.x0 + 30) / columns
        for place, (sign, meaning) in enumerate(signs):
            row, column = divmod(place, columns)
            x, y = plot.x0 - 36 + column * wide, plot.y1 + 66 + row * LEGEND_LINE
            parts += [sign(x, y), text(x + 18, y, meaning, "soft")]
        return parts, -(-len(signs) // columns)


def far_below(aucs: Sequence[float]) -> float:
    """The lowest AUC that is drawn in scale; -1 where all are.

    The lowest ones, a third of all at most, are left out where that makes the range less than 1 / `FAR_BELOW` of it.
    """
    ordered = sorted(aucs, reverse=True)
    kept = list(ordered)
    for low in range(len(ordered) - 1, max(LEAST_SHOWN, len(ordered) - len(ordered) // 3) - 1, -1):
        if FAR_BELOW * (ordered[0] - ordered[low - 1]) < kept[0] - kept[-1]:
            kept = ordered[:low]
    return kept[-1] if len(kept) < len(ordered) else -1.0


def _chosen_count(decision: Decision) -> float | None:
    """The AUC of the choice where it is a count without a model."""
    counters = decision.measured.counters
    return next((each.auc.value for each in counters if each.name == decision.verdict.choice), None)


def _alt(decision: Decision, shown: Sequence[Contender]) -> str:
    verdict = decision.verdict
    on_it = ", ".join(_told(decision.measured.named(name)) for name in verdict.frontier)
    others = ", ".join(_told(each) for each in shown if each.name not in verdict.frontier)
    marked = verdict.choice or verdict.guess
    said = f" {'The choice' if verdict.choice else 'The best guess'} is {_one_line(marked)}." if marked else ""
    return (
        f"AUC as served against the p99 of a request. No other one beats in both, the fastest first: {on_it}."
        f"{f' The others: {others}.' if others else ''}{said}"
    )


def _told(each: Contender) -> str:
    return f"{_one_line(each.name)} ({milliseconds(each.p99_ms.value)} ms, AUC {number(each.auc.value)})"


def _one_line(name: str) -> str:
    return " ".join(name.replace("`", "'").split())


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _auc(each: Contender) -> float:
    assert each.auc.value is not None
    return each.auc.value


def _p99(each: Contender) -> float:
    assert each.p99_ms.value is not None
    return each.p99_ms.value
