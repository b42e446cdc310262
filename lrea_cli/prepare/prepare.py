"""`prepare`: raw files -> a dataset as `layout.py` describes it, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Reporter, Silent
from lrea_cli.dataset.fields import EncodedField
from lrea_cli.dataset.manifest import DATASETS, DatasetManifest
from lrea_cli.errors import UserError
from lrea_cli.ids import FIRST_ID
from lrea_cli.prepare.calendar import Calendar, find_calendar, odd_days
from lrea_cli.prepare.events import sort_events
from lrea_cli.prepare.facts import empty_fields, field_facts, unseen_signs, user_of_most_rows
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.reading.intake import Intake, common_folder
from lrea_cli.prepare.samples import check_samples, label_conflicts, make_samples
from lrea_cli.prepare.sources.base import Extract, Source
from lrea_cli.prepare.vocabulary import number_users, number_values
from lrea_cli.prepare.writer import write_behaviors, write_samples, write_vocabularies
from lrea_cli.workspace.home import Workspace, write_manifest
from lrea_cli.workspace.parquet import parquet_writer

if TYPE_CHECKING:
    import duckdb

CHANGE_NO_ROW = ("threads", "memory")
"""Options that are left to the machine on which the dataset is made again."""


@dataclass(frozen=True)
class Surroundings:
    """What changes no row of a dataset.

    Args:
        reporter: shows each step as it begins, and progress while files are read.
        look: reads the new dataset, may write into its folder, and returns the manifest with what it saw.
        raw: how the files were named, for the command that makes the dataset again; None = they were found by default.
        replace: a dataset of this name gives way when the new one is complete.
    """

    reporter: Reporter = field(default_factory=Silent)
    look: Callable[[Path, DatasetManifest], DatasetManifest] | None = None
    raw: Path | None = None
    replace: bool = False


def prepare(
    source: Source,
    files: list[Path],
    dataset: str,
    workspace: Workspace,
    options: PrepareOptions,
    surroundings: Surroundings | None = None,
) -> DatasetManifest:
    """Make the dataset; return its manifest.

    Args:
        files: as `find_files` returns them.

    Raises:
        UserError: the name is taken, a file cannot be read, or what is in it does not make samples; nothing is left
            behind.
    """
    import pyarrow as pa

    around = surroundings or Surroundings()
    with workspace.create(DATASETS, dataset, replace=around.replace) as (_, folder):
        with _database(folder / "scratch", options) as db:
            content = _write_dataset(db, source, files, folder, options, around.reporter)
        arguments = tuple(prepare_arguments(source, files, around.raw, options, workspace.home))
        manifest = DatasetManifest(dataset=dataset, **content, arguments=arguments)
        pa.default_memory_pool().release_unused()  # of the writers
        if around.look is not None:
            around.reporter.say("looking at the data ...")
            manifest = around.look(folder, manifest)
        around.reporter.say("hashing what was written ...")
        write_manifest(folder, DATASETS, manifest)
    return manifest


def _write_dataset(
    db: duckdb.DuckDBPyConnection,
    source: Source,
    files: list[Path],
    folder: Path,
    options: PrepareOptions,
    reporter: Reporter,
) -> dict[str, Any]:
    """Fill the folder; return what the manifest says of it."""
    reporter.say(f"reading {source.name} ...")
    with reporter.task("reading", sum(path.stat().st_size for path in files), "bytes") as progress:
        intake = Intake(db, progress, common_folder(files), options=options)
        extract = source.extract(intake, files)
    calendar = find_calendar(db, extract, options)
    odd = odd_days(db, extract, calendar)
    reporter.say("numbering users and values ...")
    users = number_users(db)
    encoded = tuple(number_values(db, f, calendar.splits.valid_from) for f in extract.fields)
    write_vocabularies(db, folder, encoded)
    reporter.say("sorting events ...")
    sort_events(intake, extract, options.database_mb)
    odd += user_of_most_rows(db)
    intake.check_published(extract.published)
    reporter.say("making samples ...")
    dropped = make_samples(db, extract, calendar, options)
    splits = check_samples(db, extract, calendar, options.min_history, odd)
    conflicts = label_conflicts(db) if extract.sampling is None else 0
    of_fields = field_facts(db, encoded, intake.lost)
    write_samples(db, folder, encoded)
    reporter.say("writing histories ...")
    write_behaviors(db, folder, [f for f in encoded if f.role == "item"], options.database_mb)
    rejected = intake.rejected_table()
    with parquet_writer(folder / "rejected.parquet", rejected.schema) as out:
        out.write_table(rejected)
    odd += [*unseen_signs(db, encoded), *empty_fields(of_fields), *_of_labels(splits["train"], conflicts)]
    return {
        **_manifest(source, options, extract, calendar, encoded, intake),
        "users": users,
        "samples": {split: facts["rows"] for split, facts in splits.items()},
        "split_facts": splits,
        "field_facts": of_fields,
        "label_conflicts": conflicts,
        "warnings": (*extract.warnings, *odd),
        "dropped_pairs": dropped,
    }


def _of_labels(train: dict[str, Any], conflicts: int) -> list[str]:
    warnings = []
    if train["click_rate"] in (0, 1):
        warnings.append(
            f"All samples of train ({train['rows']:,}) have label {train['click_rate']:.0f}: a model learns that."
        )
    if conflicts:
        warnings.append(
            f"{counted(conflicts, 'time')} a user has one item in one second both clicked and not clicked: "
            "all rows are kept."
        )
    return warnings


def _manifest(
    source: Source,
    options: PrepareOptions,
    extract: Extract,
    calendar: Calendar,
    encoded: tuple[EncodedField, ...],
    intake: Intake,
) -> dict[str, Any]:
    distinct = {f.name: f.size - FIRST_ID + f.late for f in encoded if f.role == "item"}
    unseen = (*CHANGE_NO_ROW, "max_rejected")
    return {
        "source": source.name,
        "source_options": dict(vars(source)),
        "options": {k: v for k, v in asdict(options).items() if k not in unseen},
        "fields": encoded,
        "items": distinct["item"],
        "categories": distinct.get("category"),
        "events_read": intake.read,
        "events_kept": intake.kept,
        "rejected": dict(sorted(intake.rejected.items())),
        "splits": calendar.splits,
        "labels": "real" if extract.sampling is None else "sampled",
        "sampling": None if extract.sampling is None else asdict(extract.sampling),
        "utc_offset_minutes": extract.utc_offset_minutes,
        "facts": extract.facts,
        "unused_columns": tuple(extract.unused_columns),
        "raw_files": tuple(asdict(f) for f in intake.files),
    }


@contextmanager
def _database(folder: Path, options: PrepareOptions) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB on disk, that spills beside itself and is gone afterwards."""
    import duckdb

    (folder / "spill").mkdir(parents=True)
    file = str(folder.resolve() / "prepare.duckdb")
    database = file if "?" not in file else ":memory:"  # DuckDB takes what follows a ? for options; both spill to disk
    config: dict[str, Any] = {
        "memory_limit": f"{options.database_mb}MB",
        "temp_directory": str(folder / "spill"),
        "preserve_insertion_order": True,  # events are read in the order in which they were written
        "checkpoint_threshold": "1TB",  # scratch: nothing of it outlives a crash
    }
    if options.threads is not None:
        config["threads"] = options.threads
    try:
        with duckdb.connect(database, config=config) as db:
            yield db
    except duckdb.OutOfMemoryException as error:
        raise UserError(
            f"{options.memory} of memory and the disk beside it were not enough: {str(error).splitlines()[0]}",
            "Raise --memory, lower --threads, or free space under LREA_HOME.",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what is left of it goes with the partial dataset


def prepare_arguments(
    source: Source, files: list[Path], raw: Path | None, options: PrepareOptions, home: Path
) -> list[str]:
    """What follows `lrea prepare` to make a dataset again, but its name; files are named by absolute paths.

    Args:
        raw: how the files were named; None = they were found in a folder by their names.
        home: the workspace's folder, where files are looked for by default.
    """
    hidden = {*CHANGE_NO_ROW, *source.unused_options, *vars(source)}
    folder = (raw or files[0].parent).absolute() if files else None
    default = folder is None or folder == (home / "raw" / source.name).absolute()
    named = [] if default else ["--raw", str(folder)]
    return [source.name, *named, *_typed(source), *_typed(options, leave_out=hidden)]


def _typed(options: Any, leave_out: Collection[str] = ()) -> Iterator[str]:
    """Options and values of a dataclass whose attributes are options, where they are not the defaults."""
    for one in fields(options):
        value, name = getattr(options, one.name), one.name.replace("_", "-")
        default = one.default if one.default_factory is MISSING else one.default_factory()
        if one.name in leave_out or value is None or value == default:
            continue
        if isinstance(value, bool):
            yield f"--{'' if value else 'no-'}{name}"
        else:
            for part in value if isinstance(value, (list, tuple)) else [value]:
                yield from (f"--{name}", str(part))
