"""A request as one ONNX graph: record, newest behaviors, candidates and profile -> logits, tables inside.

Inputs, in this order, for the names that the model has (N candidates, R rows of the record, S newest behaviors; the
three differ from call to call, R and S may be 0):

    record_<field>      the tensors of the user's record, without rows that are not in use; halves as float32
    short_<field>       (S,) int32 ids of each item field, newest first; id 0 is padding and counts for nothing
    candidate_<field>   (N,) int32 ids of each item field
    profile_<field>     (1,) int32 id of each user and context field
    matches             (N, C) int64, behaviors before the request with the candidate's value of each counted field
    history_length      (1,) int64, all behaviors before the request
    time                (1,) int64 epoch seconds of the request, of a method that reads it

Output: `logits` (N,) float32. The graph is written operator by operator: torch's exporters cannot express a loop over a
number of rows that is known only in a request (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lrea_cli.features import Features, table_key
from lrea_cli.ids import PADDING_ID, UNKNOWN_ID
from lrea_cli.kernels.weights import SLOPE
from lrea_cli.methods.twin import TWIN
from lrea_cli.model import CTRModel
from lrea_cli.sequence import CandidateIds, HistoryIds, RecordField, Summary
from lrea_cli.serving.export.attention import array, din_attention, scale_of
from lrea_cli.serving.export.builder import Builder
from lrea_cli.serving.export.interests import long_interest
from lrea_cli.serving.export.pieces import FLOAT, Asked

if TYPE_CHECKING:
    import onnx

LOGITS = "logits"
DESCRIPTION = "lrea: logits of a user's candidates, from the user's record and newest behaviors"


def request_graph(model: CTRModel) -> onnx.ModelProto:
    """The graph of a model's request, float32, checked by ONNX.

    Args:
        model: in eval mode.

    Raises:
        UserError: the package `onnx` is not installed.
        ValueError: the model is in training mode.
    """
    if model.training:
        raise ValueError("A model in training mode cannot be exported: call eval() first.")
    b = Builder()
    record = {field.name: b.input(f"record_{field.name}", *_type(field)) for field in model.long.record}
    items = [field.name for field in model.features.item_fields]
    short = {name: b.input(f"short_{name}", np.int32, ["S"]) for name in items}
    candidate = {name: b.input(f"candidate_{name}", np.int32, ["N"]) for name in items}
    profile = {f.name: b.input(f"profile_{f.name}", np.int32, [1]) for f in model.features.profile_fields}
    C = len(model.match_counters)
    matches = b.input("matches", np.int64, ["N", C]) if C else None
    length = b.input("history_length", np.int64, [1])
    time = b.input("time", np.int64, [1]) if reads_time(model) else ""
    e = _vectors(b, model.features, candidate)
    long = long_interest(b, model.long, Asked(e, candidate.get("category"), time, record))
    logits = _mlp(b, model, (e, _short(b, model, e, short), long), (profile, matches, length))
    return b.model(logits, LOGITS, ["N"], DESCRIPTION)


def request_feed(
    model: CTRModel, summary: Summary, short: HistoryIds, candidates: CandidateIds, history_length: int
) -> dict[str, np.ndarray]:
    """The inputs of one request as arrays.

    Args:
        summary: of one user. short: (1, S), the newest behaviors. candidates: (1, N), with match counters.
    """
    rows, used = int(summary.rows[0]), int(short.mask[0].sum())
    feed = {f"record_{f.name}": _stored(getattr(summary, f.name)[0].cpu().numpy(), f, rows) for f in model.long.record}
    for field in model.features.item_fields:
        feed[f"short_{field.name}"] = short.ids[field.name][0, :used].cpu().numpy().astype(np.int32)
        feed[f"candidate_{field.name}"] = candidates.ids[field.name][0].cpu().numpy().astype(np.int32)
    for field in model.features.profile_fields:
        feed[f"profile_{field.name}"] = candidates.profile[field.name][0, :1].cpu().numpy().astype(np.int32)
    if model.match_counters:
        counts = [candidates.matches[name][0].cpu().numpy() for name in model.match_counters]
        feed["matches"] = np.stack(counts, -1).astype(np.int64)
    feed["history_length"] = np.array([history_length], np.int64)
    if reads_time(model):
        feed["time"] = candidates.time.cpu().numpy().astype(np.int64)
    return feed


def reads_time(model: CTRModel) -> bool:
    """Whether the method reads the time of the request."""
    return isinstance(model.long, TWIN)


def _type(field: RecordField) -> tuple[type[np.generic], list[int | str]]:
    dtype = np.float32 if field.dtype in ("cache", "wide", "float32") else np.dtype(field.dtype).type
    return dtype, ["R" if field.rows == "rows" else field.rows, *field.shape]


def _stored(tensor: np.ndarray, field: RecordField, rows: int) -> np.ndarray:
    """The rows in use, in the dtype of the graph's input."""
    return np.ascontiguousarray(tensor[:rows] if field.rows == "rows" else tensor, _type(field)[0])


def _vectors(b: Builder, features: Features, ids: Mapping[str, str]) -> str:
    """The embeddings of all item fields side by side, (.., D)."""
    return b.op("Concat", *(_embedded(b, features, name, value) for name, value in ids.items()), axis=-1)


def _embedded(b: Builder, features: Features, name: str, ids: str) -> str:
    """Ids from the table's size on were first seen after training: they are unknown."""
    table = features.tables[table_key(name)]
    unknown = b.op("GreaterOrEqual", ids, b.const(features.sizes[name], np.int32))
    known = b.op("Where", unknown, b.const(UNKNOWN_ID, np.int32), ids)
    return b.op("Gather", b.const(array(table.weight)), known, axis=0)


def _short(b: Builder, model: CTRModel, e: str, short: Mapping[str, str]) -> str:
    """c(n) sum_l s(e, e_l) e_l over the newest behaviors; padding has a zero vector and is not counted."""
    real = b.op("Cast", b.op("Greater", short["item"], b.const(PADDING_ID, np.int32)), to=FLOAT)
    keys = b.op("Mul", _vectors(b, model.features, short), b.op("Unsqueeze", real, b.whole(1)))
    scale = scale_of(b, b.op("ReduceSum", real, b.whole(0)))
    return din_attention(b, model.short, e, keys, b.op("Mul", keys, scale), None)


def _mlp(
    b: Builder, model: CTRModel, interests: tuple[str, str, str], shared: tuple[Mapping[str, str], str | None, str]
) -> str:
    """(N,) logits. The first layer's columns of what all candidates share are a row that is added."""
    e, short, long = interests
    profile, matches, length = shared
    (weight, bias), *hidden, (last, last_bias) = [(array(w), array(c)) for w, c in model.folded_mlp().layers()]
    P = model.features.profile_width
    parts = [e, short, long, b.op("Mul", e, short), b.op("Mul", e, long)]
    if matches is not None:
        parts.append(_log1p(b, matches))
    own, of_profile, of_length = np.split(weight, [weight.shape[1] - P - 1, weight.shape[1] - 1], 1)
    row = b.op(
        "Add", b.op("Mul", b.op("Unsqueeze", _log1p(b, length), b.whole(1)), b.const(of_length.T)), b.const(bias)
    )
    if profile:
        shared_row = b.op(
            "Concat", *(_embedded(b, model.features, name, ids) for name, ids in profile.items()), axis=-1
        )
        row = b.op("Add", row, b.op("MatMul", shared_row, b.const(of_profile.T)))
    x = b.op("Gemm", b.op("Concat", *parts, axis=1), b.const(own), row, transB=1)
    for w, c in hidden:
        x = b.op("Gemm", b.op("LeakyRelu", x, alpha=SLOPE), b.const(w), b.const(c), transB=1)
    x = b.op("Gemm", b.op("LeakyRelu", x, alpha=SLOPE), b.const(last), b.const(last_bias), transB=1)
    return b.op("Squeeze", x, b.whole(1))


def _log1p(b: Builder, whole: str) -> str:
    """log(1 + n) of whole numbers, float32: exact to rounding since n is whole."""
    return b.op("Log", b.op("Add", b.op("Cast", whole, to=FLOAT), b.const(1.0)))
