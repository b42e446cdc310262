"""The slow, obvious twin of the source `kuairand`: loops over lines, straight from the protocol in docs/data.md."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

FIELDS = ("item", "category", "author", "duration", "hour")


class Exposure(NamedTuple):
    """A kept row of the log, with the features of its video; None is unknown."""

    user: int
    time: int
    item: int
    category: int | None
    author: int | None
    duration: float | None
    hour: int
    label: int
    time_ms: int


def read_kuairand(logs: Iterable[Sequence[str]], videos: Sequence[str]) -> tuple[list[Exposure], dict[str, int]]:
    """Kept exposures in the order of the files, and the number of rejected rows a reason.

    Args:
        logs: the lines of each log, a header first. videos: those of the features.
    """
    catalog, exposures, rejected = read_videos(videos), [], Counter()
    for header, *lines in logs:
        names = header.split(",")
        for line in lines:
            cells = line.split(",") if line else [""] * len(names)
            row = dict(zip(names, cells, strict=False))
            if len(cells) != len(names):
                rejected["wrong_number_of_columns"] += 1
                continue
            user, item, time_ms, label = (integer(row[c]) for c in ("user_id", "video_id", "time_ms", "is_click"))
            if user is None or item is None or time_ms is None:
                rejected["not_an_integer"] += 1
            elif not 1_649_260_800_000 <= time_ms < 1_652_025_600_000:
                rejected["time_out_of_range"] += 1
            elif label not in (0, 1):
                rejected["label_not_0_or_1"] += 1
            else:
                of_video = catalog.get(item, (None, None, None))
                hour = (time_ms // 1000 + 8 * 3600) % 86_400 // 3600
                exposures.append(Exposure(user, time_ms // 1000, item, *of_video, hour, label, time_ms))
    return exposures, dict(rejected)


def read_videos(lines: Sequence[str]) -> dict[int, tuple[int | None, int | None, float | None]]:
    """Category, author and duration of each video; of several lines the first counts."""
    names, catalog = lines[0].split(","), {}
    for cells in csv.reader(lines[1:]):
        row = dict(zip(names, cells, strict=False))
        video = integer(row["video_id"]) if len(cells) == len(names) else None
        if video is not None and video not in catalog:
            tag = integer(row["tag"].split(",")[0].strip())
            catalog[video] = tag, integer(row["author_id"]), number(row["video_duration"])
    return catalog


def histories(exposures: Sequence[Exposure]) -> dict[int, list[Exposure]]:
    """Each user's clicks, oldest first."""
    users = sorted({e.user for e in exposures})
    return {u: sorted((e for e in exposures if e.user == u and e.label), key=lambda e: e.time_ms) for u in users}


def splits(exposures: Sequence[Exposure]) -> dict[str, list[tuple[Exposure, int]]]:
    """The exposures of each split, each with the number of clicks strictly before it."""
    days = [(e.time + 8 * 3600) // 86_400 for e in exposures]
    clicks, last, found = histories(exposures), max(days), {"train": [], "valid": [], "test": []}
    for e, day in zip(exposures, days, strict=True):
        split = {last: "test", last - 1: "valid"}.get(day, "train")
        found[split].append((e, sum(c.time < e.time for c in clicks[e.user])))
    return found


def quantile_edges(early: Iterable[float | None], most: int = 32) -> list[float]:
    """Where the parts begin: a value's part is `most` times the share of the smaller ones, rounded down."""
    values = sorted(v for v in early if v is not None)
    first: dict[int, float] = {}
    for value in sorted(set(values)):
        first.setdefault(most * sum(v < value for v in values) // len(values), value)
    return sorted(first.values())


def quantile(value: float | None, edges: Sequence[float]) -> int:
    """A value's id: 1 unknown, then from 2 the parts; what is below all of them belongs to the first."""
    return 1 if value is None else 1 + max(1, sum(edge <= value for edge in edges))


def integer(text: str) -> int | None:
    """A strict 64-bit integer."""
    return int(text) if re.fullmatch("[-+]?[0-9]+", text) and -(2**63) <= int(text) < 2**63 else None


def number(text: str) -> float | None:
    """A finite number."""
    try:
        return float(text) if math.isfinite(float(text)) else None
    except ValueError:
        return None
