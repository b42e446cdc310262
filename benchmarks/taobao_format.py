"""Raw files in Taobao's format of any size, in shuffled order, with the statistics of the real log (docs/data.md).

Lengths are lognormal (median 77, p90 about 200), clicks come in sessions over nine days, 21% repeat an item, .14% share
their second with another click of the user, items are Zipf-like, one in 3,000 has a second category; .055% of the rows
lie outside the window, and one row in two million stands twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

ROWS_A_USER = 101.4
ROWS_AN_ITEM = 24
CATEGORIES = 9_439
WINDOW_FROM, DAYS = 1_511_539_200, 9
BEHAVIORS = ("pv", "cart", "fav", "buy")
BEHAVIOR_SHARES = (0.896, 0.055, 0.029, 0.020)
USERS_A_CHUNK = 10_000
ROWS_A_PART = 4_000_000
ROW = np.dtype([("user", "i4"), ("item", "i4"), ("category", "i4"), ("behavior", "i1"), ("time", "i8")])


def write_taobao_format(path: Path, rows: int, seed: int = 2025) -> int:
    """Write the file; return its number of rows, about `rows`. The same arguments give the same bytes.

    Rows are dealt at random to parts on disk, and each part is shuffled: memory stays bounded.
    """
    parts = max(1, rows // ROWS_A_PART)
    folder = path.parent
    files = [folder / f".{path.name}.part-{part}" for part in range(parts)]
    try:
        for file in files:
            file.unlink(missing_ok=True)
        rng = np.random.default_rng([seed, 1])
        for chunk in _chunks(rows, seed):
            part_of = rng.integers(parts, size=len(chunk))
            for part, file in enumerate(files):
                with file.open("ab") as out:
                    out.write(chunk[part_of == part].tobytes())
        return _write_shuffled(path, files, np.random.default_rng([seed, 2]))
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _chunks(rows: int, seed: int) -> Iterator[np.ndarray]:
    """The rows of some thousand users at a time, user by user."""
    users = max(50, round(rows / ROWS_A_USER))
    raw_ids = np.random.default_rng([seed, 0]).permutation(round(users * 1.03) + 1)[:users] + 1
    for number, first in enumerate(range(0, users, USERS_A_CHUNK)):
        rng = np.random.default_rng([seed, 3, number])
        own = raw_ids[first : first + USERS_A_CHUNK]
        lengths = np.maximum(1, np.round(77 * np.exp(rng.normal(0, 0.74, len(own))))).astype(np.int64)
        yield _rows_of(rng, own, lengths, max(500, rows // ROWS_AN_ITEM))


def _rows_of(rng: np.random.Generator, users: np.ndarray, lengths: np.ndarray, items: int) -> np.ndarray:
    total = int(lengths.sum())
    start = np.repeat(np.cumsum(lengths) - lengths, lengths)
    made = np.zeros(total, ROW)
    made["user"] = np.repeat(users, lengths)
    made["item"] = _with_repeats(rng, _zipf(rng, items, total), start)
    made["category"] = _categories(rng, made["item"])
    made["behavior"] = rng.choice(len(BEHAVIORS), total, p=BEHAVIOR_SHARES)
    made["time"] = _times(rng, start)
    outside = rng.random(total) < 0.00055
    made["time"][outside] = rng.choice(
        [-2_134_949_234, 0, WINDOW_FROM - 1, 1_512_316_800, 2_122_867_355], outside.sum()
    )
    twice = made[rng.random(total) < 5e-7]
    return np.concatenate([made, twice])


def _zipf(rng: np.random.Generator, items: int, size: int) -> np.ndarray:
    """Items whose popularity falls as 1 / rank^.5; their numbers say nothing of their rank."""
    rank = (items * rng.random(size) ** 2).astype(np.int64)  # the inverse of the distribution function
    return 1 + rank * 2_654_435_761 % _prime_from(items)


def _prime_from(number: int) -> int:
    number |= 1
    while any(number % k == 0 for k in range(3, int(number**0.5) + 1, 2)):
        number += 2
    return number


def _with_repeats(rng: np.random.Generator, items: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Every fifth click goes to an item of an earlier click of the same user."""
    place = np.arange(len(items))
    repeats = (rng.random(len(items)) < 0.21) & (place > start)
    origin = np.where(repeats, start + ((place - start) * rng.random(len(items))).astype(np.int64), place)
    while (origin[origin] != origin).any():
        origin = origin[origin]
    return items[origin]


def _categories(rng: np.random.Generator, items: np.ndarray) -> np.ndarray:
    mixed = items.astype(np.int64) * 40_503 % 1_000_003 / 1_000_003
    category = 1 + (CATEGORIES * mixed**3).astype(np.int64)
    other = (items % 3000 == 0) & (rng.random(len(items)) < 0.5)
    return np.where(other, CATEGORIES + 1 - category, category) * 546  # as long as the real numbers


def _times(rng: np.random.Generator, start: np.ndarray) -> np.ndarray:
    """Sessions of about eight clicks, a few seconds to minutes apart, at waking hours of UTC+8."""
    total = len(start)
    opens = (rng.random(total) < 0.12) | (np.arange(total) == start)
    session = np.cumsum(opens) - 1
    hour = 8 + 15 * rng.beta(2.0, 1.5, total)
    opened = WINDOW_FROM + rng.integers(DAYS, size=total) * 86_400 + (hour * 3600).astype(np.int64)
    gap = np.where(opens, 0, np.where(rng.random(total) < 0.0016, 0, 1 + rng.exponential(40, total).astype(np.int64)))
    passed = np.cumsum(gap)
    first = np.flatnonzero(opens)
    return np.minimum(opened[first][session] + passed - passed[first][session], WINDOW_FROM + DAYS * 86_400 - 1)


def _write_shuffled(path: Path, parts: list[Path], rng: np.random.Generator) -> int:
    rows = 0
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    schema = pa.schema({name: pa.string() if name == "behavior" else pa.int64() for name in ROW.names or ()})
    with path.open("wb") as file, csv.CSVWriter(file, schema, write_options=options) as out:
        for part in parts:
            made = np.fromfile(part, ROW)
            rng.shuffle(made)
            columns = [
                pa.DictionaryArray.from_arrays(made[name], list(BEHAVIORS)).cast(pa.string())
                if name == "behavior"
                else pa.array(made[name].astype(np.int64))
                for name in schema.names
            ]
            out.write_table(pa.Table.from_arrays(columns, schema=schema))
            rows += len(made)
    return rows
