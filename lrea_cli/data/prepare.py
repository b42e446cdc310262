"""`prepare`: raw files -> a dataset as `layout.py` describes it, whole or not at all."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrea_cli.data.calendar import Calendar, find_calendar
from lrea_cli.data.options import PrepareOptions
from lrea_cli.data.samples import check_samples, count_histories, make_samples
from lrea_cli.data.schema import EncodedField, Extract, Source
from lrea_cli.data.vocabulary import number_users, number_values
from lrea_cli.data.writer import write_events, write_rejected, write_samples, write_vocabularies
from lrea_cli.errors import UserError
from lrea_cli.workspace import Workspace, write_manifest

if TYPE_CHECKING:
    import duckdb

SCRATCH = "scratch"


def prepare(
    source: Source,
    files: list[Path],
    dataset: str,
    workspace: Workspace,
    options: PrepareOptions,
    progress: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """Make the dataset; return its manifest, with `seconds` (wall time) and `peak_memory_mb` of this process.

    Args:
        files: what `find_files` found. progress: is told each step as it begins.

    Raises:
        UserError: a file cannot be read, or what is in it does not make samples; nothing is left behind.
    """
    started = time.monotonic()
    with workspace.create("data", dataset, replace=True) as folder:
        with _database(folder / SCRATCH, options) as db:
            manifest = {"dataset": dataset, **_write_dataset(db, source, files, folder, options, progress)}
        progress("hashing what was written")
        write_manifest(folder, "data", manifest)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return {**manifest, "seconds": time.monotonic() - started, "peak_memory_mb": peak}


def _write_dataset(
    db: duckdb.DuckDBPyConnection,
    source: Source,
    files: list[Path],
    folder: Path,
    options: PrepareOptions,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    progress(f"reading {source.name}")
    extract = source.extract(db, files)
    calendar = find_calendar(db, extract, options.train_days)
    progress("numbering users and values")
    users = number_users(db)
    encoded = tuple(number_values(db, field, calendar.valid_from) for field in extract.fields)
    write_vocabularies(db, folder, encoded)
    progress("making samples")
    count_histories(db)
    dropped = make_samples(db, extract, calendar, options.seed, options.min_history, options.negatives_per_positive)
    samples, warnings = check_samples(db, extract, calendar, options.min_history)
    write_samples(db, folder, encoded)
    progress("sorting and writing histories")
    write_events(db, folder, encoded)
    write_rejected(db, folder)
    content = _manifest(source, options, extract, calendar, encoded)
    return {**content, "users": users, "samples": samples, "warnings": warnings, "dropped_pairs": dropped}


def _manifest(
    source: Source,
    options: PrepareOptions,
    extract: Extract,
    calendar: Calendar,
    encoded: tuple[EncodedField, ...],
) -> dict[str, Any]:
    distinct = {f.name: f.size - 2 + f.late for f in encoded}
    has_category = any(f.name == "category" and f.role == "item" for f in encoded)
    of_source = {f.name: getattr(source, f.name) for f in fields(source)} if is_dataclass(source) else {}
    return {
        "source": source.name,
        "source_options": of_source,
        "options": {k: v for k, v in asdict(options).items() if k not in ("threads", "memory")},
        "fields": [asdict(f) for f in encoded],
        "items": distinct["item"],
        "categories": distinct["category"] if has_category else None,
        "events_read": extract.events_read,
        "events_kept": extract.events_read - sum(extract.rejected.values()),
        "rejected": extract.rejected,
        "splits": calendar.splits,
        "labels": extract.labels,
        "utc_offset_hours": extract.utc_offset_hours,
        "facts": extract.facts,
        "raw_files": [asdict(f) for f in extract.files],
    }


@contextmanager
def _database(folder: Path, options: PrepareOptions) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB on disk, that spills beside itself and is gone afterwards."""
    import duckdb

    (folder / "spill").mkdir(parents=True)
    config: dict[str, Any] = {"memory_limit": options.memory, "temp_directory": str(folder / "spill")}
    if options.threads is not None:
        config["threads"] = options.threads
    try:
        with duckdb.connect(folder / "prepare.duckdb", config=config) as db:
            yield db
    except duckdb.OutOfMemoryException as error:
        raise UserError(
            f"{options.memory} of memory and the disk beside it were not enough: {error}",
            "Raise --memory, lower --threads, or free space under LREA_HOME.",
        ) from error
    finally:
        shutil.rmtree(folder)
