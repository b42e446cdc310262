"""JSON lines as blocks of rows with named columns: an object a line, its values as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lrea_cli.console.terminal import clean
from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.blocks import LINE, Block, Lines, numbered
from lrea_cli.prepare.sources.forms import EmptyFile, NotTheLog
from lrea_cli.prepare.sources.json_lines import read_lines
from lrea_cli.prepare.sources.rawfile import RawFile, unpacked_name
from lrea_cli.prepare.sql import literal

SUFFIXES = (".jsonl", ".ndjson", ".json")
NO_OBJECT = "not_a_json_object"
QUOTED_CHARACTERS = 200


class NotJsonLines(NotTheLog):
    """A file that is named as JSON, and whose first line is no object."""


@dataclass(frozen=True)
class JsonRows:
    """The form of a file of JSON lines: numbers in the spelling of SQL, 1 for true and 0 for false, NULL for none.

    Args:
        names: of the values to read, each a column c0, c1, ..
        threads: that may parse.
    """

    names: tuple[str, ...]
    threads: int = 1

    @property
    def columns(self) -> dict[str, str]:
        """Name of a value -> its SQL identifier in the blocks."""
        return numbered(self.names)

    def blocks(self, file: RawFile, size: int) -> Iterator[Block]:
        """The rows of a file, about `size` bytes at a time.

        Raises:
            UserError: the file is empty or damaged, or a value is a list or an object.
        """
        query = _values_sql(self.names)
        for block in read_lines(file, size, self.threads, lambda db, _: db.sql(query).to_arrow_table()):
            yield self._checked(file, block)

    def _checked(self, file: RawFile, block: Block) -> Block:
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
        return replace(block, rows=rows, malformed=malformed, fault=NO_OBJECT)


def is_json_lines(path: Path, start: bytes) -> bool:
    """By its name, or by its first character, which begins an object."""
    return unpacked_name(path).lower().endswith(SUFFIXES) or start.lstrip()[:1] == b"{"


def read_keys(file: RawFile) -> tuple[str, ...]:
    """The names of all values in the first megabyte, in the order in which they are met.

    Raises:
        UserError: the file is empty, one array, or one object over several lines.
    """
    import duckdb

    start = file.start()
    if not start.strip():
        raise EmptyFile(file.path)
    if start.lstrip()[:1] == b"[":
        raise NotJsonLines(
            f"{clean(file.path)} is one JSON array, not an object a line.",
            "Write it as lines, such as with `jq -c '.[]'`.",
        )
    with duckdb.connect(config={"threads": 1}) as db:
        db.register("lines", Lines(start, 1).table())
        keys = db.execute(
            f"SELECT key, min({LINE}) FROM (SELECT {LINE}, unnest(json_keys(text)) AS key "
            f"FROM (SELECT {LINE}, text FROM lines WHERE json_valid(text))) GROUP BY 1 ORDER BY 2, 1"
        ).fetchall()
    if not keys:
        raise NotJsonLines(
            f"{clean(file.path)} has no JSON object in its first lines: {start[:60]!r}.",
            "Write an object a line, such as with `jq -c .`.",
        )
    return tuple(key for key, _ in keys)


def _values_sql(names: Sequence[str]) -> str:
    """SQL over `lines`: __line, is_object, nested (the place of a value that is none, from 1), and the values."""
    pointers = [literal("/" + name.replace("~", "~0").replace("/", "~1")) for name in names]
    listed = f"[{', '.join(pointers)}]::VARCHAR[]"
    place = "nullif(list_position(types, {kind}), 0)"
    truth = "CASE WHEN types[{n}] = 'BOOLEAN' THEN CAST(items[{n}] = 'true' AS TINYINT)::VARCHAR ELSE items[{n}] END"
    values = "".join(f", {truth.format(n=n)} AS c{n - 1}" for n in range(1, len(names) + 1))
    objects = (
        f"SELECT {LINE}, text, CASE WHEN json_valid(text) THEN json_type(text) = 'OBJECT' ELSE false END AS is_object "
        "FROM lines"
    )
    parsed = (
        f"SELECT {LINE}, is_object, CASE WHEN is_object THEN json_type(text, {listed}) END AS types, "
        f"CASE WHEN is_object THEN json_extract_string(text, {listed}) END AS items FROM ({objects})"
    )
    nested = ", ".join(place.format(kind=literal(kind)) for kind in ("OBJECT", "ARRAY"))
    return f"SELECT {LINE}, is_object, coalesce({nested}) AS nested{values} FROM ({parsed})"
