"""The cases: small raw files of every source, and the rows of them that are usable."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lrea_cli.prepare.sources.amazon_books import AmazonBooks
from lrea_cli.prepare.sources.amazon_books_sim import AmazonBooksSim
from lrea_cli.prepare.sources.base import Source
from lrea_cli.prepare.sources.kuairand import KuaiRand
from lrea_cli.prepare.sources.synthetic import AGE_BANDS, Synthetic
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import Taobao
from tests.fixtures.amazon_raw import write_amazon
from tests.fixtures.kuairand_raw import write_kuairand
from tests.fixtures.taobao_raw import write_taobao
from tests.prepare.loops import amazon as amazon_loops
from tests.prepare.loops.kuairand import FIELDS, read_kuairand
from tests.prepare.loops.prepare import Event as Click
from tests.prepare.loops.prepare import read_taobao

DAY = 86_400
UNKNOWN = 1
Value = int | float | str


class Kept(NamedTuple):
    """A usable raw row: `values` are those of the fields in their order, None where missing."""

    user: int | str
    time: int
    values: tuple[Value | None, ...]
    label: int | None = None
    is_behavior: bool = True


@dataclass(frozen=True)
class Raw:
    """What a small raw file holds.

    Args:
        path: for --raw; None where the source needs no file.
        kept: the usable rows; of one user's in one second, those that come first in a history stand first.
        logs: the files of the log, a row a line, behind so many lines of `header`.
        generated: rows that no file holds. repeats: usable rows that are left out, since they repeat another.
    """

    path: Path | None
    kept: list[Kept]
    logs: tuple[Path, ...] = ()
    header: int = 0
    generated: int = 0
    repeats: tuple[Kept, ...] = ()

    @property
    def read(self) -> int:
        return self.generated + sum(len(lines_of(path)) - self.header for path in self.logs)


@dataclass(frozen=True)
class Case:
    """A source with options, and what writes its raw files into a folder: always the same bytes."""

    name: str
    source: Source
    write: Callable[[Path], Raw]
    options: dict[str, Any] = field(default_factory=dict)


def lines_of(path: Path) -> list[str]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.decode().removesuffix("\n").split("\n")


def taobao(folder: Path) -> Raw:
    raw = write_taobao(folder / "UserBehavior.csv", users=24)
    return Raw(raw.path, of_clicks(read_taobao(raw.lines)[0]), (raw.path,))


def amazon(edition: int, csv: bool) -> Callable[[Path], Raw]:
    def write(folder: Path) -> Raw:
        raw = write_amazon(folder, edition, csv)
        read = amazon_loops.read_csv(raw.lines, edition == 2014) if csv else amazon_loops.read_json(raw.lines)
        meta = amazon_loops.read_meta_2014 if edition == 2014 else amazon_loops.read_meta_2018
        events, _ = amazon_loops.events_of(read[0], meta(raw.meta_lines)[0])
        return Raw(raw.reviews, of_clicks(events), (raw.reviews,))

    return write


def of_clicks(clicks: Iterable[Click]) -> list[Kept]:
    return [Kept(c.user, c.time, (c.item, c.category)) for c in clicks]


def kuairand(folder: Path) -> Raw:
    raw = write_kuairand(folder, users=15)
    kept = [
        Kept(e.user, e.time, tuple(getattr(e, name) for name in FIELDS), e.label, e.label == 1)
        for e in sorted(read_kuairand(raw.logs, raw.videos)[0], key=lambda e: e.time_ms)
    ]
    return Raw(raw.folder, kept, tuple(path for path in raw.files if path.name.startswith("log_")), header=1)


def synthetic(folder: Path) -> Raw:
    from lrea_cli.prepare.planted.dataset import generate

    planted = generate(Synthetic(users=SYNTHETIC_USERS))
    kept = []
    for events, shown in ((planted.behaviors, False), (planted.exposures, True)):
        labels = planted.exposures.label.tolist() if shown else [None] * len(events.user)
        columns = (events.user.tolist(), events.time.tolist(), events.item.tolist(), events.category.tolist(), labels)
        for user, time, item, category, label in zip(*columns, strict=True):
            band = AGE_BANDS[planted.age_band[user]]
            kept.append(Kept(user, time, (item, category, band, time // 3600 % 24), label, not shown))
    return Raw(None, kept, generated=len(kept))


SYNTHETIC_USERS = 25
COLUMNS = ("uid", "iid", "cat", "ts", "clicked", "brand", "price", "age", "city", "device")
TABLE: dict[str, Any] = {
    "user_column": "uid",
    "item_column": "iid",
    "category_column": "cat",
    "time_column": "ts",
    "item_field": ["brand", "price"],
    "user_field": ["age", "city"],
    "context_field": ["device"],
    "numeric": ["price", "age"],
    "utc_offset": "-5",
}
BAD_ROWS = (
    ",i1,c1,{t},1",
    "u1,,c1,{t},0",
    "u1,i1,c1,noon,1",
    "u1,i1,c1,99999999999,1",
    "u1,i1,c1,{t}",
    "u1,i1,c1,{t},,,,,,,,",
)
BAD_LABELS = ("u1,i1,c1,{t},2", "u1,i1,c1,{t},")


def table(labels: bool) -> Callable[[Path], Raw]:
    """Rows with missing values in every field but the item; they tie in seconds, and lie around midnight of UTC-5."""

    def write(folder: Path) -> Raw:
        rng = random.Random(23)
        rows = [row for user in range(14) for row in rows_of_user(rng, f"u{user}")]
        rows += rng.sample(rows, 12)
        rng.shuffle(rows)
        lines = [",".join(map(str, row)) for row in rows]
        for row in (*BAD_ROWS, *(BAD_LABELS if labels else ())):
            row = row.format(t=17_500 * DAY)
            missing = len(COLUMNS) - 1 - row.count(",")
            lines.append(row + "," * missing if missing < 6 else row)
        path = folder / "log.csv"
        path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n", encoding="utf-8")
        return with_repeats(path, [kept_row(row, labels) for row in rows])

    return write


def with_repeats(path: Path, rows: Sequence[Kept]) -> Raw:
    """Of rows that are equal in all that is used the first is kept."""
    counts = Counter(rows)
    repeats = [row for row, times in counts.items() for _ in range(times - 1)]
    return Raw(path, list(counts), (path,), header=1, repeats=tuple(repeats))


def rows_of_user(rng: random.Random, user: str) -> list[tuple[Value, ...]]:
    rows = []
    for day in range(7):
        for _ in range(rng.randrange(3, 9)):
            second = 17_500 * DAY + day * DAY + 5 * 3600 + rng.choice((0, 1, 2, 40_000, DAY - 2, DAY - 1))
            item = int(60 * rng.random() ** 2) + 3 * day
            brand, price = rng.choice((f"b{item % 7}", "é", "")), rng.choice((item / 4, item, "", "?"))
            user_fields = rng.choice((20 + int(user[1:]), 33.5, "")), rng.choice(("x", "y", ""))
            category = f"c{item % 9}" if item % 11 else ""
            clicked, device = int(rng.random() < 0.5), rng.choice(("phone", "web", ""))
            rows.append((user, f"i{item}", category, second, clicked, brand, price, *user_fields, device))
    return rows


def kept_row(row: Sequence[Value], labels: bool) -> Kept:
    user, item, category, time, label, brand, price, age, city, device = row
    numbers = [None if n in ("", "?") else float(n) for n in (price, age)]
    values = (item, category or None, brand or None, numbers[0], numbers[1], city or None, device or None)
    return Kept(str(user), int(time), values, int(label) if labels else None, not labels or label == 1)


CASES = (
    Case("taobao", Taobao(), taobao),
    Case("taobao-category", Taobao(negatives="same-day-category"), taobao, {"negatives_per_positive": 2}),
    Case("taobao-uniform", Taobao(negatives="uniform"), taobao, {"train_days": 3, "test_days": 2}),
    Case("taobao-popularity", Taobao(negatives="popularity"), taobao, {"seed": 1}),
    Case("taobao-first-time", Taobao(positives="first-time"), taobao, {"min_history": 5}),
    Case("amazon-books", AmazonBooks(), amazon(2018, csv=False)),
    Case("amazon-books-csv", AmazonBooks(), amazon(2018, csv=True), {"negatives_per_positive": 3}),
    Case("amazon-books-sim", AmazonBooksSim(), amazon(2014, csv=False)),
    Case("amazon-books-sim-csv", AmazonBooksSim(), amazon(2014, csv=True), {"min_history": 2}),
    Case("kuairand", KuaiRand(), kuairand),
    Case("table", Table(**TABLE), table(labels=False), {"min_history": 3, "negatives_per_positive": 2}),
    Case("table-shown", Table(**TABLE, label_column="clicked"), table(labels=True)),
    Case(
        "table-days", Table(**TABLE | {"utc_offset": "-03:30"}, label_column="clicked"), table(True), {"test_days": 2}
    ),
    Case("synthetic", Synthetic(users=SYNTHETIC_USERS), synthetic),
)
"""A new source adds itself here; an option that changes which rows are samples, or which history they see, too."""
