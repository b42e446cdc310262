"""JSON lines as blocks of rows: some values of each line as text, and whether the line is JSON at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.blocks import LINE, Block, Lines
from lrea_cli.prepare.sources.rawfile import RawFile
from lrea_cli.prepare.sql import identifier, literal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class JsonLines:
    """A form of text: each row has `is_json`, and a column of text for each value.

    A value is NULL where it is absent or null, and its JSON where it is no string.

    Args:
        values: column -> path, such as $.asin; the column of a path that ends with [*] is a list of texts.
        threads: that may parse.
    """

    values: Mapping[str, str]
    threads: int = 1

    def blocks(self, file: RawFile, size: int) -> Iterator[Block]:
        """The rows of a file, about `size` bytes at a time.

        Raises:
            UserError: the file is empty, truncated or not what its name says.
        """
        query = _values_sql(self.values)
        yield from read_lines(file, size, self.threads, lambda db, _: db.sql(query).to_arrow_table())


def read_lines(
    file: RawFile, size: int, threads: int, read: Callable[[duckdb.DuckDBPyConnection, Lines], pa.Table]
) -> Iterator[Block]:
    """The rows of a file, about `size` bytes at a time.

    Args:
        read: makes rows of some lines, which are the table `lines` (__line, text) of the database.

    Raises:
        UserError: as `JsonLines.blocks`.
    """
    import duckdb

    line = 1
    with duckdb.connect(config={"threads": threads}) as db:
        for data in file.blocks(size):
            lines = Lines(data, line)
            line += lines.count
            db.register("lines", lines.table())
            yield Block(read(db, lines), lines.text, text_bytes=len(data))
            db.unregister("lines")
    if line == 1:
        raise UserError(f"{file.path} has no rows.", "Download it again.")


def _values_sql(values: Mapping[str, str]) -> str:
    """SQL over `lines` that parses each line once for all single values, and once more for each list."""
    single = [name for name, path in values.items() if not path.endswith("[*]")]
    listed = {name: path for name, path in values.items() if name not in single}
    paths = ", ".join(literal(values[name]) for name in single)
    parsed = {"_single": f"[{paths}]"} | {name: literal(path) for name, path in listed.items()}
    read = "".join(
        f", CASE WHEN _json THEN json_extract_string(text, {path}) END AS {identifier(name)}"
        for name, path in parsed.items()
    )
    columns = [LINE, "_json AS is_json", *(f"_single[{n}] AS {identifier(name)}" for n, name in enumerate(single, 1))]
    columns += map(identifier, listed)
    return (
        f"SELECT {', '.join(columns)} FROM (SELECT {LINE}, _json{read} "
        f"FROM (SELECT {LINE}, text, json_valid(text) AS _json FROM lines))"
    )
