"""The tables of docs/serving.md that come from the code and from measurements in docs/results/serving/.

`docs/generate.py` writes them.
Measure anew:

    python benchmarks/native.py | tail -1 > docs/results/serving/native.json
    lrea compress --threads 1 --json        # a list of such objects: docs/results/serving/compress.json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from marked_tables import markdown, with_tables

from lrea_cli.methods import METHODS, HistoryShape
from lrea_cli.recipe.settings import CACHE_DTYPES, CacheDtype, MethodName, ModelSettings
from lrea_cli.records.format import RecordFormat, values_of
from lrea_cli.sequence import RecordField

DOCS = Path(__file__).parent
MEASURED = DOCS / "results" / "serving"
WIDTH, LONG, CANDIDATES = 32, 500, 1000
COUNTER, VALUES = "category", 100
RANKS = (16, 64, 128)
USERS = (10**6, 10**7, 10**8, 10**9)
DAY, HOUR = 86_400, 3_600
FIXED_SIZE: tuple[MethodName, ...] = ("sdim", "vq", "sketch", "linear", "din-short")
PART_OF = {"`twin-v2`": (VALUES, "clusters"), "`category`": (VALUES, "categories")}
"""Rows of records that have fewer rows than behaviors, and no fixed number."""
GIGABIT = 10**9 / 8
"""Bytes a second."""


def serving_page() -> str:
    """The page with its tables made anew."""
    return with_tables(DOCS / "serving.md", TABLES)


def fields_of(**settings: str) -> tuple[RecordField, ...]:
    """What a method stores of a user, for items of 32 numbers with a category, at default settings."""
    asked = ModelSettings(**settings)  # type: ignore[arg-type]
    return METHODS[asked.method](asked, HistoryShape(WIDTH, LONG)).record


def rows_of(method: MethodName) -> int:
    """Rows of the record of a full history."""
    return METHODS[method](ModelSettings(method=method), HistoryShape(WIDTH, LONG)).rows_of(LONG)


def kinds() -> dict[str, tuple[RecordField, ...]]:
    """Kind of record -> its fields."""
    return {
        "`din`, `lrea`, `mean`, every compressor": fields_of(method="lrea"),
        "`sdim`": fields_of(method="sdim"),
        "`sim`, hard search": fields_of(method="sim"),
        "`sim`, soft search": fields_of(method="sim", search="soft"),
        "`eta`": fields_of(method="eta"),
        "`twin`": fields_of(method="twin"),
        "`twin-v2`": fields_of(method="twin-v2"),
        "`vq`": fields_of(method="vq"),
        "`category`": fields_of(method="category"),
        "`sketch`": fields_of(method="sketch"),
        "`linear`": fields_of(method="linear"),
        "`din-short`": fields_of(method="din-short"),
    }


def columns_table() -> str:
    """Every column of every kind of record, with its dtype in each cache."""
    rows = []
    for kind, fields in kinds().items():
        rows += _columns(kind, lambda dtype, fields=fields: RecordFormat(fields, dtype)) or [[kind, "none", *[""] * 4]]
    rows += _columns("each counter, such as `category`", lambda dtype: RecordFormat((), dtype, (COUNTER,)))
    return markdown(["record of", "column", "shape", *CACHE_DTYPES], rows)


def _columns(kind: str, layout: Callable[[CacheDtype], RecordFormat]) -> list[list[str]]:
    stored = {dtype: {c.name: c for c in layout(dtype).columns} for dtype in CACHE_DTYPES}
    rows = []
    for name, column in stored["int8"].items():
        count = {"rows": "R", values_of(COUNTER): "M"}.get(str(column.rows), str(column.rows))
        shape = " x ".join([count, *map(str, column.shape)])
        dtypes = [stored[d][name].dtype if name in stored[d] else "" for d in CACHE_DTYPES]
        rows.append([kind, f"`{name}`", shape, *dtypes])
        kind = ""
    return rows


def record_size(fields: tuple[RecordField, ...], dtype: CacheDtype, rows: int, values: int | None = None) -> int:
    """Bytes of a record; values: of its counter, None = the model has none."""
    counters = () if values is None else (COUNTER,)
    return RecordFormat(fields, dtype, counters).bytes_of({"rows": rows, values_of(COUNTER): values or 0})


def bytes_table() -> str:
    """Bytes of records, without and with a counter."""
    every, pseudo = kinds(), fields_of(method="lrea")
    records = [(f"R = {rank} pseudo items", pseudo, rank) for rank in RANKS]
    records.append((f"`din`, {LONG} behaviors", pseudo, LONG))
    fixed = {f"`{name}`": rows_of(name) for name in FIXED_SIZE}
    for kind in list(every)[1:]:
        rows, what = PART_OF.get(kind, (LONG, "behaviors"))
        named = (kind, fixed[kind]) if kind in fixed else (f"{kind}, {rows} {what}", rows)
        records.append((named[0], every[kind], named[1]))
    cells = [
        [name, *(f"{record_size(fields, d, rows, v):,}" for v in (None, VALUES) for d in CACHE_DTYPES)]
        for name, fields, rows in records
    ]
    return markdown(["record", *CACHE_DTYPES, *(f"{d}, counted" for d in CACHE_DTYPES)], cells, numbers=6)


def network_table() -> str:
    """Records a second that a network carries."""
    pseudo, cells = fields_of(method="lrea"), []
    for dtype in CACHE_DTYPES:
        for rank in RANKS:
            size = record_size(pseudo, dtype, rank, VALUES)
            cells.append([dtype, str(rank), f"{size:,}", *(f"{int(g * GIGABIT / size):,}" for g in (1, 10))])
    return markdown(["dtype", "R", "bytes", "1 Gbit/s", "10 Gbit/s"], cells, numbers=4)


def requests_table() -> str:
    """Milliseconds and requests a second of one core: measured at R = 128; other ranks by their interest alone."""
    measured = json.loads((MEASURED / "native.json").read_text(encoding="utf-8"))["times"]
    modes = [name.partition(", ")[2] for name in measured if name.startswith("request, ")]
    cells = []
    for mode in modes:
        for rank in RANKS:
            ms = request_ms(measured, mode, rank)
            cells.append([mode, str(rank), f"{ms:.2f}", f"{1000 / ms:.0f}"])
    return markdown(["mode", "R", "ms a request", "requests a second"], cells, numbers=3)


def request_ms(measured: Mapping[str, Mapping[str, float]], mode: str, rank: int) -> float:
    """Median: the request of 128 rows, with the interest of another number of rows in place of theirs."""
    interest = {r: measured[f"interest of {r} rows, {mode}"]["median"] for r in RANKS}
    return measured[f"request, {mode}"]["median"] - interest[128] + interest[rank]


def refresh_table() -> str:
    """Bytes of all records, and cores that make them anew in a day or an hour."""
    pseudo, cells = fields_of(method="lrea"), []
    sizes: list[tuple[CacheDtype, int]] = [("int8", 64), ("float16", 64), ("float32", 128)]
    makers = {name or "lrea": compress_ms(name) for name in (None, "clusters")}
    for users in USERS:
        stored = [f"{users * record_size(pseudo, d, rank, VALUES) / 1e9:,.0f}" for d, rank in sizes]
        cores = [f"{_cores(users, ms, seconds):,}" for ms in makers.values() for seconds in (DAY, HOUR)]
        cells.append([f"{users:,}", *stored, *cores])
    names = [f"GB, {dtype}, R = {rank}" for dtype, rank in sizes]
    names += [f"cores, {maker}, {time}" for maker in makers for time in ("a day", "an hour")]
    return f"{markdown(['users', *names], cells, numbers=8)}\n\n{_arithmetic(10**8, sizes[0], makers['lrea'])}"


def _arithmetic(users: int, record: tuple[CacheDtype, int], ms: float) -> str:
    """One row of the table, step by step."""
    dtype, rank = record
    size, seconds = record_size(fields_of(method="lrea"), dtype, rank, VALUES), users * ms / 1000
    cores = [_cores(users, ms, time) for time in (DAY, HOUR)]
    return (
        f"So {users:,} records of {size:,} bytes ({dtype}, R = {rank}) are {users * size / 1e9:,.0f} GB. Each takes\n"
        f"{ms:.2f} ms: {seconds:,.0f} s of one core. Over {DAY:,} s that is {cores[0]} core, rounded up; over {HOUR:,} "
        f"s {cores[1]}."
    )


def compress_ms(compressor: str | None) -> float:
    """Of a user, the median of all measurements of a compressor; None = of the method lrea."""
    measured = json.loads((MEASURED / "compress.json").read_text(encoding="utf-8"))
    return median(each["ms_per_user"] for each in measured if each["compressor"] == compressor)


def _cores(users: int, ms: float, seconds: int) -> int:
    return max(1, -(-int(users * ms / 1000) // seconds))


TABLES: dict[str, Callable[[], str]] = {
    "columns": columns_table,
    "bytes": bytes_table,
    "requests": requests_table,
    "refresh": refresh_table,
    "network": network_table,
}
"""By the name between the markers."""
