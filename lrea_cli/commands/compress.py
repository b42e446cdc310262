"""`lrea compress`: a run and its users' histories to a cache of records."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lrea_cli.commands.next_steps import after_compress
from lrea_cli.commands.options import (
    Device,
    Json,
    Replace,
    RunDataset,
    RunName,
    Session,
    Threads,
    require_name,
    start,
    within,
)
from lrea_cli.dataset.fields import YEAR_2200
from lrea_cli.errors import UserError
from lrea_cli.recipe.limits import COUNT, HIGHEST_SEED
from lrea_cli.recipe.recipe import COMPRESSOR_NAMES, Compression, CompressorName

if TYPE_CHECKING:
    from lrea_cli.records.manifest import CacheDtype, CacheManifest
    from lrea_cli.runs.checkpoint import Run
    from lrea_cli.score.target_rank import CurvePoint

LATEST_DAYS = 366
"""How long after the end of the data --as-of may be."""


def compress(
    dtype: Annotated[Literal["float32", "float16"], typer.Option(help="Number format of keys and values.")] = "float32",
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Use behaviors before this time: epoch seconds, or ISO 8601 in the log's local time; default: the end "
            "of the data."
        ),
    ] = None,
    compressor: Annotated[
        CompressorName | None,
        typer.Option(
            metavar="<name>",
            help="Make the records of a din run smaller, without training: recent, mean, random or clusters (k-means, "
            "then fitted).",
        ),
    ] = None,
    rank: Annotated[int | None, typer.Option(callback=within(*COUNT), help="Most rows of a compressed record.")] = None,
    target: Annotated[
        float | None,
        typer.Option(
            callback=within(0, 1000),
            help="In place of --rank: the smallest rank whose logits deviate by at most this share of their standard "
            "deviation.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(callback=within(0, HIGHEST_SEED), help="Seed of what a compressor draws.")
    ] = Compression.seed,
    users: Annotated[Path | None, typer.Option(help="File with one raw user id a line; default: all users.")] = None,
    cache: Annotated[str | None, typer.Option(help="Name of the new cache; default: <run>-<number>.")] = None,
    dataset: RunDataset = None,
    run: RunName = None,
    threads: Threads = None,
    device: Device = "auto",
    replace: Replace = False,
    json: Json = False,
) -> None:
    """Write every user's record: what serving reads in place of the history.

    Example: lrea compress --compressor clusters --target 0.03
    """
    from lrea_cli.runs.checkpoint import open_run

    _check(compressor, rank, target)
    require_name(replace, cache, "--cache")
    parse_time(as_of)  # refused before anything is opened
    chosen = _read_users(users) if users is not None else None
    session = start(json, threads, device)
    opened = open_run(session.workspace, run, dataset, session.device)
    instant = parse_time(as_of, opened.dataset.utc_offset_minutes)
    compression, curve = None, []
    if compressor is not None:
        compression = Compression(compressor, rank or 1, seed)
        if target is not None:
            compression, curve = _find_rank(session, opened, compression, target)
    made = compress_run(session, opened, dtype, instant, chosen, cache, compression, replace=replace)
    content = made.model_dump(exclude={"arguments", "made_from", "layout", "compression", "device"})
    points = [vars(point) for point in curve]
    session.console.result({**content, "curve": points}, then=after_compress(made.cache))


def compress_run(
    session: Session,
    run: Run,
    dtype: CacheDtype,
    as_of: int | None,
    users: list[str] | None,
    name: str | None,
    compression: Compression | None = None,
    *,
    replace: bool = False,
) -> CacheManifest:
    """Make a cache and show it."""
    from lrea_cli.records.cache import CacheSettings, dense_users
    from lrea_cli.records.cache import compress as write_cache

    chosen = dense_users(run.dataset, users) if users is not None else None
    instant = run.dataset.end if as_of is None else as_of
    if instant > run.dataset.end + LATEST_DAYS * 86_400:
        raise UserError(
            f"--as-of is {_utc(instant)}, the data end at {_utc(run.dataset.end)}.",
            f"Use a time of at most {LATEST_DAYS} days after that, or leave --as-of out: behaviors end with the data.",
        )
    settings = CacheSettings(dtype, instant, chosen, compression)
    info = write_cache(session.workspace, run, settings, session.console, name, replace=replace)
    rows = [
        ["method or compressor", info.compressor or run.recipe.model.method],
        ["users", info.users],
        ["behaviors before", _utc(info.as_of)],
        ["rows of a record, at most", info.rank],
        ["dtype", info.dtype],
        ["bytes of a record, mean", f"{info.bytes_per_user:,.0f}"],
        ["ms to make a record, mean", f"{info.ms_per_user:.3f}"],
    ]
    session.console.table(f"cache {info.cache} of run {info.run}", ["", "value"], rows)
    return info


def _check(compressor: str | None, rank: int | None, target: float | None) -> None:
    """Refuse what does not go together before anything is opened.

    Raises:
        UserError: a rank or target without a compressor, a compressor without either, or both.
    """
    if compressor is None:
        if rank is not None or target is not None:
            raise UserError(
                "--rank and --target are for a compressor; the rank of an lrea run was chosen when it was trained.",
                f"Add --compressor, one of: {', '.join(COMPRESSOR_NAMES)}.",
            )
    elif (rank is None) == (target is None) and compressor != "mean":
        given = "neither is" if rank is None else "both are"
        raise UserError(f"--compressor {compressor} needs --rank or --target; {given} given.", "Try: --target 0.03")


def _find_rank(
    session: Session, run: Run, compression: Compression, target: float
) -> tuple[Compression, list[CurvePoint]]:
    """The smallest rank within the target, and its curve as a table."""
    from lrea_cli.score.target_rank import smallest_rank

    compression, curve = smallest_rank(run, compression, target, session.console)
    rows = [[point.rank, f"{point.deviation:.4f}", "<-" if point.rank == compression.rank else ""] for point in curve]
    session.console.table(
        f"{compression.compressor}: how far the logit deviates, in standard deviations of it, on validation requests; "
        f"target {target:g}",
        ["rank", "deviation", ""],
        rows,
    )
    return compression, curve


def parse_time(text: str | None, offset_minutes: int = 0) -> int | None:
    """Epoch seconds from epoch seconds or ISO 8601.

    Args:
        offset_minutes: of the dataset's local time, east of UTC, which a text without a zone is.

    Raises:
        UserError: it is neither, a date without dashes, or before 1970 or after 2200, as milliseconds are.
    """
    if text is None:
        return None
    if re.fullmatch(r"(19|20)[0-9]{6}", text):
        date = f"{text[:4]}-{text[4:6]}-{text[6:]}"
        raise UserError(f"--as-of '{text}' looks like a date, and would be seconds in 1970.", f"Write it as {date}.")
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        seconds = int(text)
    else:
        try:
            instant = datetime.fromisoformat(text)
            local = timezone(timedelta(minutes=offset_minutes))
            seconds = int((instant if instant.tzinfo else instant.replace(tzinfo=local)).timestamp())
        except (ValueError, OverflowError) as error:
            raise UserError(
                f"--as-of '{text}' is no time.", "Use epoch seconds, or 2017-12-03T00:00:00+08:00."
            ) from error
    if not 0 <= seconds <= YEAR_2200:
        hint = f", such as {seconds // 1000}" if YEAR_2200 < seconds <= 1000 * YEAR_2200 else ""
        raise UserError(f"--as-of '{text}' is not between 1970 and 2200.", f"Use epoch seconds{hint}, or ISO 8601.")
    return seconds


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _read_users(path: Path) -> list[str]:
    """One id a line, blanks in it kept."""
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
