"""JSON lines as blocks of rows: some values of each line, or the named columns of an object a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lrea_cli.console.terminal import clean
from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.blocks import LINE, Block, Lines, numbered
from lrea_cli.prepare.reading.forms import EmptyFile, NotTheLog, unpacked
from lrea_cli.prepare.reading.rawfile import RawFile
from lrea_cli.prepare.sql import literal

SUFFIXES = (".jsonl", ".ndjson", ".json")
NO_OBJECT = "not_a_json_object"
QUOTED_CHARACTERS = 200


@dataclass(frozen=True)
class JsonLines:
    """A form of text: each row has `valid`, and a column for each entry of `values`, NULL where it is no JSON.

    A value is NULL where it is absent or null, and its JSON where it is no string.

    Args:
        values: column -> SQL of a path: '$.asin' gives a text, '$.category[*]' or a list of paths a list of texts.
    """

    values: Mapping[str, str]

    def blocks(self, file: RawFile, size: int, threads: int) -> Iterator[Block]:
        values = (f", CASE WHEN valid THEN json_extract_string(text, {p}) END AS {n}" for n, p in self.values.items())
        checked = f"SELECT {LINE}, text, json_valid(text) AS valid FROM lines"
        return _queried(file, size, threads, f"SELECT {LINE}, valid{''.join(values)} FROM ({checked})")


@dataclass(frozen=True)
class JsonRows:
    """The form of a file of JSON lines: values of these names; numbers as SQL spells them, 1 for true, 0 for false."""

    names: tuple[str, ...]

    @property
    def columns(self) -> dict[str, str]:
        """Name of a value -> its SQL identifier in the blocks."""
        return numbered(self.names)

    def blocks(self, file: RawFile, size: int, threads: int) -> Iterator[Block]:
        for block in _queried(file, size, threads, _objects_sql(self.names)):
            nested = block.rows.filter(block.rows["nested"].is_valid())
            if nested.num_rows:
                line, name = nested[LINE][0].as_py(), self.names[nested["nested"][0].as_py() - 1]
                raise UserError(
                    f"{clean(file.path)}, line {line:,}: '{clean(name)}' is a list or an object: "
                    f"{block.text(line)[:QUOTED_CHARACTERS]!r}.",
                    "Name another column, or write a single value there.",
                )
            malformed = block.rows[LINE].to_numpy()[~block.rows["is_object"].to_numpy()].tolist()
            rows = block.rows.filter(block.rows["is_object"]).drop_columns(["is_object", "nested"])
            yield replace(block, rows=rows, malformed=malformed, fault=NO_OBJECT)


def is_json_lines(path: Path, start: bytes) -> bool:
    """By its name, or by its first character, which begins an object."""
    return unpacked(path).lower().endswith(SUFFIXES) or start.lstrip()[:1] == b"{"


def read_keys(file: RawFile) -> tuple[str, ...]:
    """The names of all values in the first megabyte, in their order; UserError: its lines are no objects."""
    import duckdb

    start = file.start()
    if not start.strip():
        raise EmptyFile(file.path)
    if start.lstrip()[:1] == b"[":
        raise NotTheLog(
            f"{clean(file.path)} is one JSON array, not an object a line.",
            "Write it as lines, such as with `jq -c '.[]'`.",
        )
    with duckdb.connect(config={"threads": 1}) as db:
        db.register("lines", Lines(start, 1).table)
        keys = db.execute(
            f"SELECT key, min({LINE}) FROM (SELECT {LINE}, unnest(json_keys(text)) AS key "
            f"FROM (SELECT {LINE}, text FROM lines WHERE json_valid(text))) GROUP BY 1 ORDER BY 2, 1"
        ).fetchall()
    if not keys:
        raise NotTheLog(
            f"{clean(file.path)} has no JSON object in its first lines: {start[:60]!r}.",
            "Write an object a line, such as with `jq -c .`.",
        )
    return tuple(key for key, _ in keys)


def _queried(file: RawFile, size: int, threads: int, query: str) -> Iterator[Block]:
    """The rows that a query makes of each block of lines, which it reads as `lines` (__line, text)."""
    import duckdb

    with duckdb.connect(config={"threads": threads}) as db:
        for lines in file.lines(size):
            db.register("lines", lines.table)
            yield Block(db.sql(query).to_arrow_table(), lines.text, text_bytes=len(lines.data))
            db.unregister("lines")


def _objects_sql(names: Sequence[str]) -> str:
    """SQL over `lines`: __line, is_object, nested (the place of a value that is none, from 1), and the values."""
    pointers = [literal("/" + name.replace("~", "~0").replace("/", "~1")) for name in names]
    listed = f"[{', '.join(pointers)}]::VARCHAR[]"
    values = (
        f", CASE WHEN types[{n}] = 'BOOLEAN' THEN CAST(items[{n}] = 'true' AS TINYINT)::VARCHAR ELSE items[{n}] END "
        f"AS c{n - 1}"
        for n in range(1, len(names) + 1)
    )
    nested = ", ".join(f"nullif(list_position(types, '{kind}'), 0)" for kind in ("OBJECT", "ARRAY"))
    is_object = "CASE WHEN json_valid(text) THEN json_type(text) = 'OBJECT' ELSE false END AS is_object"
    parsed = (
        f"SELECT {LINE}, is_object, CASE WHEN is_object THEN json_type(text, {listed}) END AS types, "
        f"CASE WHEN is_object THEN json_extract_string(text, {listed}) END AS items "
        f"FROM (SELECT {LINE}, text, {is_object} FROM lines)"
    )
    return f"SELECT {LINE}, is_object, coalesce({nested}) AS nested{''.join(values)} FROM ({parsed})"
