"""The slow, obvious twin of the Amazon presets: loops over lines and rows, straight from docs/data.md."""

from __future__ import annotations

import ast
import hashlib
import html
import json
import math
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.prepare.loops.prepare import PRIME, Event, Order, Sample, _key, _mix, _wide, make_pool, spelled

DAY = 86_400


class Review(NamedTuple):
    """A usable line."""

    user: str
    item: str
    time: int


def read_json(lines: Iterable[str]) -> tuple[list[Review], Counter[str]]:
    """Reviews as JSON lines: usable ones in the order of the file, others by reason."""
    kept, rejected = [], Counter[str]()
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            rejected["not_json"] += 1
            continue
        row = row if isinstance(row, dict) else {}
        user, item = (spelled(row.get(key)) for key in ("reviewerID", "asin"))
        time = row.get("unixReviewTime")
        reason = _reason(user, item, str(time))
        if reason:
            rejected[reason] += 1
        else:
            kept.append(Review(str(user), str(item), int(str(time))))
    return kept, rejected


def read_csv(lines: Iterable[str], user_first: bool) -> tuple[list[Review], Counter[str]]:
    """The same, of a ratings file."""
    kept, rejected = [], Counter[str]()
    for line in lines:
        row = line.split(",") if line else [""] * 4
        if len(row) != 4:
            rejected["wrong_number_of_columns"] += 1
            continue
        user, item = map(spelled, row[:2] if user_first else row[1::-1])
        reason = "not_a_reviewer" if user and not re.fullmatch("A[0-9A-Z]+", user) else _reason(user, item, row[3])
        reason = reason or ("" if _is_number(row[2]) else "not_a_rating")
        if reason:
            rejected[reason] += 1
        else:
            kept.append(Review(str(user), str(item), int(row[3])))
    return kept, rejected


def read_meta_2018(lines: Iterable[str]) -> tuple[dict[str, str], Counter[str]]:
    """Item -> its category, the last clean element, and rejected lines by reason."""
    categories: dict[str, str] = {}
    rejected = Counter[str]()
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            rejected["not_json"] += 1
            continue
        item = row.get("asin") if isinstance(row, dict) else None
        if not item:
            rejected["missing_item"] += 1
        elif item in categories:
            rejected["repeated_product"] += 1
        else:
            elements = row.get("category")
            elements = elements if isinstance(elements, list) else []
            texts = [html.unescape(str(e)).strip() for e in elements if e is not None]
            clean = [text for text in texts if text and not re.search("</?[A-Za-z!]", text)]
            categories[item] = (spelled(clean[-1]) if clean else None) or "unknown"
    return categories, rejected


def read_meta_2014(lines: Iterable[str]) -> tuple[dict[str, str], Counter[str]]:
    """Item -> `categories[0][-1]`, and rejected lines by reason."""
    categories: dict[str, str] = {}
    rejected = Counter[str]()
    for line in lines:
        try:
            with warnings.catch_warnings(action="ignore"):
                row = ast.literal_eval(line.strip())
        except (ValueError, SyntaxError, TypeError):
            rejected["not_a_python_literal"] += 1
            continue
        item = row.get("asin") if isinstance(row, dict) else None
        if not item or not isinstance(item, str):
            rejected["missing_item"] += 1
        elif item in categories:
            rejected["repeated_product"] += 1
        else:
            lists = row.get("categories")
            category = lists[0][-1] if isinstance(lists, list) and lists and lists[0] else None
            categories[item] = (spelled(category) if isinstance(category, str) else None) or "unknown"
    return categories, rejected


def events_of(reviews: Iterable[Review], categories: dict[str, str]) -> tuple[list[Event], int]:
    """Each user's first review of an item, in the order of (user, time, hash of user and item), and how many others."""
    firsts: dict[tuple[str, str], Review] = {}
    reviews = list(reviews)
    for review in reviews:
        pair = review.user, review.item
        if pair not in firsts or review.time < firsts[pair].time:
            firsts[pair] = review
    ordered = sorted(firsts.values(), key=lambda r: (r.user, r.time, place_in_day(r.user, r.item)))
    return [Event(r.user, r.time, r.item, categories.get(r.item, "unknown")) for r in ordered], len(reviews) - len(
        firsts
    )


def place_in_day(user: str, item: str) -> int:
    """What the reviews of one day are ordered by."""
    residue = {text: int(hashlib.md5(text.encode()).hexdigest()[:15], 16) % PRIME for text in (user, item)}
    pair = int(hashlib.md5(f"{item} {user}".encode()).hexdigest()[:15], 16) % PRIME
    return _mix(_mix(_mix(1995) + residue[user]) + residue[item]) * PRIME + pair


def make_samples(
    events: list[Event], splits: str, negatives: str, seed: int = 2025, min_history: int = 20, per_positive: int = 1
) -> tuple[list[Sample], int]:
    """All samples in no particular order, and the number of dropped pairs; a target is a user's last review."""
    own: dict[str, list[Event]] = defaultdict(list)
    for e in events:
        own[str(e.user)].append(e)
    split_of, valid_from = (
        (lambda e: _split_of_user(seed, str(e.user)), max(e.time for e in events) + DAY)
        if splits == "users"
        else _split_by_shares(own, min_history)
    )
    order = Order(events, valid_from)
    samples, dropped = [], 0
    pools: dict[object, list[Event]] = {}
    for user, mine in own.items():
        last = max(e.time for e in mine)
        target = min((e for e in mine if e.time == last), key=lambda e: (_key(seed, e), *order.of_item(e)))
        before = sum(e.time < last for e in mine)
        if before < min_history:
            continue
        place = (_month(last), split_of(target)) if negatives == "same-month" else last // DAY
        if place not in pools:
            pools[place] = pool_of(events, target, order, negatives, split_of)
        pool = pools[place]
        touched = {e.item for e in mine}
        drawn = []
        for number in range(per_positive):
            places = (_wide(_key(seed, target) + number * 100 + draw) % len(pool) for draw in range(100))
            found = next((pool[place] for place in places if pool[place].item not in touched), None)
            drawn += [found] if found else []
            dropped += found is None
        for e, label in [(target, 1), *((n, 0) for n in drawn)] if drawn else []:
            samples.append(Sample(split_of(target), user, last, before, e.item, e.category, label))
    return samples, dropped


def pool_of(
    events: list[Event], target: Event, order: Order, negatives: str, split_of: Callable[[Event], str]
) -> list[Event]:
    """What a negative of this target is drawn from, in its order."""
    if negatives == "same-month":
        near = [e for e in events if _month(e.time) == _month(target.time) and split_of(e) == split_of(target)]
        return sorted(near, key=order.in_pool)
    return make_pool(events, target, lambda time: time // DAY, order, negatives)


def _split_by_shares(own: dict[str, list[Event]], min_history: int) -> tuple[Callable[[Event], str], int]:
    """Cuts between days, nearest to 80% and 90% of the targets."""
    targets = Counter[int]()
    for mine in own.values():
        last = max(e.time // DAY for e in mine)
        targets[last] += sum(e.time // DAY < last for e in mine) >= min_history
    days = sorted(day for day in targets if targets[day])
    before = {day: sum(targets[d] for d in days if d < day) / targets.total() for day in days}
    valid = min(days[1:-1], key=lambda day: (abs(before[day] - 0.8), day))
    test = min((d for d in days if d > valid), key=lambda day: (abs(before[day] - 0.9), day))

    def split_of(e: Event) -> str:
        return "train" if e.time // DAY < valid else "valid" if e.time // DAY < test else "test"

    return split_of, valid * DAY


def _split_of_user(seed: int, user: str) -> str:
    drawn = _mix(_mix(seed) + int(hashlib.md5(user.encode()).hexdigest()[:15], 16) % PRIME) / PRIME
    return "test" if drawn < 0.1 else "valid" if drawn < 0.2 else "train"


def _month(time: int) -> tuple[int, int]:
    day = datetime.fromtimestamp(time, UTC)
    return day.year, day.month


def _reason(user: Any, item: Any, time: str) -> str:
    if not user:
        return "missing_user"
    if not item:
        return "missing_item"
    if not re.fullmatch("[-+]?[0-9]+", time) or abs(int(time)) >= 2**63:
        return "not_a_time"
    return "" if 1995 <= datetime.fromtimestamp(min(max(int(time), 0), 2**33), UTC).year < 2100 else "time_out_of_range"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
