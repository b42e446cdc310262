"""Taobao UserBehavior (Tianchi 649): nine days of clicks of a million users. Traps: docs/data.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lrea_cli.data.schema import SECONDS_PER_DAY, Extract, Field, SourceFile
from lrea_cli.data.sources.delimited import LINE, DelimitedFile
from lrea_cli.data.sources.sifting import WRONG_COLUMNS, create_staged, keep_malformed, sift
from lrea_cli.data.sql import literal
from lrea_cli.errors import LreaError, UserError, nearest

if TYPE_CHECKING:
    import duckdb

COLUMNS = ("user", "item", "category", "behavior", "time")
BEHAVIORS = ("pv", "cart", "fav", "buy")
UTC_OFFSET_HOURS = 8
WINDOW_FROM = 1_511_539_200  # 2017-11-25 00:00:00 in UTC+8
WINDOW_LAST = 1_512_316_799  # 2017-12-03 23:59:59 in UTC+8
LAST_DAY = (WINDOW_LAST + UTC_OFFSET_HOURS * 3600) // SECONDS_PER_DAY

PUBLISHED_SHA256 = "46fdd7d389c1ddc7922eb7d9014af5573a4a3045da28c6c46197636873d8f1a9"
PUBLISHED_ROWS = 100_150_807
PUBLISHED_OUTSIDE = PUBLISHED_ROWS - 100_095_231
PUBLISHED_DUPLICATES = 49
PUBLISHED_CLICKS = 89_660_671


@dataclass(frozen=True)
class Taobao:
    """The public Taobao click log, as downloaded."""

    name: ClassVar[str] = "taobao"
    needs_files: ClassVar[bool] = True
    file_names: ClassVar[tuple[str, ...]] = (
        "UserBehavior.csv",
        "UserBehavior.csv.gz",
        "UserBehavior.csv.zip",
    )
    where_to_get: ClassVar[str] = (
        "UserBehavior.csv.zip (906 MB) from https://tianchi.aliyun.com/dataset/649 (free, after signing in); "
        "it is read without unpacking"
    )

    behaviors: Annotated[
        str, typer.Option(help="What counts as history and as a target: a comma list of pv, cart, fav, buy.")
    ] = "pv"

    def __post_init__(self) -> None:
        for behavior in self._wanted():
            if behavior not in BEHAVIORS:
                raise UserError(
                    f"--behaviors has '{behavior}'{nearest(behavior, BEHAVIORS)}.",
                    "Use a comma list of pv, cart, fav, buy.",
                )

    def extract(self, db: duckdb.DuckDBPyConnection, files: list[Path]) -> Extract:
        """Read the files in place, keep the rows that can be used, count the others by reason.

        Raises:
            UserError: a file is empty, damaged, or has no usable row.
        """
        integers = dict.fromkeys(("user", "item", "category", "time"), "BIGINT")
        create_staged(db, {**integers, "behavior": "VARCHAR"})
        read: list[SourceFile] = []
        events_read = malformed = 0
        published = False
        for path in files:
            file = DelimitedFile(path, COLUMNS, quoted=False)
            file.run(db, self._stage(path, events_read))
            keep_malformed(db, file)
            events_read += file.rows
            malformed += file.malformed_count
            published |= file.sha256 == PUBLISHED_SHA256
            read.append(file.source)
        _mark_duplicates(db)
        kept = (
            "source_row",
            "user",
            "time",
            "true AS is_behavior",
            "NULL::TINYINT AS label",
            "item",
            "category",
        )
        rejected = sift(db, kept, files, f"The rows must be: {', '.join(COLUMNS)}.") | (
            {WRONG_COLUMNS: malformed} if malformed else {}
        )
        if published and events_read == PUBLISHED_ROWS:
            self._check_published(events_read, rejected)
        return Extract(
            fields=(Field("item", "item"), Field("category", "item")),
            events_read=events_read,
            rejected=rejected,
            labels="sampled",
            files=tuple(read),
            utc_offset_hours=UTC_OFFSET_HOURS,
            last_day=LAST_DAY,
        )

    def _wanted(self) -> list[str]:
        return [word.strip() for word in self.behaviors.split(",")]

    def _stage(self, path: Path, rows_before: int) -> str:
        """SQL that casts and judges each row; the text of a row stays only where it cannot be used."""
        integer_names = ("user", "item", "category", "time")
        cast = ", ".join(f"{strict_integer(name)} AS {name}_" for name in integer_names)
        missing = " OR ".join(f"{name}_ IS NULL" for name in integer_names)
        behaviors = ", ".join(map(literal, BEHAVIORS))
        wanted = ", ".join(map(literal, self._wanted()))
        reason = (
            f"CASE WHEN {missing} THEN 'not_an_integer' "
            f"WHEN behavior NOT IN ({behaviors}) THEN 'unknown_behavior' "
            f"WHEN time_ NOT BETWEEN {WINDOW_FROM} AND {WINDOW_LAST} THEN 'outside_window' "
            f"WHEN behavior NOT IN ({wanted}) THEN 'other_behavior' END"
        )
        return (
            f"INSERT INTO staged SELECT {rows_before} + {LINE}, {literal(path.name)}, {LINE}, reason, "
            "CASE WHEN reason IS NOT NULL THEN text END, user_, item_, category_, time_, behavior FROM ("
            f"SELECT *, {reason} AS reason, concat_ws(',', {', '.join(COLUMNS)}) AS text "
            f"FROM (SELECT *, {cast} FROM incoming))"
        )

    def _check_published(self, events_read: int, rejected: dict[str, int]) -> None:
        """The file is the published one: what it holds is known.

        Raises:
            LreaError: the counts differ.
        """
        found = {"outside_window": rejected.get("outside_window"), "duplicate": rejected.get("duplicate")}
        expected = {"outside_window": PUBLISHED_OUTSIDE, "duplicate": PUBLISHED_DUPLICATES}
        if self._wanted() == ["pv"]:
            found["kept"] = events_read - sum(rejected.values())
            expected["kept"] = PUBLISHED_CLICKS
        if found != expected:
            raise LreaError(
                f"The file is the published one, yet counts differ: found {found}, expected {expected}.",
                "This is a defect of lrea: please report it.",
            )


def strict_integer(name: str) -> str:
    """SQL for a 64-bit integer, or NULL: a plain TRY_CAST would also take 1.5 (as 2), 1e3, 1_0 and 0x10."""
    return (
        f"CASE WHEN TRY_CAST({name} AS BIGINT)::VARCHAR = {name} THEN TRY_CAST({name} AS BIGINT) "
        f"WHEN regexp_full_match({name}, '[-+]?[0-9]+') THEN TRY_CAST({name} AS BIGINT) END"
    )


def _mark_duplicates(db: duckdb.DuckDBPyConnection) -> None:
    """Of rows equal in all five columns, the first stays. Hashes find the few suspects; columns decide."""
    columns = ", ".join(COLUMNS)
    valid = "(reason IS NULL OR reason = 'other_behavior')"
    db.execute(
        f"CREATE TABLE suspects AS SELECT hash({columns}) AS h FROM staged WHERE {valid} GROUP BY h HAVING count(*) > 1"
    )
    db.execute(
        "UPDATE staged SET reason = 'duplicate', text = concat_ws(',', user, item, category, behavior, time) "
        "WHERE source_row IN (SELECT source_row FROM staged "
        f"WHERE {valid} AND hash({columns}) IN (SELECT h FROM suspects) "
        f"QUALIFY row_number() OVER (PARTITION BY {columns} ORDER BY source_row) > 1)"
    )
    db.execute("DROP TABLE suspects")
