"""Taobao UserBehavior (Tianchi 649): nine days of clicks of a million users. Traps: docs/data.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lrea_cli.dataset.fields import SECONDS_PER_DAY, Field
from lrea_cli.errors import UserError, nearest
from lrea_cli.prepare.reading.delimited import PLAIN_COMMAS, Delimited
from lrea_cli.prepare.reading.intake import Intake
from lrea_cli.prepare.reading.judge import Judge
from lrea_cli.prepare.sources.base import (
    Extract,
    NegativesOption,
    PositivesOption,
    Sampling,
    Source,
    check_sampling,
)
from lrea_cli.prepare.sql import literal

COLUMNS = ("user", "item", "category", "behavior", "time")
INTEGERS = ("user", "item", "category", "time")
BEHAVIORS = ("pv", "cart", "fav", "buy")
UTC_OFFSET_MINUTES = 8 * 60
WINDOW_FROM = 1_511_539_200  # 2017-11-25 00:00:00 in UTC+8
WINDOW_LAST = 1_512_316_799  # 2017-12-03 23:59:59 in UTC+8
LAST_DAY = (WINDOW_LAST + UTC_OFFSET_MINUTES * 60) // SECONDS_PER_DAY

PUBLISHED_SHA256 = "46fdd7d389c1ddc7922eb7d9014af5573a4a3045da28c6c46197636873d8f1a9"
PUBLISHED_ROWS = 100_150_807
PUBLISHED_OUTSIDE = PUBLISHED_ROWS - 100_095_231
PUBLISHED_DUPLICATES = 49
PUBLISHED_KEPT = 100_095_182
PUBLISHED_CLICKS = 89_660_671


@dataclass(frozen=True)
class Taobao(Source):
    """The public Taobao click log, as downloaded."""

    name: ClassVar[str] = "taobao"
    file_names: ClassVar[tuple[str, ...]] = ("UserBehavior.csv",)
    where_to_get: ClassVar[str] = (
        "UserBehavior.csv.zip (906 MB) from https://tianchi.aliyun.com/dataset/649 (free, after signing in); "
        "it is read without unpacking"
    )

    behaviors: Annotated[
        str, typer.Option(help="What counts as history and as a target: a comma list of pv, cart, fav, buy.")
    ] = "pv"
    negatives: NegativesOption = "same-day"
    positives: PositivesOption = "all"

    def __post_init__(self) -> None:
        check_sampling(self.negatives, self.positives)
        for behavior in self._wanted():
            if behavior not in BEHAVIORS:
                raise UserError(
                    f"--behaviors has '{behavior}'{nearest(behavior, BEHAVIORS)}.",
                    "Use a comma list of pv, cart, fav, buy.",
                )

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Read the files in place, keep the rows that can be used, count the others by reason."""
        form = Delimited(COLUMNS, separation=PLAIN_COMMAS, integers=INTEGERS)
        judge = self._judge(form.columns)
        kept = self._kept()
        intake.create("raw_events", {name: "BIGINT" if name in INTEGERS else "VARCHAR" for name in kept})
        for path in files:
            intake.take_text(path, form, judge, "raw_events")
        published = intake.read == PUBLISHED_ROWS and PUBLISHED_SHA256 in {file.sha256 for file in intake.files}
        intake.require_some(files, judge.remedy)
        behavior = "behavior" if "behavior" in kept else literal(self._wanted()[0])
        return Extract(
            fields=(Field("item", "item"), Field("category", "item")),
            sampling=Sampling(self.negatives, self.positives),
            utc_offset_minutes=UTC_OFFSET_MINUTES,
            last_day=LAST_DAY,
            unique=kept,
            text=f"concat_ws(',', user, item, category, {behavior}, time)",
            published=self._published() if published else {},
        )

    def _wanted(self) -> list[str]:
        return [word.strip() for word in self.behaviors.split(",")]

    def _kept(self) -> tuple[str, ...]:
        """The columns of kept rows, by which they are unique: a single behavior needs no column."""
        return COLUMNS if len(self._wanted()) > 1 else INTEGERS

    def _judge(self, columns: Mapping[str, str]) -> Judge:
        known, wanted = (", ".join(map(literal, names)) for names in (BEHAVIORS, self._wanted()))
        return Judge(
            cast=dict(columns),
            reasons={
                "not_an_integer": " OR ".join(f"{name} IS NULL" for name in INTEGERS),
                "unknown_behavior": f"behavior NOT IN ({known})",
                "outside_window": f"time NOT BETWEEN {WINDOW_FROM} AND {WINDOW_LAST}",
                "other_behavior": f"behavior NOT IN ({wanted})",
            },
            values={name: name for name in self._kept()},
            remedy=f"The rows must be: {', '.join(COLUMNS)}, within the nine days of the published log.",
            unwanted=frozenset({"other_behavior"}),
        )

    def _published(self) -> dict[str, int]:
        """Counts of the published file that these options fix."""
        wanted = set(self._wanted())
        known = {"outside_window": PUBLISHED_OUTSIDE}
        if wanted == {"pv"}:
            known["kept"] = PUBLISHED_CLICKS
        if wanted == set(BEHAVIORS):
            known |= {"kept": PUBLISHED_KEPT, "duplicate": PUBLISHED_DUPLICATES}
        return known
