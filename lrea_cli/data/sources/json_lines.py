"""JSON lines as blocks of rows: some values of each line as text, and whether the line is JSON at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lrea_cli.data.sources.blocks import LINE, Block, Lines
from lrea_cli.data.sources.rawfile import RawFile
from lrea_cli.data.sql import identifier, literal
from lrea_cli.errors import UserError


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
        import duckdb

        with duckdb.connect(config={"threads": self.threads}) as db:
            for lines in lines_of(file, size):
                db.register("lines", lines.table())
                rows = db.sql(_values_sql(self.values)).to_arrow_table()
                db.unregister("lines")
                yield Block(rows, lines.text, text_bytes=len(lines.data))


def lines_of(file: RawFile, size: int) -> Iterator[Lines]:
    """The lines of a file, about `size` bytes at a time.

    Raises:
        UserError: as `JsonLines.blocks`.
    """
    line = 1
    for data in file.blocks(size):
        lines = Lines(data, line)
        line += lines.count
        yield lines
    if line == 1:
        raise UserError(f"{file.path} has no rows.", "Download it again.")


def _values_sql(values: Mapping[str, str]) -> str:
    """SQL over `lines` that parses each line once for all single values, and once more for each list."""
    single = [name for name, path in values.items() if not path.endswith("[*]")]
    listed = {name: path for name, path in values.items() if name not in single}
    paths = ", ".join(literal(values[name]) for name in single)
    found = {"_single": f"[{paths}]"} | {name: literal(path) for name, path in listed.items()}
    read = "".join(
        f", CASE WHEN _json THEN json_extract_string(text, {path}) END AS {identifier(name)}"
        for name, path in found.items()
    )
    columns = [LINE, "_json AS is_json", *(f"_single[{n}] AS {identifier(name)}" for n, name in enumerate(single, 1))]
    columns += map(identifier, listed)
    return (
        f"SELECT {', '.join(columns)} FROM (SELECT {LINE}, _json{read} "
        f"FROM (SELECT {LINE}, text, json_valid(text) AS _json FROM lines))"
    )
