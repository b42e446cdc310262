"""The pictures: every point where its numbers are, its shape, its label; budget, band, frontier, ring; scales."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from lrea_cli.decide.results import UNKNOWN, CurvePoint
from lrea_cli.decide.verdict.answer import Decision
from lrea_cli.decide.verdict.verdict import decide
from lrea_cli.reporting.decision.curve_picture import curve_picture
from lrea_cli.reporting.decision.frontier_picture import far_below, frontier_picture
from lrea_cli.reporting.decision.svg import CHARACTER, RADIUS, Scale, decimals, element, round_step, shortened
from lrea_cli.reporting.labels import Box, Spot, lead, place_labels, spread
from lrea_cli.stats.estimates import Estimate
from tests.decide.made_up import (
    DECISIONS,
    QUESTION,
    around,
    compared,
    contender,
    counter,
    made_up_not_shown,
    made_up_ship,
    measured,
    whole,
)

SIZES = ("wide", "narrow")


def tree(decision: Decision, size: str) -> ElementTree.Element:
    picture = frontier_picture(decision)
    assert picture is not None
    return ElementTree.fromstring(getattr(picture, size))


def center(group: ElementTree.Element) -> tuple[float, float]:
    """Of the mark: the last element of a point's group."""
    mark = list(group)[-1]
    if mark.tag == "circle":
        return float(mark.attrib["cx"]), float(mark.attrib["cy"])
    corners = [tuple(map(float, pair.split(","))) for pair in mark.attrib["points"].split()]
    xs, ys = zip(*corners, strict=True)
    middle = (min(ys) + max(ys)) / 2 if len(corners) == 4 else min(ys) + 1.3 * RADIUS
    return (min(xs) + max(xs)) / 2, middle


def points(picture: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {(group.find("title").text or "").partition(" (")[0]: group for group in picture.iter("g")}  # pyright: ignore


def of_class(picture: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [each for each in picture.iter() if name in each.attrib.get("class", "").split()]


SIMPLE = compared(
    [
        contender("full attention", 0.806, 20.0, "full"),
        contender("b", 0.804, 10.0, "compressed"),
        contender("c", 0.803, 5.0),
        contender("d", 0.801, 2.5, "short"),
    ]
)


@pytest.mark.parametrize("size", SIZES)
def test_every_point_stands_where_its_numbers_are(size: str) -> None:
    at = {name: center(group) for name, group in points(tree(decide(measured(SIMPLE)), size)).items()}
    assert set(at) == {"full attention", "b", "c", "d"}
    x = [at[name][0] for name in ("d", "c", "b", "full attention")]
    steps = [b - a for a, b in pairwise(x)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.25), "each doubling is as wide"
    assert steps[0] > 0
    y = {name: at[name][1] for name in at}
    assert y["d"] > y["c"] > y["b"] > y["full attention"], "above is better"
    per = (y["d"] - y["full attention"]) / 5
    assert y["c"] - y["b"] == pytest.approx(per, abs=1.5)
    assert y["b"] - y["full attention"] == pytest.approx(2 * per, abs=2.5)


@pytest.mark.parametrize("size", SIZES)
def test_bars_are_the_intervals(size: str) -> None:
    picture = tree(decide(measured(SIMPLE)), size)
    x = {name: center(group)[0] for name, group in points(picture).items()}
    y = {name: center(group)[1] for name, group in points(picture).items()}
    flat, upright = list(points(picture)["c"].iter("line"))
    assert float(flat.attrib["y1"]) == float(flat.attrib["y2"]) == pytest.approx(y["c"], abs=0.1)
    scale = Scale(2.5, 20.0, x["d"], x["full attention"], log=True)
    ends = [float(flat.attrib[name]) for name in ("x1", "x2")]
    assert ends == pytest.approx([scale.at(4.8), scale.at(5.2)], abs=0.3)
    per = (y["d"] - y["c"]) / 0.002
    ends = [float(upright.attrib[name]) for name in ("y1", "y2")]
    assert ends == pytest.approx([y["c"] - 0.002 * per, y["c"] + 0.002 * per], abs=0.5)


@pytest.mark.parametrize("size", SIZES)
def test_budget_band_frontier_and_ring(size: str) -> None:
    decision = decide(measured(SIMPLE, question=replace(QUESTION, tolerance=0.0025)))
    assert decision.verdict.choice == "b"
    picture = tree(decision, size)
    at = {name: center(group) for name, group in points(picture).items()}
    (limit,) = of_class(picture, "limit")
    assert float(limit.attrib["x1"]) == pytest.approx(at["b"][0], abs=0.1), "b takes just the budget"
    (over,) = of_class(picture, "over")
    assert float(over.attrib["x"]) == pytest.approx(at["b"][0], abs=0.1)
    band = of_class(picture, "band")[0]
    top, height = float(band.attrib["y"]), float(band.attrib["height"])
    assert top == pytest.approx(at["full attention"][1], abs=0.1)
    assert height == pytest.approx((at["d"][1] - at["full attention"][1]) / 2, abs=0.3), ".0025 of .005"
    rings = [(float(r.attrib["cx"]), float(r.attrib["cy"])) for r in of_class(picture, "ring")]
    assert rings[0] == pytest.approx(at["b"], abs=0.1)
    assert len(rings) == 2, "and one in the legend"
    corners = [tuple(map(float, pair.split())) for pair in of_class(picture, "frontier")[0].attrib["d"][1:].split("L")]
    assert corners[0] == pytest.approx(at["d"], abs=0.1)
    assert corners[1] == pytest.approx((at["c"][0], at["d"][1]), abs=0.1), "first to the right, then up"
    assert corners[2] == pytest.approx(at["c"], abs=0.1)


@pytest.mark.parametrize("size", SIZES)
def test_the_band_hangs_from_the_highest_auc_timed_or_not(size: str) -> None:
    untimed = replace(contender("untimed", 0.808, None), p99_ms=UNKNOWN)
    picture = tree(decide(measured([*SIMPLE, untimed])), size)
    at = {name: center(group)[1] for name, group in points(picture).items()}
    per = (at["d"] - at["full attention"]) / 0.005
    assert float(of_class(picture, "band")[0].attrib["y"]) == pytest.approx(at["full attention"] - 0.002 * per, abs=1)


@pytest.mark.parametrize("size", SIZES)
def test_a_count_that_is_chosen_is_a_line_and_no_other_is(size: str) -> None:
    counters = [counter("seen before", 0.807, SIMPLE), counter("popularity", 0.6, SIMPLE)]
    picture = tree(decide(measured(SIMPLE, counters)), size)
    at = {name: center(group)[1] for name, group in points(picture).items()}
    drawn, _ = of_class(picture, "count")
    per = (at["d"] - at["full attention"]) / 0.005
    assert float(drawn.attrib["y1"]) == pytest.approx(at["full attention"] - 0.001 * per, abs=1)
    assert any("a count, which was not timed" in (text.text or "") for text in of_class(picture, "soft"))
    assert not of_class(tree(decide(measured(SIMPLE, counters[1:])), size), "count")


@pytest.mark.parametrize("size", SIZES)
def test_one_within_the_range_of_the_others_intervals_stands_in_scale(size: str) -> None:
    wide = [replace(each, auc=around(each.auc.value or 0.0, 0.02)) for each in SIMPLE]
    picture = tree(decide(measured([*wide, contender("low", 0.785, 2.0, "short")])), size)
    at = {name: center(group)[1] for name, group in points(picture).items()}
    per = (at["d"] - at["full attention"]) / 0.005
    assert at["low"] == pytest.approx(at["d"] + 0.016 * per, abs=3)
    assert not any("(AUC" in (text.text or "") for text in of_class(picture, "name"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", DECISIONS)
def test_every_point_has_its_name_and_none_covers_another(name: str, size: str) -> None:
    decision = DECISIONS[name]()
    picture = tree(decision, size)
    labels = [text for text in of_class(picture, "name") if not (text.text or "").startswith("budget")]
    assert len(labels) == len(decision.measured.contenders)
    for each in decision.measured.contenders:
        assert any((text.text or "").startswith(each.name) for text in labels)
    boxes = []
    for text in of_class(picture, "name"):
        x, y, half = float(text.attrib["x"]), float(text.attrib["y"]) - 4.5, 3 * len(text.text or "")
        left = {"middle": x - half, "end": x - 2 * half, "start": x}[text.attrib["text-anchor"]]
        boxes.append(Box(left, y - 7, left + 2 * half, y + 7))
    width = float(picture.attrib["viewBox"].split()[2])
    assert all(box.x0 >= 0 and box.x1 <= width for box in boxes)
    assert not [pair for pair in combinations(boxes, 2) if pair[0].meets(pair[1])]
    (strong,) = of_class(picture, "strong")
    assert (strong.text or "").startswith(decision.verdict.choice or decision.verdict.guess or "?")


def test_shapes_tell_the_kinds_apart() -> None:
    groups = points(tree(decide(measured(SIMPLE)), "wide"))
    marks = {name: list(group)[-1] for name, group in groups.items()}
    corners = {name: len(mark.attrib.get("points", "").split()) for name, mark in marks.items()}
    assert corners == {"full attention": 4, "b": 4, "c": 0, "d": 3}
    diamond, square = (marks[name].attrib["points"].split() for name in ("full attention", "b"))
    assert len({pair.split(",")[0] for pair in square}) == 2
    assert len({pair.split(",")[0] for pair in diamond}) == 3
    assert {mark.attrib["class"] for mark in marks.values()} == {
        f"mark f-{kind}" for kind in ("full", "compressed", "cached", "short")
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("auc", [0.801, 0.808])
@pytest.mark.parametrize("time", [9.0, 11.0])
def test_the_budget_stands_off_the_marks(auc: float, time: float, size: str) -> None:
    """The corners beside its line: a mark in any one of them."""
    corner = contender("corner", auc, time, p99_ms=Estimate(time, None, None))
    others = [contender("low", 0.801, 2.0), contender("high", 0.808, 30.0)]
    every = [replace(each, auc=Estimate(each.auc.value, None, None)) for each in (corner, *others)]
    picture = tree(decide(measured(compared(every))), size)
    (label,) = [text for text in of_class(picture, "name") if (text.text or "").startswith("budget")]
    x, y = float(label.attrib["x"]), float(label.attrib["y"]) - 4.5
    left, right = (x - 80, x) if label.attrib["text-anchor"] == "end" else (x, x + 80)
    for at in (center(group) for group in points(picture).values()):
        assert not Box(left, y - 7, right, y + 7).meets(Box(at[0] - 6, at[1] - 6, at[0] + 6, at[1] + 6))


def test_one_far_below_stands_at_the_edge_with_its_auc() -> None:
    picture = tree(made_up_ship(), "wide")
    (label,) = [text.text for text in of_class(picture, "name") if (text.text or "").startswith("din-short")]
    assert label == "din-short (AUC 0.7579)"
    at = {name: center(group) for name, group in points(picture).items()}
    assert at["din-short"][1] == max(y for _, y in at.values())
    assert len(list(points(picture)["din-short"].iter("line"))) == 1, "the interval of the p99 alone"


@pytest.mark.parametrize(
    ("aucs", "lowest"),
    [
        ([0.80, 0.79, 0.78, 0.70], 0.78),
        ([0.80, 0.79, 0.78, 0.751], -1.0),  # 2.45 times the range of the others
        ([0.80, 0.79, 0.70], -1.0),
        ([0.80, 0.799, 0.798, 0.797, 0.75, 0.60], 0.797),  # two steps
        ([0.80, 0.799, 0.798, 0.797, 0.76, 0.75], 0.797),  # neither of the two alone makes enough of the range
        ([0.80, 0.799, 0.798, 0.75, 0.60], 0.75),  # at most a third
        ([0.80], -1.0),
        ([0.8, 0.8, 0.8, 0.8], -1.0),
    ],
)
def test_what_is_far_below(aucs: list[float], lowest: float) -> None:
    assert far_below(aucs) == lowest
    assert far_below(aucs[::-1]) == lowest


def test_without_times_or_aucs_there_is_no_picture() -> None:
    assert frontier_picture(decide(measured([]))) is None
    assert frontier_picture(decide(measured([replace(SIMPLE[0], p99_ms=UNKNOWN)]))) is None
    assert frontier_picture(decide(measured([replace(SIMPLE[0], auc=UNKNOWN)]))) is None


def test_the_words_for_who_does_not_see_it() -> None:
    picture = frontier_picture(made_up_not_shown())
    assert picture is not None
    assert "din-short (2.6 ms, AUC 0.6921), category (3.8 ms, AUC 0.6969)" in picture.alt
    assert "The others: lrea (7.7 ms, AUC 0.6942)" in picture.alt
    assert picture.alt.endswith("The best guess is category.")
    assert ElementTree.fromstring(picture.wide).attrib["aria-label"] == picture.alt


# learning curves


@pytest.mark.parametrize("size", SIZES)
def test_curves_go_through_their_points(size: str) -> None:
    decision = made_up_ship()
    picture = curve_picture(decision)
    assert picture is not None
    root = ElementTree.fromstring(getattr(picture, size))
    lines = of_class(root, "line")
    assert len(lines) == len(decision.measured.contenders)
    for line in lines:
        corners = [tuple(map(float, pair.split())) for pair in line.attrib["d"][1:].split("L")]
        steps = [b[0] - a[0] for a, b in pairwise(corners)]
        assert steps[0] == pytest.approx(steps[1], abs=0.2), "each doubling is as wide"
        assert corners[0][1] > corners[1][1] > corners[2][1], "made-up curves all rise"
    assert len(of_class(root, "main")) == 2
    heights = sorted(float(text.attrib["y"]) for text in of_class(root, "name"))
    assert len(heights) == len(lines)
    assert min(b - a for a, b in pairwise(heights)) >= 14.8


def test_points_that_are_not_known_are_left_out() -> None:
    known, failed = Estimate(0.8, None, None), Estimate(None, None, None)
    curve = (CurvePoint(0.25, 10, failed), CurvePoint(0.5, 20, known), CurvePoint(1.0, 40, known))
    picture = curve_picture(decide(measured([replace(SIMPLE[0], curve=curve)])))
    assert picture is not None
    assert picture.alt.endswith("full attention: 0.8000 at 20, 0.8000 at 40.")
    assert curve_picture(decide(measured([replace(SIMPLE[0], curve=curve[:2])]))) is None


# scales and labels


def test_a_scale_runs_from_its_start_to_its_end() -> None:
    straight, log = Scale(2.0, 10.0, 100.0, 0.0), Scale(1.0, 100.0, 0.0, 50.0, log=True)
    assert [straight.at(v) for v in (2, 4, 10)] == pytest.approx([100, 75, 0])
    assert [log.at(v) for v in (1, 10, 100)] == pytest.approx([0, 25, 50])


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0.7883, 0.8061, False, [0.790, 0.795, 0.800, 0.805]),
        (1.0, 100.0, True, [1, 2, 5, 10, 20, 50, 100]),
        (0.004, 400000.0, True, [0.01, 0.1, 1, 10, 100, 1000, 10_000, 100_000]),
        (4.1, 4.4, True, [4.1, 4.15, 4.2, 4.25, 4.3, 4.35, 4.4]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, log: bool, expected: list[float]) -> None:
    assert Scale(low, high, 0.0, 1.0, log).ticks(8) == pytest.approx(expected)


@pytest.mark.parametrize("ends", [(2.9, 26.0), (0.8, 90.0), (9.9, 10.1), (4.0, 7.0), (0.01, 0.02), (30.0, 700.0)])
def test_a_time_axis_has_numbers_whatever_its_range(ends: tuple[float, float]) -> None:
    ticks = Scale(*ends, 0.0, 1.0, log=True).ticks(8)
    assert 2 <= len(ticks) <= 9
    assert all(ends[0] <= tick <= ends[1] * 1.0001 for tick in ticks)


def test_steps_and_decimals() -> None:
    assert [round_step(v) for v in (0.0011, 0.002, 0.3, 7, 1)] == pytest.approx([0.002, 0.002, 0.5, 10, 1])
    assert [decimals(step) for step in (0.005, 0.01, 0.1, 1, 20)] == [3, 2, 1, 0, 0]


def test_a_text_is_cut_where_it_does_not_fit() -> None:
    assert shortened("full attention", 14 * CHARACTER) == "full attention"
    assert shortened("full attention", 13 * CHARACTER) == "full attenti\N{HORIZONTAL ELLIPSIS}"
    assert shortened("full attention", 6 * CHARACTER) == "full\N{HORIZONTAL ELLIPSIS}"


@pytest.mark.parametrize("size", SIZES)
def test_labels_of_many_long_names_stay_on_the_picture(size: str) -> None:
    many = [contender(f"{'long name ' * 6}{n}", 0.8 + 0.0005 * n, 2.0 + n / 3) for n in range(18)]
    many = [whole(each, 0.01, None, None) for each in many]
    decision = decide(measured(compared(many)))
    curves, points = curve_picture(decision), frontier_picture(decision)
    assert curves is not None
    assert points is not None
    for root in (ElementTree.fromstring(getattr(each, size)) for each in (curves, points)):
        width = float(root.attrib["viewBox"].split()[2])
        for text in of_class(root, "name"):
            x, wide, anchor = float(text.attrib["x"]), 6.5 * len(text.text or ""), text.attrib["text-anchor"]
            left = {"start": x, "middle": x - wide / 2, "end": x - wide}[anchor]
            assert left >= 0
            assert left + wide <= width


def test_an_element_escapes_its_attributes() -> None:
    assert element("g", "x", class_='a"b', stroke_width=1.25) == '<g class="a&quot;b" stroke-width="1.2">x</g>'


def test_labels_keep_off_marks_texts_and_each_other() -> None:
    spots = [Spot(100 + 9 * n, 100 + 5 * (n % 3), 22, 8) for n in range(8)]
    frame, taken = Box(0, 0, 400, 300), [Box(0, 0, 400, 60)]
    boxes = place_labels(spots, frame, taken)
    marks = [Box(s.x - 6, s.y - 6, s.x + 6, s.y + 6) for s in spots]
    assert all(frame.holds(box) for box in boxes)
    assert not [1 for a, b in combinations(boxes, 2) if a.meets(b)]
    assert not [1 for box in boxes for other in (*marks, *taken) if box.meets(other)]
    assert place_labels(spots[:1], frame)[0].x0 > spots[0].x, "alone it stands at the right"
    assert any(lead(box, spot) for box, spot in zip(boxes, spots, strict=True))


def test_a_column_of_labels_is_spread() -> None:
    assert spread([10, 50, 90], 15, 0, 100) == [10, 50, 90]
    assert spread([50, 50, 50], 15, 0, 100) == [50, 65, 80]
    assert spread([95, 99, 98], 15, 0, 100) == [70, 100, 85]
