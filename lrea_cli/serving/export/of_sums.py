"""The long interest of records that are sums or pseudo items, as ONNX operators: sketch, linear, SDIM, category."""

from __future__ import annotations

import numpy as np

from lrea_cli.attention import Attention
from lrea_cli.kernels.weights import SLOPE
from lrea_cli.methods.category import Category
from lrea_cli.methods.linear import Linear
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.methods.sdim import SDIM
from lrea_cli.methods.sketch import Sketch
from lrea_cli.serving.export.attention import (
    array,
    din_attention,
    paired_din,
    scale_of,
    softmax_attention,
)
from lrea_cli.serving.export.builder import Builder
from lrea_cli.serving.export.pieces import (
    DOUBLE,
    FLOAT,
    INT64,
    Asked,
    mean_of,
    same_category,
    sign_bits,
)

EPSILON = 1e-12
"""Least length of a vector that SDIM divides by its length."""


def pseudo_items(b: Builder, method: PseudoItemMethod, asked: Asked) -> str:
    """The reader over keys and values, for `din` with the linear half, for `softmax` with the mass."""
    record, reader = asked.record, method.attention
    if isinstance(reader, Attention):
        return din_attention(b, reader, asked.e, record["keys"], record["values"], record["linear"])
    return softmax_attention(b, reader, asked.e, (record["keys"], record["values"], record["mass"]))


def sketch(b: Builder, method: Sketch, asked: Asked) -> str:
    """Pseudo items made of sums, for `din` with their linear half of E^T E and sum e; or pseudo items as they are."""
    if not method.appends:
        return pseudo_items(b, method, asked)
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


def linear(b: Builder, method: Linear, asked: Asked) -> str:
    """Features of the query times M, over their product with z; an empty history has zeros in both."""
    query = b.op("Add", b.op("Elu", b.op("MatMul", asked.e, b.const(array(method.W_Q)))), b.const(1.0))
    weight = b.op("MatMul", query, b.op("Transpose", asked.record["total"], perm=[1, 0]))
    safe = b.op("Where", b.op("Equal", weight, b.const(0.0)), b.const(1.0), weight)
    return b.op("Div", b.op("MatMul", query, asked.record["matrix"]), safe)


def buckets(b: Builder, method: SDIM, asked: Asked) -> str:
    """The mean over groups of the direction of the candidate's bucket; a record without rows has zeros there."""
    size, groups, rows = method.size, method.groups, method.groups * method.size
    zeros = b.const(np.zeros((rows, method.width)))
    sums = b.op("Slice", b.op("Concat", asked.record["sums"], zeros, axis=0), b.whole(0), b.whole(rows), b.whole(0))
    length = b.op("ReduceL2", sums, b.whole(1))
    directions = b.op("Div", sums, b.op("Max", length, b.const(EPSILON)))
    bits = b.op("Reshape", sign_bits(b, asked.e, array(method.planes)), b.whole(-1, groups, method.tau))
    powers = b.const(2.0 ** np.arange(method.tau))
    number = b.op("ReduceSum", b.op("Mul", bits, powers), b.whole(2), keepdims=0)
    index = b.op("Cast", b.op("Add", number, b.const(np.arange(groups) * float(size))), to=INT64)
    return b.op("ReduceMean", b.op("Gather", directions, index, axis=0), b.whole(1), keepdims=0)


def category(b: Builder, method: Category, asked: Asked) -> str:
    """The shares of each candidate, added; a row of zeros is put behind the rows, for candidates without a category."""
    record, D = asked.record, method.width

    def with_nothing(name: str) -> str:
        nothing = np.zeros((1, D) if name in ("sums", "recent") else 1)
        return b.op("Concat", b.op("Cast", record[name], to=FLOAT), b.const(nothing), axis=0)

    same = b.op("Pad", same_category(b, asked, record["category"]), b.whole(0, 0, 0, 1), b.const(0.5))
    row = b.op("ArgMax", same, axis=1, keepdims=0)
    own, count = (b.op("Gather", with_nothing(name), row, axis=0) for name in ("sums", "count"))
    n = b.op("ReduceSum", with_nothing("count"), b.whole(0))
    scale = scale_of(b, n)
    interest = paired_din(b, method.attention, asked.e, mean_of(b, own, count), b.op("Mul", own, scale))
    if method.prototypes is None:
        rest = _all_less(b, with_nothing("sums"), own)
        mean = mean_of(b, rest, b.op("Sub", n, count))
        more = paired_din(b, method.rest_attention, asked.e, mean, b.op("Mul", rest, scale))
    else:
        keys, values = mean_of(b, record["shared"], record["mass"]), b.op("Mul", record["shared"], scale)
        more = din_attention(b, method.rest_attention, asked.e, keys, values, None)
    interest = b.op("Add", interest, more)
    if method.recent_attention is None:
        return interest
    assert method.decays is not None
    recent, weight, newest = (b.op("Gather", with_nothing(x), row, axis=0) for x in ("recent", "weight", "newest"))
    newer = b.op("Min", b.op("Cast", b.op("Sub", n, newest), to=INT64), b.const(len(method.decays) - 1, np.int64))
    factor = b.op("Mul", b.op("Gather", b.const(array(method.decays)), newer, axis=0), scale)
    values = b.op("Mul", recent, b.op("Unsqueeze", factor, b.whole(1)))
    return b.op("Add", interest, paired_din(b, method.recent_attention, asked.e, mean_of(b, recent, weight), values))


def _all_less(b: Builder, rows: str, own: str) -> str:
    """The sum of all rows less the own one (N, D), in float64, since almost all may be own."""
    total = b.op("ReduceSum", b.op("Cast", rows, to=DOUBLE), b.whole(0))
    return b.op("Cast", b.op("Sub", total, b.op("Cast", own, to=DOUBLE)), to=FLOAT)
