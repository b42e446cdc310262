"""The long interest of each kind of summary as ONNX operators; a method that is not here cannot be exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lrea_cli.attention import Attention, MultiHeadAttention
from lrea_cli.ids import FIRST_ID
from lrea_cli.kernels.weights import SLOPE
from lrea_cli.methods import LongInterest
from lrea_cli.methods.category import LEAST, Category
from lrea_cli.methods.din_short import DINShort
from lrea_cli.methods.eta import ETA
from lrea_cli.methods.hashing import BYTE
from lrea_cli.methods.linear import Linear
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.methods.sdim import SDIM
from lrea_cli.methods.searched import SearchedMethod
from lrea_cli.methods.sim import SIM
from lrea_cli.methods.sketch import Sketch
from lrea_cli.methods.twin import BANDS, HOUR, TWIN
from lrea_cli.methods.vq import VQ
from lrea_cli.serving.export.attention import (
    array,
    din_attention,
    masked_softmax,
    paired_din,
    scale_of,
    selected_din,
    selected_multi_head,
    softmax_attention,
)
from lrea_cli.serving.export.builder import Builder

INT32, INT64, DOUBLE, FLOAT, BOOL = 6, 7, 11, 1, 9
"""ONNX numbers of types, for Cast."""
EPSILON = 1e-12
"""Least length of a vector that SDIM divides by its length."""


@dataclass(frozen=True)
class Asked:
    """The values that a long interest reads.

    Args:
        e: (N, D). category: (N,) int32, or None. time: (1,) int64 epoch seconds of the request.
        record: the fields of the user's record, by name.
    """

    e: str
    category: str | None
    time: str
    record: Mapping[str, str]


def long_interest(b: Builder, method: LongInterest, asked: Asked) -> str:
    """(N, D) float32; any number of rows of a record, 0 included."""
    for kind, make in INTERESTS.items():
        if isinstance(method, kind):
            return make(b, method, asked)
    raise NotImplementedError(f"The method '{method.name}' has no ONNX form.")


def _pseudo_items(b: Builder, method: PseudoItemMethod, asked: Asked) -> str:
    record, reader = asked.record, method.attention
    if isinstance(reader, Attention):
        return din_attention(b, reader, asked.e, record["keys"], record["values"], record["linear"])
    return softmax_attention(b, reader, asked.e, (record["keys"], record["values"], record["mass"]))


def _sketch(b: Builder, method: Sketch, asked: Asked) -> str:
    """Pseudo items made of sums, for `din` with their linear half of E^T E and sum e; or pseudo items as they are."""
    if not method.appends:
        return _pseudo_items(b, method, asked)
    record, reader, one = asked.record, method.attention, b.const(1.0)
    sums, mass = record["sums"], record["mass"]
    keys = b.op("Div", sums, b.op("Where", b.op("Equal", mass, b.const(0.0)), one, mass))
    if isinstance(reader, Attention):
        return _sketch_din(b, reader, asked, keys)
    return softmax_attention(b, reader, asked.e, (keys, sums, b.op("Squeeze", mass, b.whole(1))))


def _sketch_din(b: Builder, attention: Attention, asked: Asked, keys: str) -> str:
    """DIN's scorer over the means of the prototypes and the linear half of all behaviors."""
    sums, total, gram = (asked.record[name] for name in ("sums", "total", "gram"))
    c = scale_of(b, b.op("Cast", asked.record["count"], to=FLOAT))
    W1, W2, W3, bias, w_o = (array(w).astype(np.float64) for w in vars(attention.weights).values())
    by_total, by_gram = (b.const((W @ w_o)[:, None]) for W in (W1, W3))
    A = b.op("Add", b.op("Mul", by_total, total), b.op("Mul", by_gram, gram))
    a0 = b.op("Add", b.op("Mul", b.const(bias @ w_o), total), b.op("MatMul", b.const((W2 @ w_o)[None]), gram))
    half = b.op("Mul", b.op("Concat", A, a0, axis=0), b.op("Mul", c, b.const((1 + SLOPE) / 2)))
    return din_attention(b, attention, asked.e, keys, b.op("Mul", sums, c), half)


def _linear(b: Builder, method: Linear, asked: Asked) -> str:
    """Features of the query times M, over their product with z; an empty history has zeros in both."""
    query = b.op("Add", b.op("Elu", b.op("MatMul", asked.e, b.const(array(method.W_Q)))), b.const(1.0))
    weight = b.op("MatMul", query, b.op("Transpose", asked.record["total"], perm=[1, 0]))
    safe = b.op("Where", b.op("Equal", weight, b.const(0.0)), b.const(1.0), weight)
    return b.op("Div", b.op("MatMul", query, asked.record["matrix"]), safe)


def _nothing(b: Builder, method: DINShort, asked: Asked) -> str:
    return b.op("Mul", asked.e, b.const(0.0))


def _buckets(b: Builder, method: SDIM, asked: Asked) -> str:
    """The mean over groups of the direction of the candidate's bucket; a record without rows has zeros there."""
    size, groups, rows = method.size, method.groups, method.groups * method.size
    zeros = b.const(np.zeros((rows, method.width)))
    sums = b.op("Slice", b.op("Concat", asked.record["sums"], zeros, axis=0), b.whole(0), b.whole(rows), b.whole(0))
    length = b.op("ReduceL2", sums, b.whole(1))
    directions = b.op("Div", sums, b.op("Max", length, b.const(EPSILON)))
    bits = b.op("Reshape", _sign_bits(b, asked.e, array(method.planes)), b.whole(-1, groups, method.tau))
    powers = b.const(2.0 ** np.arange(method.tau))
    number = b.op("ReduceSum", b.op("Mul", bits, powers), b.whole(2), keepdims=0)
    index = b.op("Cast", b.op("Add", number, b.const(np.arange(groups) * float(size))), to=INT64)
    return b.op("ReduceMean", b.op("Gather", directions, index, axis=0), b.whole(1), keepdims=0)


def _searched(b: Builder, method: SearchedMethod, asked: Asked) -> str:
    """A row of zeros is put behind the behaviors, so that a search always has one to look at; no mask selects it."""
    vectors = b.op("Concat", asked.record["vectors"], b.const(np.zeros((1, method.width))), axis=0)
    scores, allowed = _search_scores(b, method, asked, vectors)
    chosen = _best(b, scores, allowed, method.k)
    if isinstance(method.attention, Attention):
        return selected_din(b, method.attention, asked.e, vectors, chosen)
    assert isinstance(method.attention, MultiHeadAttention)
    return selected_multi_head(b, method.attention, asked.e, vectors, chosen)


def _search_scores(b: Builder, method: SearchedMethod, asked: Asked, vectors: str) -> tuple[str, str]:
    """Scores and which may be selected, both float32 (N, L + 1) or broadcast to it; of equal scores the newest wins."""
    real = _real(b, asked.record["vectors"])
    if isinstance(method, ETA):
        return _agreements(b, method, asked), real
    assert isinstance(method, SIM)
    if not method.hard:
        return b.op("MatMul", asked.e, b.op("Transpose", vectors, perm=[1, 0])), real
    same = _same(b, asked, asked.record["category"])
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
    own = _sign_bits(b, asked.e, array(method.planes))
    signs = [b.op("Sub", b.op("Mul", x, b.const(2.0)), b.const(1.0)) for x in (own, theirs)]
    return b.op(
        "Pad", b.op("MatMul", signs[0], b.op("Transpose", signs[1], perm=[1, 0])), b.whole(0, 0, 0, 1), b.const(0.0)
    )


def _twin(b: Builder, method: TWIN, asked: Asked) -> str:
    """Each head scores all behaviors, keeps its k best, and mixes their values."""
    attention, record = method.attention, asked.record
    h, D = attention.heads, method.width
    d = D // h
    queries = b.op("MatMul", asked.e, b.const(attention.scale * array(attention.W_Q).astype(np.float64)))
    q = b.op("Transpose", b.op("Reshape", queries, b.whole(-1, h, d)), perm=[1, 0, 2])
    rows = [b.op("Concat", record[name], b.const(np.zeros((1, D))), axis=0) for name in ("keys", "values")]
    keys, values = (b.op("Transpose", b.op("Reshape", x, b.whole(-1, h, d)), perm=[1, 0, 2]) for x in rows)
    scores = b.op("Add", b.op("MatMul", q, b.op("Transpose", keys, perm=[0, 2, 1])), _twin_bias(b, method, asked))
    index, mask = _best(b, scores, _real(b, record["keys"]), method.k)
    weights = masked_softmax(b, b.op("GatherElements", scores, index, axis=2), mask)
    mixed = []
    for head in range(h):
        one = b.const(head, np.int64)
        chosen = b.op("Gather", b.op("Gather", values, one, axis=0), b.op("Gather", index, one, axis=0), axis=0)
        by_candidate = b.op("Unsqueeze", b.op("Gather", weights, one, axis=0), b.whole(1))
        mixed.append(b.op("Squeeze", b.op("MatMul", by_candidate, chosen), b.whole(1)))
    return b.op("MatMul", b.op("Concat", *mixed, axis=1), b.const(array(attention.W_O)))


def _coded(b: Builder, method: VQ, asked: Asked) -> str:
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
    mixed = b.op("MatMul", masked_softmax(b, scores, _real(b, record["sums"])), v)
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
        same = b.op("Unsqueeze", _same(b, asked, asked.record["category"]), b.whole(0))
        bias = b.op("Add", bias, b.op("Mul", b.const(array(method.same_category)[:, None, None]), same))
    return b.op("Pad", bias, b.whole(0, 0, 0, 0, 0, 1), b.const(0.0))


def _band(b: Builder, whole: str) -> str:
    """The band of whole numbers (L,): how many of 1, 2, 4, .. are not above them."""
    limits = b.const(2 ** np.arange(BANDS - 1), np.int64)
    reached = b.op("GreaterOrEqual", b.op("Unsqueeze", whole, b.whole(1)), limits)
    return b.op("ReduceSum", b.op("Cast", reached, to=INT64), b.whole(1), keepdims=0)


def _category(b: Builder, method: Category, asked: Asked) -> str:
    """The shares of each candidate, added; a row of zeros is put behind the rows, for candidates without a category."""
    record, D = asked.record, method.width

    def with_nothing(name: str) -> str:
        nothing = np.zeros((1, D) if name in ("sums", "recent") else 1)
        return b.op("Concat", b.op("Cast", record[name], to=FLOAT), b.const(nothing), axis=0)

    same = b.op("Pad", _same(b, asked, record["category"]), b.whole(0, 0, 0, 1), b.const(0.5))
    row = b.op("ArgMax", same, axis=1, keepdims=0)
    own, count = (b.op("Gather", with_nothing(name), row, axis=0) for name in ("sums", "count"))
    n = b.op("ReduceSum", with_nothing("count"), b.whole(0))
    scale = scale_of(b, n)
    interest = paired_din(b, method.attention, asked.e, _mean(b, own, count), b.op("Mul", own, scale))
    if method.prototypes is None:
        rest = _all_less(b, with_nothing("sums"), own)
        mean = _mean(b, rest, b.op("Sub", n, count))
        more = paired_din(b, method.rest_attention, asked.e, mean, b.op("Mul", rest, scale))
    else:
        keys, values = _mean(b, record["shared"], record["mass"]), b.op("Mul", record["shared"], scale)
        more = din_attention(b, method.rest_attention, asked.e, keys, values, None)
    interest = b.op("Add", interest, more)
    if method.recent_attention is None:
        return interest
    assert method.decays is not None
    recent, weight, newest = (b.op("Gather", with_nothing(x), row, axis=0) for x in ("recent", "weight", "newest"))
    newer = b.op("Min", b.op("Cast", b.op("Sub", n, newest), to=INT64), b.const(len(method.decays) - 1, np.int64))
    factor = b.op("Mul", b.op("Gather", b.const(array(method.decays)), newer, axis=0), scale)
    values = b.op("Mul", recent, b.op("Unsqueeze", factor, b.whole(1)))
    return b.op("Add", interest, paired_din(b, method.recent_attention, asked.e, _mean(b, recent, weight), values))


def _all_less(b: Builder, rows: str, own: str) -> str:
    """The sum of all rows less the own one (N, D), in float64, since almost all may be own."""
    total = b.op("ReduceSum", b.op("Cast", rows, to=DOUBLE), b.whole(0))
    return b.op("Cast", b.op("Sub", total, b.op("Cast", own, to=DOUBLE)), to=FLOAT)


def _mean(b: Builder, sums: str, weight: str) -> str:
    """Sums (X, D) over weights (X,); zero where both are."""
    return b.op("Div", sums, b.op("Unsqueeze", b.op("Max", weight, b.const(LEAST)), b.whole(1)))


def _same(b: Builder, asked: Asked, category: str) -> str:
    """(N, L) float32: 1 where behavior and candidate have the same category, and one at all."""
    assert asked.category is not None
    own = b.op("Unsqueeze", asked.category, b.whole(1))
    known = b.op("GreaterOrEqual", own, b.const(FIRST_ID, np.int32))
    return b.op("Cast", b.op("And", b.op("Equal", own, b.op("Unsqueeze", category, b.whole(0))), known), to=FLOAT)


def _real(b: Builder, rows: str) -> str:
    """(1, L + 1) float32: 1 for each of L behaviors, 0 for the row behind them."""
    count = b.op("Shape", rows, start=0, end=1)
    ones = b.op("Expand", b.const(1.0), count)
    return b.op("Unsqueeze", b.op("Pad", ones, b.whole(0, 1), b.const(0.0)), b.whole(0))


def _best(b: Builder, scores: str, allowed: str, k: int) -> tuple[str, str]:
    """Index and mask (.., K) of the k highest scores that are allowed; ONNX takes the lower index of equal ones."""
    low = b.const(float(np.finfo(np.float32).min))
    masked = b.op("Where", b.op("Cast", allowed, to=BOOL), scores, low)
    count = b.op("Min", b.op("Shape", masked, start=-1), b.whole(k))
    values, index = b.ops("TopK", [masked, count], 2, axis=-1)
    return index, b.op("Cast", b.op("Greater", values, low), to=FLOAT)


def _sign_bits(b: Builder, vectors: str, planes: np.ndarray) -> str:
    """(N, m) float32 of 0 and 1; the projection is in float64, as `hashing.sign_bits` has it."""
    projected = b.op("MatMul", b.op("Cast", vectors, to=DOUBLE), b.const(planes, np.float64))
    return b.op("Cast", b.op("Greater", projected, b.const(0.0, np.float64)), to=FLOAT)


INTERESTS: dict[type[LongInterest], Callable[[Builder, object, Asked], str]] = {
    Sketch: _sketch,
    PseudoItemMethod: _pseudo_items,
    Linear: _linear,
    DINShort: _nothing,
    SDIM: _buckets,
    SearchedMethod: _searched,
    TWIN: _twin,
    Category: _category,
    VQ: _coded,
}  # type: ignore[assignment]
