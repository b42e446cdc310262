"""README.md of a bundle: every file, every input of the request, and the bytes of a record."""

from __future__ import annotations

from datetime import UTC, datetime

from lrea_cli.records.cache import Cache
from lrea_cli.runs.checkpoint import Run

MEANING = {
    "linear": "the half of the attention that is affine in the candidate",
    "keys": "keys of the pseudo items",
    "values": "values of the pseudo items",
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

It brings N candidates and the user's newest S = {short} behaviors; all else of the user is in the record. Ids are dense
int32 numbers of the vocabularies; a value that the vocabulary lacks is 1 (unknown), 0 is padding.

| input of `ranker.onnx` | shape | what |
|---|---|---|
{inputs}

Output: `logits` (N,) float32; p(click) = 1 / (1 + exp(-logit)). N differs from request to request as you like. A user
without a record has R = 0, no values in the counters, `linear` of zeros and length 0.

`matches`: for each candidate, how often its value stands in the counter of the record (`<counter>_values`, ascending,
with `<counter>_counts`), and how many of the *newer* behaviors have it: those of the S newest that happened at {as_of}
or later, which the record does not know. Ids 0 and 1 match nothing. `history_length`: that of the record, and the newer
ones.

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
Each scores the golden requests and prints the largest difference of a logit from float64. Where it is more than 1e-6,
the exit code is 1.
"""

NATIVE_LINES = """\
    make && ./replay/replay .            # C++17 and native/lrea.h alone; ./replay/replay . fp32, x6 or x3 names a mode
    ./replay/replay_raw .                # from raw ids: reads the vocabularies and records by their bytes
"""
NO_NATIVE = """
The method {method} searches in its record, which the native request (C++) does not do by itself: serve `ranker.onnx`.
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
        inputs="\n".join(_inputs(run)),
        sizes=f"int32 rows{counters}",
        columns="\n".join(columns),
        native_lines=NATIVE_LINES if native else NO_NATIVE.format(method=method),
    )


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
        rows.append(("model.bin, model.json", "the same for the native request, and its fields; lrea.h has every byte"))
        rows.append(("native/", "the native request in C++17: one header, `lrea.h`, and its sources; `make` builds it"))
    rows += [
        ("vocab/*.parquet", "raw value -> id of each field and of users (plain Parquet, uncompressed)"),
        ("records.json", "the columns of a record"),
        ("records/", "records of the golden users, as a cache has them"),
        ("golden/", "requests and their logits in float64, .npy files"),
        ("replay/", "programs that replay them, to start your own from"),
    ]
    return "\n".join(["| file | what |", "|---|---|", *(f"| `{name}` | {what} |" for name, what in rows)])
