"""The slow, obvious twin of preparation: loops over rows, straight from the protocol in docs/data.md."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

PRIME = 2**31 - 1
Raw = int | str


class Event(NamedTuple):
    """A kept row; `label` is None where labels are sampled, `nanoseconds` order events inside one second."""

    user: Raw
    time: int
    item: Raw
    category: Raw | None
    label: int | None = None
    nanoseconds: int = 0


class Sample(NamedTuple):
    """A row of a split, with raw values."""

    split: str
    user: Raw
    time: int
    history_length: int
    item: Raw
    category: Raw | None
    label: int


def read_taobao(lines: Iterable[str], wanted: tuple[str, ...] = ("pv",)) -> tuple[list[Event], dict[str, int]]:
    """Kept events in the order of the file, and the number of rejected rows a reason."""
    events, rejected, seen = [], Counter(), set()
    for line in lines:
        columns = line.split(",") if line else [""] * 5
        if len(columns) != 5:
            rejected["wrong_number_of_columns"] += 1
            continue
        user, item, category, time = (_integer(columns[n]) for n in (0, 1, 2, 4))
        if user is None or item is None or category is None or time is None:
            rejected["not_an_integer"] += 1
        elif columns[3] not in ("pv", "cart", "fav", "buy"):
            rejected["unknown_behavior"] += 1
        elif not 1_511_539_200 <= time <= 1_512_316_799:
            rejected["outside_window"] += 1
        elif columns[3] not in wanted:
            rejected["other_behavior"] += 1
        elif (user, item, category, columns[3], time) in seen:
            rejected["duplicate"] += 1
        else:
            seen.add((user, item, category, columns[3], time))
            events.append(Event(user, time, item, category))
    return events, dict(rejected)


def spelled(text: object) -> str | None:
    """The one spelling of an id or category that was written as text; None where that says that it is missing."""
    trimmed = str(text or "").strip()
    if trimmed.lower() in ("", "null", "na", "n/a", "nan", "none", "\\n", "<na>", "#n/a"):
        return None
    whole, point, zeros = trimmed.partition(".")
    is_whole = point and set(zeros) == {"0"} and whole.removeprefix("-").isdecimal() and str(int(whole)) == whole
    return whole if is_whole else trimmed


def without_repeats(events: Iterable[Event]) -> list[Event]:
    """Of rows that are equal in everything the first stays."""
    return list(dict.fromkeys(events))


def make_samples(
    events: list[Event],
    utc_offset_hours: float,
    last_day: int | None = None,
    seed: int = 2025,
    min_history: int = 20,
    negatives_per_positive: int = 1,
    train_days: int = 1,
    test_days: int = 1,
    negatives: str = "same-day",
    positives: str = "all",
) -> tuple[list[Sample], int]:
    """All samples in no particular order, and the number of dropped pairs."""

    def day_of(time: int) -> int:
        return (time + offset) // 86_400

    offset = round(utc_offset_hours * 3600)
    end_day = max(day_of(e.time) for e in events) if last_day is None else last_day
    test_day = end_day - test_days + 1
    real = any(e.label is not None for e in events)
    train_day = min(day_of(e.time) for e in events) if real else test_day - 1 - train_days
    splits = dict.fromkeys(range(train_day, test_day - 1), "train")
    splits |= {test_day - 1: "valid"} | dict.fromkeys(range(test_day, end_day + 1), "test")
    behaviors: dict[Raw, list[Event]] = defaultdict(list)
    for e in events:
        if e.label != 0:
            behaviors[e.user].append(e)

    def length(user: Raw, time: int) -> int:
        return sum(e.time < time for e in behaviors[user])

    if real:
        shown = [e for e in events if e.label is not None and day_of(e.time) in splits]
        return [
            Sample(splits[day_of(e.time)], e.user, e.time, length(e.user, e.time), e.item, e.category, e.label or 0)
            for e in shown
        ], 0

    order = Order(events, (test_day - 1) * 86_400 - offset)
    samples, dropped = [], 0
    pools: dict[tuple[int, Raw | None], list[Event]] = {}
    for day, split in splits.items():
        for user, own in behaviors.items():
            of_day = [e for e in own if day_of(e.time) == day]
            if positives == "first-time":
                of_day = [e for e in of_day if not any(b.item == e.item and b.time < e.time for b in own)]
            if not of_day:
                continue
            last = max(e.time for e in of_day)
            target = min((e for e in of_day if e.time == last), key=lambda e: (_key(seed, e), *order.of_item(e)))
            before = length(user, target.time)
            if before < min_history:
                continue
            place = (day, target.category if negatives == "same-day-category" else None)
            if place not in pools:
                pools[place] = make_pool(events, target, day_of, order, negatives)
            pool = pools[place]
            touched = {e.item for e in own}
            drawn_ones = []
            for number in range(negatives_per_positive):
                for draw in range(100):
                    drawn = pool[_wide(_key(seed, target) + number * 100 + draw) % len(pool)]
                    if drawn.item not in touched:
                        drawn_ones.append(drawn)
                        break
                else:
                    dropped += 1
            for e, label in [(target, 1), *((n, 0) for n in drawn_ones)] if drawn_ones else []:
                samples.append(Sample(split, user, target.time, before, e.item, e.category, label))
    return samples, dropped


class Order:
    """Places of events in the order of their ids: what ties in time are sorted by."""

    def __init__(self, events: list[Event], valid_from: int) -> None:
        self.items = number(((e.item, e.time) for e in events), valid_from)
        self.categories = number(((e.category, e.time) for e in events), valid_from)

    def of_item(self, e: Event) -> tuple[int, int]:
        return self.items[e.item], self.categories[e.category]

    def in_pool(self, e: Event) -> tuple:
        return e.user, e.time, *self.of_item(e)


def make_pool(
    events: list[Event], target: Event, day_of: Callable[[int], int], order: Order, negatives: str
) -> list[Event]:
    """What a negative of this target is drawn from, in its order."""
    day = day_of(target.time)
    if negatives in ("same-day", "same-day-category"):
        pool = [e for e in events if day_of(e.time) == day]
        if negatives == "same-day-category":
            pool = [e for e in pool if e.category == target.category]
        return sorted(pool, key=order.in_pool)
    so_far = sorted((e for e in events if day_of(e.time) <= day), key=lambda e: (day_of(e.time), order.in_pool(e)))
    if negatives == "popularity":
        return so_far
    firsts: dict[Raw, Event] = {}
    for e in sorted(so_far, key=lambda e: (e.time, e.user, *order.of_item(e))):
        firsts.setdefault(e.item, e)
    return sorted(firsts.values(), key=lambda e: (day_of(e.time), order.in_pool(e)))


def number(values: Iterable[tuple[Raw | None, int]], valid_from: int) -> dict[Raw | None, int]:
    """Ids of (value, time) pairs: from 2 the sorted values seen before `valid_from`, then later ones."""
    first: dict[Raw, int] = {}
    for value, time in values:
        if value is not None:
            first[value] = min(time, first.get(value, time))
    ordered = sorted(v for v in first if first[v] < valid_from) + sorted(v for v in first if first[v] >= valid_from)
    return {None: 1} | {value: n + 2 for n, value in enumerate(ordered)}


def _key(seed: int, e: Event) -> int:
    h = 0
    for part in (seed, e.user, e.time, e.item):
        n = int(hashlib.md5(part.encode()).hexdigest()[:15], 16) if isinstance(part, str) else part
        h = _mix(h + n % PRIME)
    return h


def _mix(h: int) -> int:
    h = h % PRIME * 1_103_515_245 % PRIME
    return (h ^ (h >> 15)) * 48_271 % PRIME


def _wide(h: int) -> int:
    return _mix(h) * PRIME + _mix(_mix(h) + 1)


def _integer(text: str) -> int | None:
    if not re.fullmatch("[-+]?[0-9]+", text) or not -(2**63) <= int(text) < 2**63:
        return None
    return int(text)
