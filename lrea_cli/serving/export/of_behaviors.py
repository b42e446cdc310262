"""The long interest of records with a row a behavior, a cluster or a code, as ONNX operators: SIM, ETA, TWIN, VQ."""

from __future__ import annotations

import numpy as np

from lrea_cli.attention import Attention, MultiHeadAttention
from lrea_cli.methods.eta import ETA
from lrea_cli.methods.hashing import BYTE
from lrea_cli.methods.searched import SearchedMethod
from lrea_cli.methods.sim import SIM
from lrea_cli.methods.twin import BANDS, HOUR, TWIN
from lrea_cli.methods.vq import VQ
from lrea_cli.serving.export.attention import (
    array,
    masked_softmax,
    selected_din,
    selected_multi_head,
)
from lrea_cli.serving.export.builder import Builder
from lrea_cli.serving.export.pieces import (
    FLOAT,
    INT32,
    INT64,
    Asked,
    best_of,
    real_rows,
    same_category,
    sign_bits,
)


def searched(b: Builder, method: SearchedMethod, asked: Asked) -> str:
    """A row of zeros is put behind the behaviors, so that a search always has one to look at; no mask selects it."""
    vectors = b.op("Concat", asked.record["vectors"], b.const(np.zeros((1, method.width))), axis=0)
    scores, allowed = _search_scores(b, method, asked, vectors)
    chosen = best_of(b, scores, allowed, method.k)
    if isinstance(method.attention, Attention):
        return selected_din(b, method.attention, asked.e, vectors, chosen)
    assert isinstance(method.attention, MultiHeadAttention)
    return selected_multi_head(b, method.attention, asked.e, vectors, chosen)


def _search_scores(b: Builder, method: SearchedMethod, asked: Asked, vectors: str) -> tuple[str, str]:
    """Scores and which may be selected, both float32 (N, L + 1) or broadcast to it; of equal scores the newest wins."""
    real = real_rows(b, asked.record["vectors"])
    if isinstance(method, ETA):
        return _agreements(b, method, asked), real
    assert isinstance(method, SIM)
    if not method.hard:
        return b.op("MatMul", asked.e, b.op("Transpose", vectors, perm=[1, 0])), real
    same = same_category(b, asked, asked.record["category"])
    padded = b.op("Pad", same, b.whole(0, 0, 0, 1), b.const(0.0))
    return b.op("Mul", padded, b.const(0.0)), padded


def _agreements(b: Builder, method: ETA, asked: Asked) -> str:
    """Equal bits minus different ones, (N, L + 1)."""
    codes = b.op("Cast", asked.record["codes"], to=INT32)
    places = b.op("Unsqueeze", codes, b.whole(2))
    divided = b.op("Div", places, b.const(2 ** np.arange(BYTE), np.int32))
    bits = b.op("Cast", b.op("Mod", divided, b.const(2, np.int32)), to=FLOAT)
    by_row = b.op("Reshape", bits, b.whole(-1, BYTE * -(-method.m // BYTE)))
    theirs = b.op("Slice", by_row, b.whole(0), b.whole(method.m), b.whole(1))
    own = sign_bits(b, asked.e, array(method.planes))
    signs = [b.op("Sub", b.op("Mul", x, b.const(2.0)), b.const(1.0)) for x in (own, theirs)]
    return b.op(
        "Pad", b.op("MatMul", signs[0], b.op("Transpose", signs[1], perm=[1, 0])), b.whole(0, 0, 0, 1), b.const(0.0)
    )


def twin(b: Builder, method: TWIN, asked: Asked) -> str:
    """Each head scores all behaviors, keeps its k best, and mixes their values."""
    attention, record = method.attention, asked.record
    h, D = attention.heads, method.width
    d = D // h
    queries = b.op("MatMul", asked.e, b.const(attention.scale * array(attention.W_Q).astype(np.float64)))
    q = b.op("Transpose", b.op("Reshape", queries, b.whole(-1, h, d)), perm=[1, 0, 2])
    rows = [b.op("Concat", record[name], b.const(np.zeros((1, D))), axis=0) for name in ("keys", "values")]
    keys, values = (b.op("Transpose", b.op("Reshape", x, b.whole(-1, h, d)), perm=[1, 0, 2]) for x in rows)
    scores = b.op("Add", b.op("MatMul", q, b.op("Transpose", keys, perm=[0, 2, 1])), _twin_bias(b, method, asked))
    index, mask = best_of(b, scores, real_rows(b, record["keys"]), method.k)
    weights = masked_softmax(b, b.op("GatherElements", scores, index, axis=2), mask)
    mixed = []
    for head in range(h):
        one = b.const(head, np.int64)
        chosen = b.op("Gather", b.op("Gather", values, one, axis=0), b.op("Gather", index, one, axis=0), axis=0)
        by_candidate = b.op("Unsqueeze", b.op("Gather", weights, one, axis=0), b.whole(1))
        mixed.append(b.op("Squeeze", b.op("MatMul", by_candidate, chosen), b.whole(1)))
    return b.op("MatMul", b.op("Concat", *mixed, axis=1), b.const(array(attention.W_O)))


def coded(b: Builder, method: VQ, asked: Asked) -> str:
    """Each head's softmax of q C_z + ln n over the codes of the record and a row of zeros that counts for nothing."""
    attention, record = method.attention, asked.record
    h, D = attention.heads, method.width
    heads, last = b.whole(-1, h, D // h), b.whole(0, 1)
    code = b.op("Pad", b.op("Cast", record["code"], to=INT64), last, b.const(0, np.int64))
    count = b.op("Unsqueeze", b.op("Pad", b.op("Cast", record["count"], to=FLOAT), last, b.const(1.0)), b.whole(1))
    sums = b.op("Concat", record["sums"], b.const(np.zeros((1, D))), axis=0)
    values = b.op("MatMul", b.op("Div", sums, count), b.const(array(attention.W_V)))
    keys = b.op("Gather", b.const(array(method.codebook)), code, axis=0)
    queries = b.op("MatMul", asked.e, b.const(attention.scale * array(attention.W_Q).astype(np.float64)))
    q, k, v = (b.op("Transpose", b.op("Reshape", x, heads), perm=[1, 0, 2]) for x in (queries, keys, values))
    times = b.op("Transpose", b.op("Log", count), perm=[1, 0])
    scores = b.op("Add", b.op("MatMul", q, b.op("Transpose", k, perm=[0, 2, 1])), times)
    mixed = b.op("MatMul", masked_softmax(b, scores, real_rows(b, record["sums"])), v)
    by_candidate = b.op("Reshape", b.op("Transpose", mixed, perm=[1, 0, 2]), b.whole(-1, D))
    return b.op("MatMul", by_candidate, b.const(array(attention.W_O)))


def _twin_bias(b: Builder, method: TWIN, asked: Asked) -> str:
    """What age, place, category and, of clusters, ln n add to a score, (heads, 1 or N, L + 1)."""
    time = asked.record["time"]
    age = b.op("Div", b.op("Sub", asked.time, time), b.const(HOUR, np.int64))  # below 0 is in band 0, too
    count = b.op("Squeeze", b.op("Shape", time), b.whole(0))
    place = b.op("Range", b.const(0, np.int64), count, b.const(1, np.int64))
    if "place" in asked.record:
        place = b.op("Cast", asked.record["place"], to=INT64)
    bands = [
        b.op("Gather", b.const(array(w)), _band(b, x), axis=1) for w, x in ((method.age, age), (method.place, place))
    ]
    of_rows = b.op("Add", *bands)
    if "count" in asked.record:
        of_rows = b.op("Add", of_rows, b.op("Log", b.op("Cast", asked.record["count"], to=FLOAT)))
    bias = b.op("Unsqueeze", of_rows, b.whole(1))
    if method.same_category is not None:
        same = b.op("Unsqueeze", same_category(b, asked, asked.record["category"]), b.whole(0))
        bias = b.op("Add", bias, b.op("Mul", b.const(array(method.same_category)[:, None, None]), same))
    return b.op("Pad", bias, b.whole(0, 0, 0, 0, 0, 1), b.const(0.0))


def _band(b: Builder, whole: str) -> str:
    """The band of whole numbers (L,): how many of 1, 2, 4, .. are not above them."""
    limits = b.const(2 ** np.arange(BANDS - 1), np.int64)
    reached = b.op("GreaterOrEqual", b.op("Unsqueeze", whole, b.whole(1)), limits)
    return b.op("ReduceSum", b.op("Cast", reached, to=INT64), b.whole(1), keepdims=0)
