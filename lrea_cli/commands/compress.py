"""`lrea compress`: a run and its users' histories to a cache of records."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.next_steps import after_compress
from lrea_cli.commands.options import (
    SEED,
    Device,
    Json,
    RecordDtype,
    Replace,
    RunDataset,
    RunName,
    Session,
    Threads,
    command,
    require_name,
    start,
    within,
)
from lrea_cli.console.show import WHOLE, number
from lrea_cli.dataset.fields import YEAR_2200
from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import COMPRESSOR_NAMES, COUNT, Compression, CompressorName

if TYPE_CHECKING:
    from lrea_cli.records.cache import Cache
    from lrea_cli.runs.checkpoint import Run

NOT_SHOWN = ("arguments", "made_from", "layout", "compression", "device")
"""Keys of a cache's manifest that `--json` leaves out."""

LATEST_DAYS = 366
"""How long after the end of the data --as-of may be."""


@dataclass(frozen=True)
class CompressOptions:
    """Options of `lrea compress`."""

    dtype: RecordDtype = "float32"
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Use only behaviors before this time, in epoch seconds or ISO 8601 (local time of the log); default: "
            "the end of the data."
        ),
    ] = None
    compressor: Annotated[
        CompressorName | None,
        typer.Option(
            metavar="<name>",
            help=f"Compress a din run without training: {', '.join(COMPRESSOR_NAMES)}; with --rank or --target (mean "
            "needs neither).",
        ),
    ] = None
    rank: Annotated[
        int | None,
        typer.Option(
            callback=within(*COUNT), help="Pseudo items that a history is compressed to, at most; with --compressor."
        ),
    ] = None
    target: Annotated[
        float | None,
        typer.Option(
            callback=within(0, 1000),
            help="Choose the smallest rank at which logits deviate by at most this share of their standard deviation; "
            "with --compressor.",
        ),
    ] = None
    seed: Annotated[int, SEED] = Compression.seed
    users: Annotated[Path | None, typer.Option(help="File with one raw user id a line; default: all users.")] = None
    cache: Annotated[str | None, typer.Option(help="Name for the new cache; default: <run>-<number>.")] = None
    dataset: RunDataset = None
    run: RunName = None
    threads: Threads = None
    device: Device = "auto"
    replace: Replace = False
    json: Json = False


@command
def compress(options: CompressOptions) -> None:
    """Write a cache: a record of each user, in place of the history.

    Example: lrea compress --compressor clusters --target 0.03
    """
    from lrea_cli.records import cache as caches
    from lrea_cli.runs.checkpoint import open_run
    from lrea_cli.score.rounding import rounding_deviation

    _check(options)
    require_name(options.replace, options.cache, "--cache")
    parse_time(options.as_of)  # refused before anything is opened
    users = None if options.users is None else _read_users(options.users)
    session = start(options.json, options.threads, options.device)
    run = open_run(session.workspace, options.run, options.dataset, session.device)
    as_of = _as_of(run, options.as_of)
    compression, curve = _compression(session, run, options)
    dense = None if users is None else caches.dense_users(run.dataset, users)
    settings = caches.CacheSettings(options.dtype, as_of, dense, compression)
    cache = caches.compress(session.workspace, run, settings, session.console, options.cache, replace=options.replace)
    rows = [
        ["method or compressor", cache.compressor or run.recipe.model.method],
        ["users", cache.users],
        ["behaviors before", _utc(cache.as_of)],
        ["rows of a record, at most", cache.rank],
        ["dtype", cache.dtype],
        ["bytes of a record, mean", number(cache.bytes_per_user, WHOLE)],
        ["ms to make a record, mean", number(cache.ms_per_user, ".3f")],
    ]
    content = {name: value for name, value in asdict(cache).items() if name not in NOT_SHOWN}
    if cache.dtype != "float32" and run.device.type == "cpu":
        content["rounding_deviation"] = cost = rounding_deviation(run, compression, cache.dtype, cache.as_of)
        rows.append([f"change of a logit by {cache.dtype}, over its sd", "-" if cost is None else f"{cost:.2g}"])
    session.console.table(f"cache {cache.cache} of run {cache.run}", ["", "value"], rows)
    content["curve"] = [{"rank": rank, "deviation": deviation} for rank, deviation in curve.items()]
    session.console.result(content, then=after_compress(cache.cache))


def compress_first(session: Session, run: Run, missing: str, compression: Compression | None = None) -> Cache:
    """Write and open a cache of all users that another command needs.

    Args:
        missing: how the message names it, such as `cache`.
    """
    from lrea_cli.records import cache as caches

    session.console.say(f"run {run.name} has no {missing} yet: making one first (lrea compress)")
    cache = caches.compress(session.workspace, run, caches.CacheSettings(compression=compression), session.console)
    return caches.open_cache(session.workspace, run, cache.cache)


def _check(options: CompressOptions) -> None:
    """Refuse a rank or target without a compressor, and a compressor without one of them or with both."""
    compressor, rank, target = options.compressor, options.rank, options.target
    if compressor is None:
        if rank is not None or target is not None:
            raise UserError(
                "--rank and --target are for a compressor; the rank of an lrea run was chosen when it was trained.",
                f"Add --compressor, one of: {', '.join(COMPRESSOR_NAMES)}.",
            )
    elif (rank is None) == (target is None) and compressor != "mean":
        given = "neither is" if rank is None else "both are"
        raise UserError(f"--compressor {compressor} needs --rank or --target; {given} given.", "Try: --target 0.03")


def _compression(session: Session, run: Run, options: CompressOptions) -> tuple[Compression | None, dict[int, float]]:
    """The compression that the options ask for; with --target also the deviation at each rank that was tried."""
    from lrea_cli.score.target_rank import smallest_rank

    if options.compressor is None:
        return None, {}
    compression = Compression(options.compressor, options.rank or 1, options.seed)
    if options.target is None:
        return compression, {}
    compression, curve = smallest_rank(run, compression, options.target, session.console)
    rows = [[rank, number(value), "<-" if rank == compression.rank else ""] for rank, value in curve.items()]
    how = "how far the logit deviates, in standard deviations of it, on validation requests"
    title = f"{compression.compressor}: {how}; target {options.target:g}"
    session.console.table(title, ["rank", "deviation", ""], rows)
    return compression, curve


def _as_of(run: Run, text: str | None) -> int | None:
    """--as-of in epoch seconds, refused when long after the end of the data; no zone = local time of the dataset."""
    as_of, end = parse_time(text, run.dataset.manifest.utc_offset_minutes), run.dataset.manifest.splits.end
    if as_of is not None and as_of > end + LATEST_DAYS * 86_400:
        raise UserError(
            f"--as-of is {_utc(as_of)}, the data end at {_utc(end)}.",
            f"Use a time of at most {LATEST_DAYS} days after that, or leave --as-of out: behaviors end with the data.",
        )
    return as_of


def parse_time(text: str | None, offset_minutes: int = 0) -> int | None:
    """Epoch seconds from epoch seconds or ISO 8601.

    Args:
        offset_minutes: local time east of UTC, for a text without a zone.
    """
    if text is None:
        return None
    if re.fullmatch(r"(19|20)[0-9]{6}", text):
        date = f"{text[:4]}-{text[4:6]}-{text[6:]}"
        raise UserError(f"--as-of '{text}' looks like a date, and would be seconds in 1970.", f"Write it as {date}.")
    try:
        if re.fullmatch(r"-?[0-9]{1,18}", text):
            seconds = int(text)
        else:
            instant, local = datetime.fromisoformat(text), timezone(timedelta(minutes=offset_minutes))
            seconds = int((instant if instant.tzinfo else instant.replace(tzinfo=local)).timestamp())
    except (ValueError, OverflowError) as error:
        raise UserError(f"--as-of '{text}' is no time.", "Use epoch seconds, or 2017-12-03T00:00:00+08:00.") from error
    if not 0 <= seconds <= YEAR_2200:
        hint = f", such as {seconds // 1000}" if YEAR_2200 < seconds <= 1000 * YEAR_2200 else ""
        raise UserError(f"--as-of '{text}' is not between 1970 and 2200.", f"Use epoch seconds{hint}, or ISO 8601.")
    return seconds


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _read_users(path: Path) -> list[str]:
    """The raw ids in a file: one a line, blanks in it kept."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise UserError(f"--users {path} cannot be read: {error.strerror}.", "Name a text file.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"--users {path}, line {line}, is not UTF-8.", "Save the file as UTF-8.") from error
    lines = [line.removesuffix("\r") for line in lines if line.strip()]
    if not lines:
        raise UserError(f"--users {path} is empty.", "Write one raw user id a line.")
    return lines
