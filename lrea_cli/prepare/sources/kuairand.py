"""KuaiRand (Pure, 1K, 27K): real exposures of short videos, clicked or not. Traps: docs/data.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lrea_cli.dataset.fields import Field
from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.delimited import Delimited
from lrea_cli.prepare.reading.intake import Intake
from lrea_cli.prepare.reading.judge import Judge
from lrea_cli.prepare.reading.tabular import check_columns, read_header
from lrea_cli.prepare.sources.base import Extract, Source
from lrea_cli.prepare.sql import count, drop, number_sql, strict_integer

if TYPE_CHECKING:
    import duckdb

LOG, VIDEOS = "log_standard_", "video_features_basic_"
LOG_COLUMNS = ("user_id", "video_id", "time_ms", "is_click")
VIDEO_COLUMNS = ("video_id", "author_id", "video_duration", "tag")
VIDEO_INTEGERS = ("video_id", "author_id")

UTC_OFFSET_MINUTES = 8 * 60
WINDOW_FROM = 1_649_260_800  # 2022-04-07 00:00:00 in UTC+8: `time_ms` is up to two hours before the log's own hour
WINDOW_LAST = 1_652_025_599  # 2022-05-08 23:59:59 in UTC+8
NO_LOG = "This is no KuaiRand log: take log_standard_*.csv of the archive as it is."
NO_VIDEOS = "This is no list of KuaiRand's videos: take video_features_basic_*.csv of the archive as it is."


@dataclass(frozen=True)
class KuaiRand(Source):
    """The public log of real exposures at Kuaishou: Pure, 1K or 27K, as unpacked."""

    name: ClassVar[str] = "kuairand"
    file_names: ClassVar[tuple[str, ...]] = (f"{LOG}*.csv", f"data/{LOG}*.csv", f"KuaiRand-*/data/{LOG}*.csv")
    companion_names: ClassVar[tuple[str, ...]] = (f"{VIDEOS}*.csv",)
    unused_options: ClassVar[tuple[str, ...]] = ("seed", "min_history", "negatives_per_positive", "train_days")
    where_to_get: ClassVar[str] = (
        "KuaiRand-Pure, KuaiRand-1K or KuaiRand-27K from https://kuairand.com (CC BY-SA 4.0) and unpack the archive"
    )

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Read the logs in the order of their names and the videos beside them, and give each exposure its video's."""
        logs, videos = _told_apart(files)
        log_forms = {path: _form(intake, path, LOG_COLUMNS, LOG_COLUMNS, False, NO_LOG) for path in logs}
        video_forms = {path: _form(intake, path, VIDEO_COLUMNS, VIDEO_INTEGERS, True, NO_VIDEOS) for path in videos}
        kinds = {"user": "BIGINT", "time": "BIGINT", "is_behavior": "BOOLEAN", "label": "TINYINT"}
        intake.create("exposures", {**kinds, "item": "BIGINT", "hour": "BIGINT"})
        _take(intake, log_forms, _exposures, "exposures")
        catalog = intake.beside()
        catalog.create("videos", {"item": "BIGINT", "author": "BIGINT", "category": "BIGINT", "duration": "DOUBLE"})
        _take(catalog, video_forms, _videos, "videos")
        repeats = _drop_repeats(intake.db)
        without = count(intake.db, "SELECT count(*) FROM exposures ANTI JOIN videos USING (item)")
        intake.db.execute(
            "CREATE TABLE raw_events AS SELECT e.*, v.category, v.author, v.duration "
            "FROM exposures AS e LEFT JOIN videos AS v ON e.item = v.item"
        )
        drop(intake.db, "exposures", "videos")
        return Extract(
            fields=(
                Field("item", "item"),
                Field("category", "item"),
                Field("author", "item"),
                Field("duration", "item", numeric=True),
                Field("hour", "context"),
            ),
            sampling=None,
            utc_offset_minutes=UTC_OFFSET_MINUTES,
            facts={
                "video_rows": catalog.read,
                "video_rejected": catalog.rejected.total(),
                "video_repeats": repeats,
                "exposures_without_video": without,
            },
        )


def _told_apart(files: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The logs in the order of their names, which is that of time, and the videos of the same layout."""
    by_name = sorted(files, key=lambda path: path.name)
    logs, videos = ([path for path in by_name if path.name.lower().startswith(start)] for start in (LOG, VIDEOS))
    for path in by_name:
        if path not in logs + videos:
            raise UserError(f"{path} is neither {LOG}*.csv nor {VIDEOS}*.csv.", "Name the unpacked folder with --raw.")
    if not logs:
        raise UserError(f"{videos[0]} is no log.", "Name the unpacked folder, or its log_standard_*.csv, with --raw.")
    layouts = sorted({f"{path.parent} ({_layout(path)})" for path in logs})
    if len(layouts) > 1:
        raise UserError(
            f"There is more than one layout of KuaiRand: {', '.join(layouts)}. Their ids are not the same.",
            f"Choose one with --raw, such as --raw '{logs[0].parent}/{LOG}*_{_layout(logs[0])}*'.",
        )
    of_layout = [path for path in videos if _layout(path) == _layout(logs[0])]
    if not of_layout:
        raise UserError(
            f"There is no {VIDEOS}{_layout(logs[0])}.csv beside {logs[0]}.",
            "It has the videos' authors, tags and durations and is in the same archive: put it beside the log.",
        )
    return logs, of_layout


def _layout(path: Path) -> str:
    """`log_standard_4_08_to_4_21_27k_part1.csv` -> 27k."""
    return re.sub(r"(_part\d+)?\.csv.*$", "", path.name.lower()).rpartition("_")[2]


def _form(
    intake: Intake, path: Path, wanted: Sequence[str], integers: tuple[str, ...], quoted: bool, remedy: str
) -> Delimited:
    """How a file is to be read: its columns are known by their names."""
    names, separation = read_header(intake.text(path))
    check_columns(path, names, dict.fromkeys(wanted, remedy))
    return Delimited(names, True, replace(separation, quoted=quoted), integers)


def _take(
    intake: Intake, forms: Mapping[Path, Delimited], judge: Callable[[Mapping[str, str]], Judge], into: str
) -> None:
    judges = {path: judge(form.columns) for path, form in forms.items()}
    for path, form in forms.items():
        intake.take_text(path, form, judges[path], into)
    intake.require_some(forms, next(iter(judges.values())).remedy)


def _exposures(columns: Mapping[str, str]) -> Judge:
    """Integers are NULL where the text is none."""
    return Judge(
        cast={name: columns[name] for name in LOG_COLUMNS},
        reasons={
            "not_an_integer": "user_id IS NULL OR video_id IS NULL OR time_ms IS NULL",
            "time_out_of_range": f"time_ms // 1000 NOT BETWEEN {WINDOW_FROM} AND {WINDOW_LAST}",
            "label_not_0_or_1": "is_click IS NULL OR is_click NOT IN (0, 1)",
        },
        values={
            "user": "user_id",
            "time": "time_ms // 1000",
            "is_behavior": "is_click = 1",
            "label": "is_click",
            "item": "video_id",
            # not the log's own hourmin: for a fifth of the rows it begins after time_ms, and knows of the click
            "hour": f"(time_ms // 1000 + {UTC_OFFSET_MINUTES * 60}) % 86400 // 3600",
        },
        remedy=NO_LOG,
        nanoseconds="time_ms % 1000 * 1000000",
    )


def _videos(columns: Mapping[str, str]) -> Judge:
    """What is empty or no number is NULL, but for the id; of the tags, a comma list, the first is the category."""
    return Judge(
        cast={
            "item": columns["video_id"],
            "author": columns["author_id"],
            "category": strict_integer(f"trim(split_part({columns['tag']}, ',', 1))"),
            "duration": number_sql(columns["video_duration"]),
        },
        reasons={"not_an_integer": "item IS NULL"},
        values={name: name for name in ("item", "author", "category", "duration")},
        remedy=NO_VIDEOS,
    )


def _drop_repeats(db: duckdb.DuckDBPyConnection) -> int:
    """Of lines with one video the first stays; return how many others there were."""
    db.execute(
        "CREATE TABLE repeats AS SELECT item, min(source_row) AS kept FROM videos GROUP BY item HAVING count(*) > 1"
    )
    dropped = count(db, "DELETE FROM videos USING repeats AS r WHERE videos.item = r.item AND source_row > r.kept")
    drop(db, "repeats")
    return dropped
