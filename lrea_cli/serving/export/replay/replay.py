"""Scores the golden requests with onnxruntime and numpy, and prints the largest difference of a logit from float64.

    python replay/replay.py FOLDER

Nothing of lrea is needed: records and their index are read by the bytes that README.md documents.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

LIMIT = 1e-6


def main(folder: Path) -> int:
    """Score every request; 1 where a difference is too large."""
    golden = {path.stem: np.load(path) for path in (folder / "golden").glob("*.npy")}
    layout = json.loads((folder / "records.json").read_text())
    index = np.load(folder / "records" / "index.npy")
    shards = [path.read_bytes() for path in sorted((folder / "records").glob("records-*.bin"))]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "ranker.onnx"), options, ["CPUExecutionProvider"])
    inputs = {i.name for i in session.get_inputs()}
    largest, scale = 0.0, max(1.0, float(np.nanmax(np.abs(golden["logits"]))))
    for request, key in enumerate(golden["key"]):
        length, record = record_of(key, index, shards, layout)
        behaviors, newer = golden["behaviors"][request], golden["newer"][request]
        feed = {name.replace("record.", "record_"): rows for name, rows in record.items()}
        for name, column in golden.items():
            if name.startswith("candidate_"):
                feed[name] = column[request]
            if name.startswith("short_"):
                feed[name] = column[request, :behaviors]
            if name.startswith("profile_"):
                feed[name] = column[request, None]
        if layout["counters"]:
            counts = [matches(record, name, feed, newer) for name in layout["counters"]]
            feed["matches"] = np.stack(counts, -1).astype(np.int64)
        feed["history_length"] = np.array([length + newer], np.int64)
        feed["time"] = golden["time"][request, None]
        (logits,) = session.run(["logits"], {name: array for name, array in feed.items() if name in inputs})
        largest = np.maximum(largest, np.abs(logits - golden["logits"][request]).max() / scale)  # NaN stays
    said = f"{len(golden['key'])} requests, onnxruntime: largest difference of a logit {largest:.2g}"
    print(f"{said} of max(1, the largest) (limit {LIMIT:.0e})")
    return 0 if largest <= LIMIT else 1


def record_of(key, index, shards, layout):
    """The history's length, and the columns of a record as floats; of a user without a record all are empty."""
    place = np.searchsorted(index["key"], key)
    known = place < len(index) and index["key"][place] == key
    blob = b""
    if known:
        start, size = int(index["offset"][place]), int(index["size"][place])
        blob = shards[index["shard"][place]][start : start + size]
    length, sizes = 0, dict.fromkeys(layout["sizes"], 0)
    if known:
        head = np.frombuffer(blob, "<i4", 3 + len(sizes))[2:]
        length, sizes = int(head[0]), dict(zip(layout["sizes"], head[1:].tolist(), strict=True))
    offset, columns = padded(12 + 4 * len(sizes)), {}
    for column in layout["columns"]:
        rows = column["rows"] if isinstance(column["rows"], int) else sizes[column["rows"]]
        shape, dtype = (rows, *column["shape"]), np.dtype(column["dtype"])
        array = np.frombuffer(blob, dtype, int(np.prod(shape)), offset) if known else np.zeros(shape, dtype)
        columns[column["name"]] = array.reshape(shape)
        offset += padded(array.nbytes)
    for name in [name for name in columns if f"{name}_scale" in columns]:
        columns[name] = columns[name] * columns.pop(f"{name}_scale").astype(np.float32)[:, None]
    floats = {n: c.astype(np.float32) if c.dtype == np.float16 else c for n, c in columns.items()}
    return length, {f"record.{name}": column for name, column in floats.items()}


def matches(record, counter, feed, newer):
    """(N,) behaviors with each candidate's value: of the record, and of the newest ones that it does not know."""
    values, counts = record[f"record.{counter}_values"], record[f"record.{counter}_counts"]
    wanted = feed[f"candidate_{counter}"]
    place = np.minimum(np.searchsorted(values, wanted), max(0, len(values) - 1))
    known = np.where(values[place] == wanted, counts[place], 0) if len(values) else np.zeros(len(wanted), np.int64)
    recent = feed[f"short_{counter}"][:newer]
    return known + ((wanted[:, None] == recent) & (wanted[:, None] >= 2)).sum(1)


def padded(size):
    """The size of a column with what follows it."""
    return -(-size // 8) * 8


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
