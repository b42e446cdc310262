"""README.md of a bundle: every file, every input of the request, and the bytes of a record."""

from __future__ import annotations

from datetime import UTC, datetime

from lrea_cli.attention import SoftmaxReader
from lrea_cli.records.cache import Cache
from lrea_cli.runs.checkpoint import Run

MEANING = {
    "linear": "the half of the attention that is affine in the candidate",
    "keys": "keys of the pseudo items",
    "values": "values of the pseudo items",
    "mass": "how many behaviors each pseudo item stands for",
    "sums": "sums of the behaviors of each bucket",
    "vectors": "vectors of the behaviors, newest first",
    "category": "category ids of the behaviors",
    "codes": "bits of the behaviors' hashes, packed",
    "time": "epoch seconds of the behaviors",
}

TEXT = """\
# {run}: a ranker that needs no Python

Exported by lrea from the run `{run}` ({method}{compressor}) and its cache `{cache}` ({dtype} records, made of all
behaviors before {as_of}).

{files}

## A request

It brings N candidates and the user's newest S behaviors, {short} at most; all else of the user is in the record. Ids
are the dense int32 numbers of `vocab/`; a value that the vocabulary lacks is 1 (unknown), 0 is padding. The vocabulary
spells a value as the log does, without blanks at its ends; whole numbers are their digits (5.0 is 5).{numeric}

| input of `ranker.onnx` | shape | what |
|---|---|---|
{inputs}

Output: `logits` (N,) float32; p(click) = 1 / (1 + exp(-logit)). N, R and S may differ from request to request. A user
without a record has R = 0, no values in the counters, zeros where the number of rows is fixed, and length 0.

The *newer* behaviors are those of the S newest that happened at {as_of} or later: the record does not know them.
{matches}`history_length` is the length in the record plus the number of newer behaviors.

## A record

    int64 key | int32 history length | {sizes} | columns | uint64 XXH3 of all before

Little-endian; the sizes, and each column, are padded to a multiple of 8 bytes. The columns, row after row:

| column | dtype | rows x columns | what |
|---|---|---|---|
{columns}

A `_scale` belongs to the column before it: a row is its int8 numbers times its scale. `records/index.npy` has a row of
32 bytes for each record, sorted by key: int64 key, int32 shard, int32 size, int64 offset, uint64 checksum; the record
lies at `offset` in `records-<shard, 5 digits>.bin`.

## Try it

    python replay/replay.py .            # onnxruntime and numpy
{native_lines}
Each scores the golden requests and prints the largest difference of a logit from float64, over max(1, the largest
logit). Where that is more than 1e-6, the exit code is 1. Copy `replay/` elsewhere before you change it: `lrea export
--replace` makes this folder anew. `sha256sum --check --quiet SHA256SUMS` compares every file with what was exported.

`golden/` has for each request: `key` (-1: a user without a record), `time`, `behaviors` (how many of the columns of
`short_<field>` are behaviors), `newer` (how many of these are newer than the record), `candidate_<field>`,
`profile_<field>`, `logits`; and `record_dtype` (0 float32, 1 float16, 2 int8). `raw.bin` has the user and the N items
of each request, each as uint32 size and UTF-8; an unknown one is empty.
"""

MATCHES = """\
`matches` says for each candidate how many behaviors have its value: the count that the record has for it
(`<counter>_values`, ascending, with `<counter>_counts`) plus the newer behaviors that have it. Ids 0 and 1 match
nothing.
"""
NUMERIC = """ A number
has the id of the last range `low to high` that does not begin above it, or of the first range."""

NATIVE_LINES = """\
    make && ./replay/replay .            # C++17 and native/lrea.h alone; ./replay/replay . fp32, x6 or x3 names a mode
    ./replay/replay_raw .                # from raw ids: reads the vocabularies and records by their bytes
"""
NO_NATIVE = """
The method {method} {reads}, which the native request (C++) does not do by itself: serve `ranker.onnx`.
"""


def readme_of(run: Run, cache: Cache, native: bool) -> str:
    """The text."""
    manifest, layout = cache.manifest, cache.store.layout
    as_of = datetime.fromtimestamp(manifest.as_of, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    method = run.recipe.model.method
    counters = "".join(f" | int32 values of '{name}'" for name in layout.counters)
    columns = [
        f"| `{c.name}` | {c.dtype} | {' x '.join(map(str, (c.rows, *c.shape)))} | {_meaning(c.name)} |"
        for c in layout.columns
    ]
    return TEXT.format(
        run=run.name,
        method=method,
        compressor=f", records by {manifest.compressor}" if manifest.compressor else "",
        cache=manifest.cache,
        dtype=manifest.dtype,
        as_of=as_of,
        short=run.recipe.data.short,
        files=_files(native),
        numeric=NUMERIC
        if any(f.numeric for f in (*run.model.features.item_fields, *run.model.features.profile_fields))
        else "",
        matches=MATCHES if layout.counters else "",
        inputs="\n".join(_inputs(run)),
        sizes=f"int32 rows{counters}",
        columns="\n".join(columns),
        native_lines=NATIVE_LINES if native else NO_NATIVE.format(method=method, reads=_reads(run)),
    )


def _reads(run: Run) -> str:
    softmax = isinstance(run.model.full_attention, SoftmaxReader)
    return "reads its record with softmax" if softmax else "searches in its record"


def _meaning(column: str) -> str:
    base = column.removesuffix("_scale")
    if base != column:
        return f"scales of `{base}`"
    if base.endswith(("_values", "_counts")):
        counter, _, what = base.rpartition("_")
        return f"of the behaviors' {counter}: " + ("the distinct ids, ascending" if what == "values" else "how often")
    return MEANING.get(base, "")


def _inputs(run: Run) -> list[str]:
    from lrea_cli.serving.export.onnx_graph import reads_time

    model, lines = run.model, []
    for f in model.long.record:
        shape = ", ".join(map(str, ("R" if f.rows == "rows" else f.rows, *f.shape)))
        lines.append(f"| `record_{f.name}` | ({shape}) | {MEANING.get(f.name, '')}, of the record; floats as float32 |")
    for f in model.features.item_fields:
        lines.append(f"| `short_{f.name}` | (S,) int32 | {f.name} of the newest behaviors, newest first |")
    for f in model.features.item_fields:
        lines.append(f"| `candidate_{f.name}` | (N,) int32 | {f.name} of the candidates |")
    for f in model.features.profile_fields:
        lines.append(f"| `profile_{f.name}` | (1,) int32 | {f.name}, a {f.role} field |")
    if model.match_counters:
        shape = f"(N, {len(model.match_counters)}) int64"
        lines.append(f"| `matches` | {shape} | matches of {', '.join(model.match_counters)}; see below |")
    lines.append("| `history_length` | (1,) int64 | all behaviors; see below |")
    if reads_time(model):
        lines.append("| `time` | (1,) int64 | epoch seconds of the request |")
    return lines


def _files(native: bool) -> str:
    rows = [("ranker.onnx", "the request as one ONNX graph, tables inside")]
    if native:
        rows.append(("model.bin", "the same for the native request; lrea.h has every byte"))
        rows.append(("native/", "the native request in C++17: one header, `lrea.h`, and its sources"))
        rows.append(("Makefile", "builds `native/liblrea.a` and the replayers"))
    rows += [
        ("model.json", "the model's fields, the sizes of their tables, S and L"),
        ("vocab/*.parquet", "raw value -> id of each field and of users (plain Parquet, uncompressed)"),
        ("records.json", "the columns of a record"),
        ("records/", "the records of the golden users, in files like those of a cache"),
        ("golden/", "requests and their logits in float64, .npy files; `raw.bin` has their raw users and items"),
        ("replay/", "programs that replay them, to start your own from"),
    ]
    return "\n".join(["| file | what |", "|---|---|", *(f"| `{name}` | {what} |" for name, what in rows)])
