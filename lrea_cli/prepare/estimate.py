"""What preparing would take: the start of each raw file is read as the run would read it, and the rest is reckoned."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from lrea_cli.errors import UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.reading.intake import Intake, common_folder
from lrea_cli.prepare.reading.parquet import ParquetRows, is_parquet
from lrea_cli.prepare.reading.rawfile import unpacked_bytes
from lrea_cli.prepare.sources.base import Extract, Source

SAMPLE_BYTES, LEAST_BYTES = 1 << 26, 1 << 16
"""Of all files together, and of each one at least."""

WHOLE_OVER_READING = 3.6
"""Seconds of the whole command over those of reading, as `benchmarks/prepare.py` shows at 10 and 100 million rows."""

FIXED_SECONDS = 1.2
SCRATCH_BYTES, LEFT_BYTES, BYTES_A_FIELD = 45, 18, 6
"""Of disk for each kept event, while preparing and afterwards, and for each of its fields; there, too."""


@dataclass(frozen=True)
class FileSize:
    """A raw file: `bytes` as it lies, `text_bytes` unpacked, and about how many rows (exactly, for Parquet)."""

    name: str
    bytes: int
    text_bytes: int
    rows: int


@dataclass(frozen=True)
class Estimate:
    """What preparing would take: seconds on this machine, `scratch_bytes` of disk meanwhile, `dataset_bytes` after."""

    files: tuple[FileSize, ...]
    sample_read: int
    sample_rejected: dict[str, int]
    seconds: float
    scratch_bytes: int
    dataset_bytes: int
    warnings: tuple[str, ...] = ()


def estimate(source: Source, files: list[Path], options: PrepareOptions) -> Estimate:
    """Read a sample and reckon; UserError: the source reads no file, or the sample cannot be read as its log."""
    if not source.file_names:
        raise UserError(f"'{source.name}' reads no file: there is nothing to reckon.", "Leave --dry-run out.")
    size = max(LEAST_BYTES, SAMPLE_BYTES // len(files))
    _read(source, files, size, options)  # loads libraries, claims memory: timed alone it would say up to a third more
    began = time.perf_counter()
    extract, intake = _read(source, files, size, options)
    seconds = time.perf_counter() - began
    taken = {file.name for file in intake.files}
    starts = [_start(path, size, intake) for path in files if intake.name_of(path) in taken]
    sampled, rows = sum(sampled for sampled, _ in starts), sum(file.rows for _, file in starts)
    kept = rows * intake.kept / max(1, intake.read)
    fields = BYTES_A_FIELD * len(extract.fields)
    return Estimate(
        files=tuple(file for _, file in starts),
        sample_read=intake.read,
        sample_rejected=dict(sorted(intake.rejected.items())),
        seconds=FIXED_SECONDS + WHOLE_OVER_READING * seconds * rows / max(1, sampled),
        scratch_bytes=round(kept * (SCRATCH_BYTES + fields)),
        dataset_bytes=round(kept * (LEFT_BYTES + fields)),
        warnings=extract.warnings,
    )


def _start(path: Path, size: int, intake: Intake) -> tuple[int, FileSize]:
    """How many rows the first `size` bytes of a file have, and the whole file."""
    name, bytes_there = intake.name_of(path), path.stat().st_size
    if is_parquet(path):
        raw = ParquetRows(path, first_bytes=size)
        return raw.rows_to_read, FileSize(name, bytes_there, bytes_there, raw.rows)
    file = intake.text(path)
    count = sum(lines.count for lines in file.lines(size))
    unpacked = unpacked_bytes(path)
    return count, FileSize(name, bytes_there, unpacked, round(unpacked * count / max(1, file.bytes_read)))


def _read(source: Source, files: list[Path], size: int, options: PrepareOptions) -> tuple[Extract, Intake]:
    import duckdb

    with duckdb.connect(config={"threads": options.thread_count}) as db:
        intake = Intake(db, folder=common_folder(files), first_bytes=size, options=options)
        return source.extract(intake, files), intake
